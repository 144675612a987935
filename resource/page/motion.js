// The skeletons of a page, drawn on canvases; processor/page/motion.py says how clips are stored. page.js goes on from here,
// in the same script. No library, and nothing is fetched: all that is shown is in the page.
"use strict"

const find = (selector, root = document) => root.querySelector(selector)
const all = (selector, root = document) => [...root.querySelectorAll(selector)]
const bytes = text => Uint8Array.from(atob(text), each => each.charCodeAt(0))
const percent = share => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`
const clamp = (value, low, high) => Math.min(Math.max(value, low), high)

const { skeleton, clips, matrices, timelines } = JSON.parse(find("#data").textContent)
const calm = matchMedia("(prefers-reduced-motion: reduce)")
const FRAME_MS = 66 // of a thumbnail: 15 pictures a second
const PAUSE = 0.5 // seconds on the last frame before a clip begins anew

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

let colours
function readColours() {
  const style = getComputedStyle(document.documentElement)
  const get = name => style.getPropertyValue(`--${name}`).trim()
  colours = Object.fromEntries(["ink", "quiet", "look", "grid", "accent-rgb", "miss-rgb"].map(name => [name, get(name)]))
  colours.sides = ["", "-2"].map(shade => ["middle", "left", "right"].map(name => get(name + shade))) // by person, then by side
}

// ---- moving skeletons

class Player {
  constructor(canvas, clip) {
    clip.bytes ??= bytes(clip.points)
    if (clip.attention) clip.looks ??= bytes(clip.attention)
    Object.assign(this, { canvas, clip, seconds: 0, at: 0, speed: 1, yaw: 0, pitch: 0 })
    if (calm.matches) this.show(clip.shape[0] >> 1)
  }

  get count() { return this.clip.shape[0] }
  get frame() { return this.clip.frames ? this.clip.frames[this.at] : this.at } // its number in the clip
  get isMarked() { return (this.clip.marks ?? []).some(([first, last]) => first <= this.frame && this.frame <= last) }

  show(at) {
    this.at = clamp(at, 0, Math.max(this.count - 1, 0))
    this.seconds = this.frame / this.clip.fps
  }

  advance(seconds) { // whether there is another frame to draw
    const { frames, length, fps } = this.clip, before = this.at
    this.seconds = (this.seconds + seconds * this.speed) % (length / fps + PAUSE)
    const now = Math.min(Math.floor(this.seconds * fps + 1e-6), length - 1)
    if (!frames) this.at = Math.max(now, 0)
    else {
      if (frames[this.at] > now) this.at = 0
      while (this.at + 1 < frames.length && frames[this.at + 1] <= now) this.at++
    }
    return this.at !== before
  }

  draw() {
    const { canvas, clip } = this, ratio = devicePixelRatio || 1
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio)
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height })
    const paint = canvas.getContext("2d")
    paint.clearRect(0, 0, width, height)
    canvas.classList.toggle("marked", this.isMarked)
    if (this.count === 0) {
      paint.fillStyle = colours.quiet
      paint.font = `${13 * ratio}px sans-serif`
      paint.textAlign = "center"
      return paint.fillText("nobody is in it", width / 2, height / 2)
    }
    const [, people, joints] = clip.shape, place = this.projection(width, height)
    for (let m = 0; m < people; m++) {
      const points = Array.from({ length: joints }, (_, v) => place((this.at * people + m) * joints + v))
      this.drawBody(paint, points, colours.sides[m % 2], Math.max(1.2 * ratio, Math.min(width, height) / 95))
    }
  }

  projection(width, height) { // from the place of a joint among all to its place on the canvas, or null if it is missing
    const { bytes, size, shape } = this.clip, dims = shape[3], middle = size.map(most => (most + 1) / 2)
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)]
    const [dx, dy, dz] = [size[0], size[1], dims === 3 ? size[2] : 0].map(most => Math.max(most - 1, 1))
    const turned = this.yaw || this.pitch
    const wide = turned ? Math.hypot(dx, dz) : dx, tall = turned ? Math.hypot(dy, dz * Math.abs(sp)) : dy
    const scale = 0.86 * Math.min(width / wide, height / tall)
    return joint => {
      const i = joint * dims
      if (bytes[i] === 0) return null
      let x = bytes[i] - middle[0], y = bytes[i + 1] - middle[1]
      if (dims === 3) {
        const z = bytes[i + 2] - middle[2], depth = z * cy - x * sy
        x = x * cy + z * sy
        y = y * cp - depth * sp
      }
      return [width / 2 + scale * x, height / 2 + scale * y]
    }
  }

  drawBody(paint, points, shades, thick) {
    const sides = skeleton && skeleton.sides.length === points.length ? skeleton.sides : points.map(() => 0)
    paint.lineWidth = thick
    paint.lineCap = "round"
    for (const [a, b, side] of skeleton?.bones ?? []) {
      if (!points[a] || !points[b]) continue
      paint.strokeStyle = shades[side]
      paint.beginPath()
      paint.moveTo(...points[a])
      paint.lineTo(...points[b])
      paint.stroke()
    }
    points.forEach((point, v) => {
      if (!point) return
      const look = this.clip.looks ? this.clip.looks[this.at * points.length + v] / 255 : 0
      this.drawDot(paint, point, thick * 1.05, shades[sides[v]], 1)
      if (look > 0.02) this.drawDot(paint, point, thick * (1 + 2.2 * look), colours.look, 0.25 + 0.7 * look)
    })
  }

  drawDot(paint, [x, y], radius, colour, alpha) {
    paint.globalAlpha = alpha
    paint.fillStyle = colour
    paint.beginPath()
    paint.arc(x, y, radius, 0, 7)
    paint.fill()
    paint.globalAlpha = 1
  }
}

const players = new WeakMap() // of the thumbnails that have been seen
const moving = new Set() // those of them that play
function playerOf(button) {
  if (!players.has(button)) players.set(button, new Player(find("canvas", button), clips[button.dataset.clip]))
  return players.get(button)
}

const watcher = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    const player = playerOf(target)
    if (isIntersecting) {
      player.draw()
      if (!calm.matches) moving.add(player)
    } else {
      moving.delete(player)
      player.canvas.width = 0 // frees its memory
    }
  }
  wake()
}, { rootMargin: "60px" })

// The large view: while it is open thumbnails rest; what plays in it, and what is done after a new frame.
const stage = { isOpen: false, player: null, onframe: null }

let awake = false, last = 0
function wake() {
  if (awake || !(stage.player || (moving.size && !stage.isOpen))) return
  awake = true
  last = performance.now()
  requestAnimationFrame(tick)
}
function tick(now) {
  awake = false
  if (stage.player || now - last >= FRAME_MS) {
    const seconds = clamp((now - last) / 1000, 0, 0.25)
    last = now
    if (stage.player?.advance(seconds)) stage.onframe()
    if (!stage.isOpen) for (const player of moving) if (player.advance(seconds)) player.draw()
  }
  if (stage.player || (moving.size && !stage.isOpen)) { awake = true; requestAnimationFrame(tick) }
}

for (const [on, off] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) { // who wants calm sees it move on demand
  document.addEventListener(on, ({ target }) => {
    const button = calm.matches && target.closest?.(".clip")
    if (button) { moving.add(playerOf(button)); wake() }
  })
  document.addEventListener(off, ({ target }) => {
    const button = calm.matches && target.closest?.(".clip")
    if (button) moving.delete(playerOf(button))
  })
}
