// What a page does when it is used: the large view of a clip, the panel with the clips of a cell, tables that sort, confusion
// matrices, the timeline of a video. It goes on from motion.js, in the same script.

const viewer = find("#viewer"), panel = find("#panel"), openers = new Map()
const view = { list: [], place: 0, player: null, playing: false }
stage.onframe = refresh
const screen = find(".screen > canvas", viewer), slider = find("input", viewer)

function open(dialog, opener) {
  openers.set(dialog, opener)
  dialog.showModal()
}
for (const dialog of [viewer, panel]) {
  find(".close", dialog).onclick = () => dialog.close()
  dialog.addEventListener("click", ({ target, clientX: x, clientY: y }) => {
    const box = dialog.getBoundingClientRect()
    if (target === dialog && (x < box.left || x > box.right || y < box.top || y > box.bottom)) dialog.close()
  })
  dialog.addEventListener("close", () => openers.get(dialog)?.focus())
}
viewer.addEventListener("close", () => { Object.assign(stage, { isOpen: false, player: null }); wake() })
panel.addEventListener("close", () => all(".clip", panel).forEach(button => { watcher.unobserve(button); moving.delete(players.get(button)) }))

function openClip(list, place, opener) {
  view.list = list
  open(viewer, opener)
  stage.isOpen = true
  view.playing = !calm.matches
  showClip(place)
  find(".play", viewer).focus()
}

function showClip(place) {
  const clip = clips[view.list[place]], { speed = 1, yaw = 0, pitch = 0 } = view.player ?? {}
  view.place = place
  view.player = Object.assign(new Player(screen, clip), { speed, yaw, pitch })
  const is3d = clip.shape[3] === 3, length = Math.max(clip.length - 1, 1)
  if (!is3d) Object.assign(view.player, { yaw: 0, pitch: 0 })
  screen.classList.toggle("turns", is3d)
  find("h2", viewer).textContent = clip.name
  find(".caption", viewer).textContent = [clip.level, clip.caption].filter(Boolean).join(": ")
  find(".facts", viewer).replaceChildren(...(clip.details ?? []).map(([name, value]) =>
    make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))))
  find(".marks", viewer).replaceChildren(...(clip.marks ?? []).map(([first, last]) => {
    const mark = make("i")
    mark.style.left = `${clamp(100 * first / length, 0, 100)}%`
    mark.style.width = `${clamp(100 * (last - first) / length, 0, 100)}%`
    return mark
  }))
  find(".keys", viewer).textContent = "Space plays and pauses, ← and → go a frame, ↑ and ↓ change the speed"
    + (is3d ? "; drag the picture, or Shift and arrow keys, to turn it." : ".")
  slider.max = length
  find(".before", viewer).disabled = place === 0
  find(".after", viewer).disabled = place === view.list.length - 1
  play(view.playing)
  refresh()
}

function refresh() {
  const { player } = view, { length } = player.clip
  player.draw()
  slider.value = player.frame
  find("output", viewer).textContent = `${player.isMarked ? "marked, " : ""}frame ${player.frame ?? 0} of 0 to ${Math.max(length - 1, 0)}`
}

function play(on) {
  view.playing = on && view.player.count > 1
  stage.player = view.playing ? view.player : null
  find(".play", viewer).textContent = view.playing ? "Pause" : "Play"
  wake()
}
function step(by) { play(false); view.player.show(view.player.at + by); refresh() }
function turn(yaw, pitch) {
  if (view.player.clip.shape[3] !== 3) return
  view.player.yaw += yaw
  view.player.pitch = clamp(view.player.pitch + pitch, -1.5, 1.5)
  view.player.draw()
}
function setSpeed(select, by = 0) {
  select.selectedIndex = clamp(select.selectedIndex + by, 0, select.length - 1)
  view.player.speed = Number(select.value)
}
function goTo(place) { if (place >= 0 && place < view.list.length) showClip(place) }

find(".play", viewer).onclick = () => play(!view.playing)
find(".before", viewer).onclick = () => goTo(view.place - 1)
find(".after", viewer).onclick = () => goTo(view.place + 1)
find("select", viewer).onchange = ({ target }) => setSpeed(target)
slider.oninput = () => { // to the last frame that is kept, not after it
  const { frames } = view.player.clip, wanted = Number(slider.value)
  play(false)
  view.player.show(frames ? frames.findLastIndex(frame => frame <= wanted) : wanted)
  refresh()
}
screen.onpointerdown = event => screen.setPointerCapture(event.pointerId)
screen.onpointermove = event => event.buttons && turn(-event.movementX / 120, event.movementY / 120)
viewer.addEventListener("keydown", event => {
  if (event.key === " " && !event.target.closest("button, select")) play(!view.playing)
  else if (event.target.closest("select") || event.altKey || event.ctrlKey || event.metaKey) return
  else if (event.shiftKey && event.key.startsWith("Arrow")) {
    turn({ ArrowLeft: 0.15, ArrowRight: -0.15 }[event.key] ?? 0, { ArrowUp: -0.15, ArrowDown: 0.15 }[event.key] ?? 0)
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(event.key === "ArrowLeft" ? -1 : 1)
  else if (event.key === "ArrowUp" || event.key === "ArrowDown") setSpeed(find("select", viewer), event.key === "ArrowUp" ? 1 : -1)
  else return
  event.preventDefault()
})

function openPanel(title, text, ids, names, opener) {
  find("h2", panel).textContent = title
  find("p", panel).textContent = text
  find(".clips", panel).replaceChildren(...ids.map(id => {
    const clip = clips[id], button = make("button", { type: "button", className: `clip ${clip.level ?? ""}` }, make("canvas"),
      make("span", { className: "name", textContent: clip.name }))
    const small = [clip.caption, clip.level].filter(Boolean).join(", ")
    if (small) button.append(make("small", { textContent: small }))
    button.dataset.clip = id
    watcher.observe(button)
    return button
  }))
  find(".names", panel).replaceChildren(...names.map(name => make("li", { textContent: name })))
  open(panel, opener)
  panel.scrollTop = 0
}

function openCell(number, place, opener) {
  const { names, cells } = matrices[number], [row, column, count, ids = [], others = []] = cells[place]
  const total = cells.reduce((sum, cell) => sum + (cell[0] === row ? cell[2] : 0), 0)
  const title = row === column ? `${names[row]}, recognised` : `${names[row]}, taken for ${names[column]}`
  const more = count - ids.length - others.length, rest = more > 0 ? `; ${more} of them are not named here` : ""
  openPanel(title, `${count} of ${total} clips of this class (${percent(count / total)})${rest}.`, ids, others, opener)
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-clip], [data-clips], [data-cell], [data-second]")
  if (!button) return
  const { clip, clips: some, cell, second, names } = button.dataset
  if (clip) {
    const group = all("[data-clip]", button.closest(".clips"))
    openClip(group.map(each => Number(each.dataset.clip)), group.indexOf(button), button)
  } else if (cell) openCell(button.closest("[data-matrix]").dataset.matrix, Number(cell), button)
  else if (second) find("video", button.closest(".timeline")).currentTime = Number(second)
  else {
    const ids = some.split(",").filter(Boolean).map(Number), others = JSON.parse(names)
    if (ids.length === 1 && !others.length) openClip(ids, 0, button)
    else openPanel(button.textContent, "", ids, others, button)
  }
})

// ---- tables: a click on a heading sorts, another one turns the order round; empty cells stay last

function sortTable(table, column) {
  const heads = all("thead th", table), head = heads[column], body = find("tbody", table)
  const numeric = head.classList.contains("number")
  const now = head.getAttribute("aria-sort"), first = numeric ? "descending" : "ascending" // the most interesting ones first
  const order = now === first ? (numeric ? "ascending" : "descending") : first
  const rows = all("tr", body).map(row => {
    const cell = row.cells[column], text = cell?.textContent.trim() ?? ""
    return { row, empty: cell?.dataset.value === undefined && (numeric || text === ""), key: numeric ? Number(cell?.dataset.value) : text }
  })
  const collator = new Intl.Collator(undefined, { numeric: true })
  const compare = numeric ? (a, b) => a - b : collator.compare
  rows.sort((a, b) => a.empty - b.empty || (a.empty ? 0 : (order === "ascending" ? 1 : -1) * compare(a.key, b.key)))
  heads.forEach(each => each.removeAttribute("aria-sort"))
  head.setAttribute("aria-sort", order)
  body.append(...rows.map(each => each.row))
}
for (const table of all("table.sortable")) {
  all("thead th", table).forEach((head, column) => { find("button", head).onclick = () => sortTable(table, column) })
}

// ---- a large confusion matrix: only its non-empty cells are in the page, and are drawn here

function largeMatrix(canvas) {
  const number = canvas.dataset.matrix, { names, cells } = matrices[number], readout = canvas.parentElement.nextElementSibling
  const size = clamp(Math.floor((canvas.parentElement.clientWidth || 800) / names.length), 3, 12), side = size * names.length
  const totals = new Map(), places = new Map()
  let chosen = -1
  cells.forEach(([row, column, count], place) => {
    totals.set(row, (totals.get(row) ?? 0) + count)
    places.set(row * names.length + column, place)
  })
  const share = ([row, , count]) => count / totals.get(row)

  function draw() {
    const ratio = devicePixelRatio || 1, paint = canvas.getContext("2d")
    Object.assign(canvas, { width: side * ratio, height: side * ratio })
    canvas.style.width = canvas.style.height = `${side}px`
    paint.scale(ratio, ratio)
    paint.fillStyle = colours.grid
    for (let i = 0; i <= names.length; i += 10) {
      paint.fillRect(i * size - 0.5, 0, 1, side)
      paint.fillRect(0, i * size - 0.5, side, 1)
    }
    for (const cell of cells) {
      const [row, column] = cell
      paint.fillStyle = `rgb(${colours[row === column ? "accent-rgb" : "miss-rgb"]} / ${0.2 + 0.8 * Math.sqrt(share(cell))})`
      paint.fillRect(column * size, row * size, size, size)
    }
    if (chosen < 0) return
    const [row, column] = cells[chosen]
    paint.fillStyle = colours.ink
    paint.globalAlpha = 0.12
    paint.fillRect(0, row * size, side, size)
    paint.fillRect(column * size, 0, size, side)
    paint.globalAlpha = 1
    paint.strokeStyle = colours.ink
    paint.strokeRect(column * size - 1, row * size - 1, size + 2, size + 2)
  }
  function choose(place) {
    if (place === undefined || place < 0 || place >= cells.length || place === chosen) return
    chosen = place
    const [row, column, count] = cells[place]
    readout.textContent = `${names[row]}${row === column ? ", recognised" : `, taken for ${names[column]}`}: ${count} clips, ${percent(share(cells[place]))} of the class`
    draw()
  }
  function near(by) { // the next non-empty cell of this column, upwards or downwards
    const column = cells[chosen]?.[1] ?? 0
    for (let i = chosen + by; i >= 0 && i < cells.length; i += by) if (cells[i][1] === column) return i
  }
  const at = ({ offsetX, offsetY }) => places.get(Math.floor(offsetY / size) * names.length + Math.floor(offsetX / size))
  canvas.onpointermove = event => choose(at(event))
  canvas.onclick = event => { const place = at(event); if (place !== undefined) { choose(place); openCell(number, place, canvas) } }
  canvas.onkeydown = event => {
    const { key } = event
    if (key === "ArrowRight" || key === "ArrowLeft") choose(chosen + (key === "ArrowRight" ? 1 : -1))
    else if (key === "ArrowDown" || key === "ArrowUp") choose(near(key === "ArrowDown" ? 1 : -1))
    else if (key === "Enter" && chosen >= 0) openCell(number, chosen, canvas)
    else return
    event.preventDefault()
    const [row, column] = cells[Math.max(chosen, 0)], box = canvas.parentElement
    box.scrollTo(column * size - box.clientWidth / 2, row * size - box.clientHeight / 2)
  }
  draw()
  return draw
}

// ---- the timeline of a video: a cursor over the bars, and the best labels of the moment

function timeline(element) {
  const { names, top, seconds, hues } = timelines[element.dataset.timeline], video = find("video", element), list = find("ol", element)
  const cursors = all(".cursor", element)
  let shown = -1
  function update() {
    const now = video.currentTime
    cursors.forEach(cursor => { cursor.style.left = `calc(${clamp(now / seconds, 0, 1) * 100}% - 1px)` })
    const at = Math.max(top.findLastIndex(([second]) => second <= now + 1e-3), 0)
    if (at === shown || !top.length) return
    shown = at
    list.replaceChildren(...top[at][1].map(([label, score]) => {
      const bar = make("i", { className: `hue${hues[label] ?? ""}` })
      bar.style.width = percent(clamp(score, 0, 1)).replace(" ", "")
      return make("li", {}, bar, make("span", { textContent: names[label] }), make("span", { textContent: percent(score) }))
    }))
  }
  function follow() { update(); if (!video.paused && !video.ended) requestAnimationFrame(follow) }
  video.addEventListener("play", follow)
  for (const event of ["timeupdate", "seeked", "loadedmetadata"]) video.addEventListener(event, update)
  find(".moment", element).hidden = !top.length
  update()
}

// ---- the beginning

readColours()
const redraws = all("canvas.matrix").map(largeMatrix)
all(".timeline[data-timeline]").forEach(timeline)
all("main [data-clip]").forEach(button => watcher.observe(button))
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours()
  redraws.forEach(redraw => redraw())
  all(".clip").forEach(button => players.get(button)?.draw())
})
addEventListener("beforeprint", () => {
  all("main details").forEach(details => { details.open = true })
  all("main [data-clip]").forEach(button => playerOf(button).draw())
})
