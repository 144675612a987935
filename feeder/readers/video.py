"""Your own videos, in folders that are the labels: the poses of each are estimated once, and kept.

    videos/<label>/<video>, or videos/train/<label>/<video> and videos/val/<label>/<video>; see labelled.py

Pose estimation takes nearly all of the time, so the poses of each video go to a file. A run that was killed, or one with more
videos, other joints or more persons, estimates only what is new. Of the persons tracked through a clip, the one who is seen
best and moves most is person 1.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from feeder.pose.estimators import PoseEstimator, make_estimator
from feeder.readers import labelled
from feeder.readers.clip import Listing
from feeder.sequence import SkeletonSequence
from feeder.skeleton import load_skeleton, remap
from feeder.tracking.tracker import Tracker
from feeder.video.decode import SUFFIXES, Video
from feeder.windows import GAP, LEAST, Resampler
from torchlight.errors import DataError, UsageError
from torchlight.files import atomic_write
from torchlight.lock import exclusive

FPS = 30.0  # of the clips, whatever the videos have
PATIENCE = 3600  # seconds to wait for another process that is at the same video


@dataclass
class VideoPoses:
    """The poses of a video: its T frames, and one after another the N persons in them.

    Attributes:
        seconds, count: (T,) when each frame is shown, and how many persons are in it.
        points: (N, V, 3) float32 x, y in pixels, score; 0 where missing.
        frame_size: width, height.
        fps: frames a second, on average.
        layout: name of the skeleton layout.
    """

    seconds: np.ndarray
    count: np.ndarray
    points: np.ndarray
    frame_size: tuple[int, int]
    fps: float
    layout: str


def read(
    path: Path,
    root: Path,
    kept: Path,
    layout: str = "openpose",
    num_person: int = 1,
    openpose: str | None = None,
    openpose_model: str = "COCO",
    pose: str = "movenet",
) -> SkeletonSequence:
    """One video, at FPS frames a second, from the first to the last frame with one of its num_person persons in it.

    Args:
        root, kept: the poses of root/x are kept in kept/x.npz.
        layout: the joints to make of those that were found, a name or a YAML file.
        openpose: the folder in which OpenPose was built, to be used in place of `pose`, movenet or blazepose.
    """
    poses = find_poses(path, root, kept, openpose, openpose_model, pose)
    persons = track_persons(poses, layout)
    if not persons:
        raise DataError(f"{path}: no person is seen in it in {LEAST} frames or more")
    keypoints, scores = rows(persons, num_person, poses.frame_size)
    return SkeletonSequence(path.stem, -1, keypoints, scores, poses.frame_size, layout, FPS)


# ---- which videos


def places(paths: Iterable[str | Path]) -> tuple[Path, frozenset[Path] | None]:
    """The folder of the label folders, and which of the videos in it are meant (None: all): of that folder alone, or of
    the videos themselves, as a shell makes them of videos/*/*.mp4. Raises DataError.
    """
    paths = [Path(os.path.abspath(path)) for path in paths]
    for path in paths:
        if not path.exists():
            raise DataError(f"--data_path {path} does not exist")
        if path.is_dir() and len(paths) > 1:
            raise DataError(f"--data_path {path}: give one folder, that of the label folders, or the videos themselves")
    if paths[0].is_dir():
        return paths[0], None
    parents = {path.parents[1] for path in paths}
    roots = sorted({parent.parent if parent.name in labelled.PARTS else parent for parent in parents})
    if len(roots) > 1:
        raise DataError(f"--data_path: label folders in {roots[0]} and in {roots[1]}; put them into one folder")
    return roots[0], frozenset(paths)


def list_clips(root: Path, part: str, holdout: bool = False, only: frozenset[Path] | None = None) -> Listing:
    """The videos of "train" or "val", see labelled.py."""
    return labelled.list_clips(root, part, holdout, is_video, only)


label_names = labelled.label_names


def is_video(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


# ---- pose estimation, once


def find_poses(
    path: Path,
    root: Path,
    kept: Path,
    openpose: str | None = None,
    openpose_model: str = "COCO",
    pose: str = "movenet",
) -> VideoPoses:
    """The poses of a video, see read: those that are kept, or else estimated now, and kept.

    Processes that come to the same video wait for the first one, and take its poses.
    """
    store, job = _store(path, root, kept), _job(path, openpose, openpose_model, pose)
    poses = _load(store, job)
    if poses is not None:
        return poses
    try:
        with exclusive(store.parent, store.name, "another --out_folder", PATIENCE):
            poses = _load(store, job)
            if poses is None:
                poses = run_openpose_on(path, openpose, openpose_model) if openpose else estimate_poses(path, pose)
                _save(store, job, poses)
    except UsageError as error:  # the other one takes too long
        raise DataError(str(error)) from None
    return poses


def is_kept(
    path: Path,
    root: Path,
    kept: Path,
    openpose: str | None = None,
    openpose_model: str = "COCO",
    pose: str = "movenet",
) -> bool:
    """Whether the poses of a video, as it is now, are kept."""
    return _kept_job(_store(path, root, kept)) == _job(path, openpose, openpose_model, pose)


def estimate_poses(path: Path, pose: str = "movenet") -> VideoPoses:
    """By the pose estimator of that name."""
    video, estimate = Video(path), estimator(pose)
    seconds, persons = [], []
    for frame in video:
        seconds.append(frame.seconds)
        persons.append(estimate(frame.image))
    return _video_poses(seconds, persons, video, estimate.layout)


@cache
def estimator(pose: str) -> PoseEstimator:
    """One for each process, with one thread: several videos at once use the cores better."""
    return make_estimator(pose, num_thread=1)


def run_openpose_on(path: Path, openpose: str, model: str) -> VideoPoses:
    """By OpenPose's program."""
    from feeder.pose.openpose import run_openpose
    from feeder.readers.openpose import read_frames

    video = Video(path)
    with tempfile.TemporaryDirectory() as folder:
        found = read_frames(run_openpose(openpose, path, Path(folder) / "json", model), (video.width, video.height))
    seconds = (found.first + np.arange(len(found.persons))) / video.fps
    return _video_poses(seconds, found.persons, video, found.layout)


def _video_poses(seconds: Iterable[float], persons: list[np.ndarray], video: Video, layout: str) -> VideoPoses:
    count = np.array([len(each) for each in persons], int)
    no_person = np.zeros((0, load_skeleton(layout).num_joint, 3))
    points = np.concatenate([no_person, *persons]).astype(np.float32)
    return VideoPoses(np.asarray(seconds), count, points, (video.width, video.height), video.fps, layout)


def _store(path: Path, root: Path, kept: Path) -> Path:
    return kept / path.relative_to(root).with_name(f"{path.name}.npz")


def _job(path: Path, openpose: str | None, openpose_model: str, pose: str) -> str:
    """Who looks at which state of a video."""
    who, file = f"openpose {openpose_model}" if openpose else pose, path.stat()
    return f"{who}, {file.st_size} bytes of {file.st_mtime_ns}"


def _kept_job(store: Path) -> str | None:
    try:
        with np.load(store) as kept:
            return str(kept["job"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save(store: Path, job: str, poses: VideoPoses) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(store) as file:
        np.savez(file, job=job, **asdict(poses))


def _load(store: Path, job: str) -> VideoPoses | None:
    """The poses kept of this very video; None if there are none."""
    try:
        with np.load(store) as kept:
            if str(kept["job"]) != job:
                return None
            size, fps, layout = tuple(kept["frame_size"].tolist()), float(kept["fps"]), str(kept["layout"])
            return VideoPoses(kept["seconds"], kept["count"], kept["points"], size, fps, layout)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


# ---- from frames to rows


def track_persons(poses: VideoPoses, layout: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """The persons who are seen in LEAST frames, the most active first.

    Returns:
        for each person the frames at FPS in which something is known, (n,) int rising, and the joints there (n, V, 3).
    """
    source, target = load_skeleton(poses.layout), load_skeleton(layout)
    tracker = Tracker(source, max_gap=max(1, round(GAP * poses.fps)))
    joints = remap(poses.points, source, target)
    tracks: dict[int, tuple[Resampler, list]] = {}
    ends = poses.count.cumsum().tolist()
    for index, (seconds, begin, end) in enumerate(zip(poses.seconds.tolist(), [0, *ends], ends)):
        for track, person in zip(tracker.update(index, poses.points[begin:end]).tolist(), joints[begin:end]):
            resampler, samples = tracks.setdefault(track, (Resampler(FPS, poses.fps), []))
            samples += resampler.add(seconds, person)
    persons = [tuple(map(np.array, zip(*samples))) for _, samples in tracks.values() if len(samples) >= LEAST]
    persons = [(frame, points) for frame, points in persons if points.any((1, 2)).sum() >= LEAST]
    return sorted(persons, key=lambda person: -activity(person[1]))


def activity(joints: np.ndarray) -> float:
    """How well a person is seen and how much they move, from joints (n, V, 3).

    The sum of all scores, times the root mean square distance of the joints from their mean, in pixels.
    """
    seen = joints[..., 2:] > 0  # (n, V, 1)
    count = np.maximum(seen.sum(0), 1)  # (V, 1)
    stray = (joints[..., :2] - joints[..., :2].sum(0) / count) * seen
    return float(joints[..., 2].sum() * np.sqrt((stray**2).sum(0) / count).mean())


def rows(
    persons: list[tuple[np.ndarray, np.ndarray]], num_person: int, frame_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Each person into the first row that is free in all of its frames: (M, T, V, 2) centred fractions, (M, T, V)."""
    length, V = 1 + max(frame[-1] for frame, _ in persons), persons[0][1].shape[1]
    out = np.zeros((num_person, length, V, 3), np.float32)
    for frame, points in persons:
        row = next((row for row in out if not row[frame].any()), None)
        if row is not None:
            row[frame] = points
    there = np.flatnonzero(out.any((0, 2, 3)))
    out = out[:, there[0] : there[-1] + 1]
    scores = out[..., 2]
    return (out[..., :2] / np.array(frame_size, np.float32) - 0.5) * (scores[..., None] > 0), scores
