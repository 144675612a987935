"""From a video to an action: who is in it, what they do, and a video that shows it.

    python main.py demo                                  # the sample in resource/media
    python main.py demo --video clip.mp4                 # or a folder, a camera's number, an rtsp:// address
    python main.py demo --keypoints openpose_json/ --video clip.mp4

A file is gone through twice: first every frame is looked at for persons, who are followed (watch.py) and asked about in
windows (recognizer.py); then, when the answer is known, every frame is drawn (panes.py). What is kept in between are the
joints, on disk. Cameras and streams: live.py.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from argparse import Namespace
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import TextIO

import numpy as np
from tqdm import tqdm

from feeder.pose.video import Frame, Video, VideoWriter, list_videos
from feeder.sequence import DataError
from feeder.skeleton import load_skeleton
from processor import panes
from processor.recognizer import UNKNOWN, Recognizer, read_sidecar
from processor.watch import Watcher, Window, vote
from torchlight import device
from torchlight.ahead import ahead
from torchlight.arguments import UsageError
from torchlight.workdir import atomic

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "resource" / "media" / "jumping_jacks.mp4"
BLACK = 340, 256  # size of the picture where there is none
ENDINGS = ".mp4", ".json", ".csv"

Estimator = Callable[[Frame], np.ndarray]  # a frame -> persons (P, V, 3): x, y in pixels, score


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `demo`; see options.demo for arg. With --json, stdout is for a program: all else goes to stderr."""
    answers = sys.stdout
    with redirect_stdout(sys.stderr if arg.json else answers):
        everything(arg, answers)


def everything(arg: Namespace, answers: TextIO) -> None:
    """All that --video names, the results as JSON to `answers` where they are wanted there."""
    recognizer = load_recognizer(arg)
    if is_live(arg.video):
        from processor import live

        return live.run(arg, recognizer, answers)
    given = load_keypoints(arg)
    if arg.video is None and given is not None:
        paths, opened = [Path(arg.keypoints).resolve()], lambda path: Black(given, path)
    else:
        paths, opened = list_videos(SAMPLE if arg.video is None else arg.video), Video
    if given is not None and len(paths) > 1:
        raise UsageError(f"--keypoints are of one video, {arg.video} has {len(paths)}")
    failed = 0
    for path, output in zip(paths, output_names(paths, arg)):
        try:
            result = one_video(arg, recognizer, opened(path), output, given)
        except (DataError, OSError) as error:
            if len(paths) == 1:
                raise
            print(f"error: {error}", file=sys.stderr)
            failed += 1
        else:
            if arg.json:
                print(json.dumps(result, ensure_ascii=False), file=answers, flush=True)
    if failed:
        raise DataError(f"{failed} of {len(paths)} videos could not be read; the others are done")


# ---- what is asked, of whom


def load_recognizer(arg: Namespace) -> Recognizer:
    """The network of --weights, with what its side-car says, over that the config and the command line."""
    if not arg.weights:
        raise UsageError("--weights: which network? Give a checkpoint here or in the config")
    weights = located(arg.weights)
    if not weights.is_file():
        remedy = "; get the published ones with: bash tools/get_models.sh" if "st_gcn." in weights.name else ""
        raise UsageError(f"--weights: {weights.absolute()} does not exist{remedy}")
    description = read_sidecar(weights)
    given = {"model": arg.model, "model_args": arg.model_args, "feeder_args": arg.feeder_args}
    description |= {key: value for key, value in given.items() if value}
    if arg.label_names:
        description["label_names"] = read_names(located(arg.label_names))
    devices = device.select(arg.device, arg.use_gpu)
    return Recognizer(weights, description, devices, device.precision(arg.precision, devices.main))


def read_names(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"label_names: {path} is not a text file") from None
    return [line.strip() for line in lines if line.strip()]


def located(path: str) -> Path:
    """A path of the command line or a config: from here, or else from the project's folder."""
    return Path(path) if Path(path).exists() else ROOT / path


def is_live(video: str | None) -> bool:
    """A camera's number, the original's word for camera 0, or the address of a stream."""
    return video is not None and (video.isdecimal() or video == "camera_source" or "://" in video)


def load_keypoints(arg: Namespace):
    """What --keypoints, or OpenPose's program, found in the video; None: an estimator looks at every frame."""
    from feeder.readers.openpose import read_frames

    if arg.keypoints:
        return read_frames(arg.keypoints)
    if arg.pose == "json":
        raise UsageError(
            "--pose json needs --keypoints, a folder of OpenPose's JSON files or one Kinetics-skeleton file"
        )
    return None


def estimator_for(arg: Namespace, video, given, folder: Path) -> tuple[Estimator, str]:
    """Who finds the persons of this video, and in which layout."""
    if given is None and arg.openpose and arg.pose != "openpose":
        from feeder.pose.openpose import run_openpose
        from feeder.readers.openpose import read_frames

        print("OpenPose is looking at the video ...", flush=True)
        given = read_frames(run_openpose(arg.openpose, video.path, folder, model=arg.openpose_model))
    if given is not None:
        return Given(given, (video.width, video.height)), given.layout
    estimate = picture_estimator(arg)
    return lambda frame: estimate(frame.image), estimate.layout


def picture_estimator(arg: Namespace, long_side: int = 320):
    """MoveNet, or OpenPose's Python module: called with an image (H, W, 3), it gives the persons; its layout."""
    if arg.pose == "openpose":
        from feeder.pose.openpose import OpenPose

        if not arg.openpose:
            raise UsageError("--pose openpose is OpenPose's Python module; name its build folder with --openpose")
        return OpenPose(arg.openpose, arg.openpose_model)
    from feeder.pose.movenet import MoveNet

    return MoveNet(long_side=long_side)


class Given:
    """Persons that were found before; a frame that they do not reach is empty."""

    def __init__(self, keypoints, frame_size: tuple[int, int]):
        self.persons, self.first = keypoints.persons, keypoints.first  # the number of the first frame
        self.unit = np.array([*frame_size, 1] if keypoints.fractions else [1, 1, 1], np.float32)
        self.nobody = np.zeros((0, load_skeleton(keypoints.layout).num_joint, 3), np.float32)

    def __call__(self, frame: Frame) -> np.ndarray:
        at = frame.index - self.first
        return self.persons[at] * self.unit if 0 <= at < len(self.persons) else self.nobody


class Black:
    """A video that nobody has: black frames behind given persons, with the attributes of Video."""

    def __init__(self, keypoints, path: Path, fps: float = 30.0):
        self.path, self.fps, self.num_frame = path, fps, keypoints.first + len(keypoints.persons)
        self.has_audio, self.broken = False, 0
        if not self.num_frame:
            raise DataError(f"{path} has no frames")
        self.width, self.height = BLACK
        if not keypoints.fractions:
            largest = max((persons[..., :2].max(initial=0) for persons in keypoints.persons), default=0)
            self.width = self.height = max(64, int(largest) + 1)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.num_frame):
            yield Frame(index, index / self.fps, np.zeros((self.height, self.width, 3), np.uint8))


def output_names(paths: list[Path], arg: Namespace) -> list[Path]:
    """Where each result goes, without its ending; where two would have one name, all keep their endings."""
    names = [path.name if path.is_dir() else path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [path.name for path in paths]
    outputs = [Path(arg.output_dir) / name for name in names]
    sources = {Path(path).resolve() for path in (*paths, arg.keypoints, arg.label_names) if path}
    for output in outputs:
        for ending in ENDINGS:
            if (written := output.with_name(output.name + ending).resolve()) in sources:
                raise UsageError(f"the result would be written over {written}; give another --output_dir")
    return outputs


# ---- one video


class Spool:
    """The persons of every frame, written down in the first pass and read in the second: memory stays flat."""

    def __init__(self):
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (it goes with the object)

    def write(self, tracks: np.ndarray, joints: np.ndarray) -> None:
        np.save(self.file, tracks, allow_pickle=False)
        np.save(self.file, joints, allow_pickle=False)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        end = self.file.tell()
        self.file.seek(0)
        while self.file.tell() < end:
            yield np.load(self.file), np.load(self.file)


def one_video(arg: Namespace, recognizer: Recognizer, video, output: Path, given) -> dict:
    """Watch it, decide, write <output>.mp4, .json and .csv, and say what was seen."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        estimate, layout = estimator_for(arg, video, given, Path(folder))
        spool, began = Spool(), perf_counter()
        watcher = Watcher(
            recognizer, load_skeleton(layout), (video.width, video.height), arg.window, arg.stride, arg.model_fps
        )
        frames = persons_of(video, estimate)
        num_frame = 0
        for frame, persons in progress(ahead(frames), "pose", video.num_frame):
            spool.write(*watcher.see(frame.index, frame.seconds, persons, video.fps))
            num_frame += 1
        windows = watcher.finish()
    broken = video.broken
    seconds = {"pose and recognition": perf_counter() - began}
    print("Pose estimation complete.")
    result = summary(recognizer, windows, num_frame, video)
    write_result(output, result)
    began = perf_counter()
    draw(arg, recognizer, video, spool, windows, result, output.with_name(f"{output.name}.mp4"))
    seconds["drawing and encoding"] = perf_counter() - began
    if broken:
        print(f"{broken} damaged frames were left out.")
    rates = [f"{stage} {num_frame / max(each, 1e-9):.1f} frames/s" for stage, each in seconds.items()]
    rates.append(f"together {num_frame / max(sum(seconds.values()), 1e-9):.1f}")
    tell(result, ", ".join(rates), output)
    return result


def persons_of(video, estimate: Estimator) -> Iterator[tuple[Frame, np.ndarray]]:
    """Every frame without its picture, and its persons."""
    for frame in ahead(video):
        yield Frame(frame.index, frame.seconds, None), estimate(frame)


def progress(items, title: str, total: int | None):
    return tqdm(items, title, total, unit=" frames", leave=False, disable=None)


def summary(recognizer: Recognizer, windows: list[Window], num_frame: int, video) -> dict:
    """What is in the .json; scores are probabilities."""
    rows, persons = [row(recognizer, window) for window in windows], len({window.track for window in windows})
    return outcome(recognizer, vote(windows), rows, persons, printable(video.path), num_frame, video.fps)


def outcome(
    recognizer: Recognizer,
    probability: np.ndarray | None,
    rows: list[dict],
    persons: int,
    video: str,
    num_frame: int,
    fps: float,
) -> dict:
    """The same from its parts: the vote, and what is said of each window."""
    label, score = (UNKNOWN, 0.0) if probability is None else recognizer.decide(probability)
    return {
        "video": video,
        "label": label,
        "score": round(score, 4),
        "top5": [] if probability is None else rounded(recognizer.top(probability)),
        "frames": num_frame,
        "fps": round(fps, 3),
        "persons": persons,
        "windows": rows,
    }


def row(recognizer: Recognizer, window: Window) -> dict:
    return {
        "track": window.track,
        "first_frame": window.first,
        "last_frame": window.last,
        "first_second": round(window.begin, 3),
        "last_second": round(window.end, 3),
        "label": recognizer.decide(window.probability)[0],
        "top5": rounded(recognizer.top(window.probability)),
    }


def printable(path: Path) -> str:
    """A file's name may be any bytes; what is no text is shown as a question mark."""
    return str(path).encode(errors="replace").decode()


def rounded(pairs: list[tuple[str, float]]) -> list[list]:
    return [[label, round(score, 4)] for label, score in pairs]


def write_result(output: Path, result: dict) -> None:
    """<output>.json, and <output>.csv with a row a window."""
    with atomic(output.with_name(f"{output.name}.json"), "w") as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
    with atomic(output.with_name(f"{output.name}.csv"), "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["track", "first_frame", "last_frame", "first_second", "last_second", "label"]
        writer.writerow([*head, *(f"{what}{k}" for k in range(1, 6) for what in ("label", "score"))])
        for window in result["windows"]:
            best = [*window["top5"], *[("", "")] * 5][:5]
            writer.writerow([*(window[key] for key in head), *(x for pair in best for x in pair)])


def tell(result: dict, speed: str, output: Path) -> None:
    print(f"Prediction result: {result['label']} ({result['score']:.2f})")
    if result["top5"]:
        print("    " + ", ".join(f"{label} {score:.2f}" for label, score in result["top5"]))
    else:
        print("    nobody was seen for long enough")
    print(f"{result['frames']} frames, {result['persons']} persons; {speed}")
    print(f"The Demo result has been saved in {printable(output)}.mp4, .json and .csv.")


# ---- drawing


class Answers:
    """The windows of each person, to ask what was said of somebody in a frame."""

    def __init__(self, recognizer: Recognizer, windows: list[Window]):
        self.recognizer = recognizer
        self.of_track: dict[int, list[Window]] = {}
        for window in windows:
            self.of_track.setdefault(window.track, []).append(window)
        self.middle = {t: [w.first + w.last for w in of_track] for t, of_track in self.of_track.items()}

    def at(self, track: int, index: int) -> Window | None:
        """The person's window whose middle is nearest."""
        windows = self.of_track.get(track)
        if not windows:
            return None
        middle = self.middle[track]
        k = bisect(middle, 2 * index)
        near = [j for j in (k - 1, k) if 0 <= j < len(middle)]
        return windows[min(near, key=lambda j: abs(middle[j] - 2 * index))]

    def person(self, track: int, joints: np.ndarray, index: int) -> panes.Person:
        window = self.at(track, index)
        if window is None:
            return panes.Person(track, joints, "", 0.0, None)
        return person_of(self.recognizer, window, track, joints, index)


def person_of(recognizer: Recognizer, window: Window, track: int, joints: np.ndarray, index: int) -> panes.Person:
    """Somebody as a window speaks of them: label, score and the attention at this frame."""
    label, score = recognizer.decide(window.probability)
    attention = None
    if window.attention is not None:
        T = len(window.attention)
        t = (index - window.first) * T // (window.last - window.first + 1)
        attention = window.attention[min(max(t, 0), T - 1)].astype(np.float32)
    return panes.Person(track, joints, label, score, attention)


def draw(
    arg: Namespace, recognizer: Recognizer, video, spool: Spool, windows: list[Window], result: dict, path: Path
) -> None:
    """The second pass: every frame with what is known now."""
    mosaic = panes.Panes((video.width, video.height), arg.height, recognizer.skeleton)
    answers = Answers(recognizer, windows)
    voted = result["label"] if windows else "nobody seen"
    window = Show(arg.show)

    def mosaics() -> Iterator[tuple[float, np.ndarray]]:
        for frame, (tracks, joints) in zip(ahead(video), spool):
            persons = [answers.person(t, j, frame.index) for t, j in zip(tracks.tolist(), joints)]
            yield frame.seconds, mosaic.draw(frame.image, persons, voted, result["score"])

    sound_from = video.path if video.has_audio else None
    with VideoWriter(path, *mosaic.size, video.fps, sound_from) as out:
        for seconds, picture in progress(ahead(mosaics()), "drawing", result["frames"]):
            out.write(picture, seconds)
            if window(picture):
                raise KeyboardInterrupt


class Show:
    """The window, where there is a display; OpenCV ends the process where there is none, so that is asked first."""

    def __init__(self, wanted: bool):
        self.cv2, self.open = None, False
        if wanted:
            from feeder.pose.opencv import cv2, has_display

            self.cv2 = cv2 if has_display() else self._without("there is no display here")

    def __call__(self, picture: np.ndarray | None) -> bool:
        """Show an RGB picture, or let the last one stand; whether q or Esc was pressed, or the window closed."""
        if self.cv2 is None or (picture is None and not self.open):
            return False
        try:
            if picture is not None:
                self.cv2.imshow("ST-GCN", picture[:, :, ::-1])
                self.open = True
            pressed = self.cv2.waitKey(1) & 0xFF in (ord("q"), 27)
            return pressed or self.cv2.getWindowProperty("ST-GCN", self.cv2.WND_PROP_VISIBLE) == 0
        except self.cv2.error:  # it has gone, or never came: opencv-python-headless
            gone, self.cv2 = self.open, self._without("this OpenCV opens no windows") if not self.open else None
            return gone

    @staticmethod
    def _without(why: str) -> None:
        print(f"{why}; the picture is in the file all the same")
