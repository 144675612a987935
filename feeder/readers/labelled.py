"""One's own recordings, sorted into folders that are the labels: data_path/<label>/<clip>.

Where data_path has the folders train/ and val/, they are the parts and the labels are inside them; otherwise the last
fifth of every class, by name, is "val". With holdout, for choosing anything honestly, the same is done to the training
clips once more, and those of "val" are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from feeder.readers.clip import Clip, Listing
from torchlight.errors import DataError, is_plain_name, short

PARTS = ("train", "val")


def list_clips(
    data_path: str | Path,
    part: str,
    holdout: bool,
    is_clip: Callable[[Path], bool],
    only: Collection[Path] | None = None,
) -> Listing:
    """The clips of "train" or "val"; the label is the place of the folder's name in the alphabet.

    only: the clips that are meant, spelt like data_path; None: all.
    """
    classes, left_out = label_names(data_path, only), []
    of_part = Path(data_path) / ("train" if holdout else part) if _is_split(Path(data_path)) else Path(data_path)
    chosen = _find(sorted(_inside(of_part, only), key=_name), classes, is_clip, left_out)
    if not _is_split(Path(data_path)):
        chosen = _split(chosen, "train" if holdout else part)
    return Listing(_split(chosen, part) if holdout else chosen, left_out)


def label_names(data_path: str | Path, only: Collection[Path] | None = None) -> list[str]:
    """The names of the label folders, sorted; with only those that have one of these clips."""
    folders = [Path(data_path) / part for part in PARTS] if _is_split(Path(data_path)) else [Path(data_path)]
    labels = (path for folder in folders for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    names = {path.name for path in labels if only is None or any(clip.parent == path for clip in only)}
    if strange := [name for name in names if not is_plain_name(name)]:
        line = "has a control character in its name, or a space at an end"
        raise DataError(f"{data_path}: the label folder {short(min(strange))} {line}; rename it")
    if not names:
        raise DataError(f"{data_path}: there are no folders <label>/<clip> in it")
    return sorted(names)


def _is_split(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in PARTS)


def _inside(folder: Path, only: Collection[Path] | None) -> Iterable[Path]:
    return folder.glob("*/*") if only is None else (path for path in only if path.parents[1] == folder)


def _name(path: Path) -> tuple[str, str]:
    """What clips are sorted by; Windows would sort paths without regard to case."""
    return path.parent.name, path.name


def _find(paths: list[Path], classes: list[str], is_clip: Callable[[Path], bool], left_out: list) -> list[Clip]:
    clips = []
    for path in paths:
        name = f"{path.parent.name}/{path.name}"
        if path.parent.name[0] == "." or path.name[0] == ".":
            continue
        if is_clip(path):
            clips.append(Clip(path, name, classes.index(path.parent.name)))
        else:
            left_out.append((name, "is not a clip"))
    return clips


def _split(clips: list[Clip], part: str) -> list[Clip]:
    """Of every class with more than one clip the last fifth, one at least, is "val"; the others are "train"."""
    out = []
    for label in sorted({clip.label for clip in clips}):
        of_class = [clip for clip in clips if clip.label == label]
        kept = len(of_class) - max(len(of_class) // 5, len(of_class) > 1)
        out += of_class[:kept] if part == "train" else of_class[kept:]
    return out
