"""Recordings in one of these formats to the packed data that the feeder reads.

    python tools/gendata.py --format penn-action --data_path <folder of labels/>
    python tools/gendata.py --format nw-ucla --data_path <folder of all_sqe/>
    python tools/gendata.py --format sbu --data_path <folder of s01s02/ ...>        # fold1/ ... fold5/
    python tools/gendata.py --format sbu --data_path <folder> --fold 1              # only that fold
    python tools/gendata.py --format openpose --data_path <folder> --frame_size 1920x1080
    python tools/gendata.py --format pyskl --data_path ntu60_3danno.pkl             # xsub/ and xview/

Writes {train,val}_data.npy, _label.pkl, where known _frame_size.npy, and label_names.txt; val is the data set's test
part. With --holdout the test part is not touched: the training clips are split into train and val, to choose epochs,
rates and the like by (Penn Action, OpenPose: the last fifth of every class; NW-UCLA: subjects 9 and 10; SBU: the pairs
of the next fold). A run that was killed goes on where it stopped.

nw-ucla: views 1 and 2 train, 3 tests; --train_view 1 --test_view 2 is another way to leave the test alone. --mend_labels
gives 24 training clips, which bear the name of the opposite action, the right one (see feeder/readers/nw_ucla.py).

openpose: <data_path>/<label>/<clip> is a folder of OpenPose's JSON, or a Kinetics-skeleton file. Where data_path has
folders train/ and val/, the labels are inside those; otherwise val is the last fifth of every class.

pyskl: a pickle of PYSKL or MMAction2. Every split is written: xsub_train and xsub_val to <out_folder>/xsub, test1 to
<out_folder>/split1 (as val), train and val to <out_folder> itself. Class names are known for NTU only.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.gendata import longest, pack_parts, show_left_out, write_label_names
from feeder.readers.clip import Clip, Listing
from feeder.skeleton import load_skeleton
from tools.command import run
from torchlight.errors import DataError
from torchlight.machine import cores

READERS = {"penn-action": "penn_action", "nw-ucla": "nw_ucla", "sbu": "sbu", "openpose": "openpose", "pyskl": "pyskl"}
PERSONS = {"penn-action": 1, "nw-ucla": 1, "sbu": 2, "openpose": 2, "pyskl": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack recordings for the feeder.")
    parser.add_argument("--format", required=True, choices=sorted(READERS), help="which data set or format it is")
    parser.add_argument("--data_path", required=True, help="its folder; of pyskl the pickle")
    parser.add_argument("--out_folder", help="where to write (default: data/<format>)")
    parser.add_argument("--fold", type=int, help="SBU: one fold, 1 to 5, written to --out_folder itself (default: all)")
    parser.add_argument("--holdout", action="store_true", help="split the training clips, without the test clips")
    parser.add_argument("--train_view", type=int, nargs="+", choices=(1, 2, 3), help="nw-ucla (default: 1 2)")
    parser.add_argument("--test_view", type=int, nargs="+", choices=(1, 2, 3), help="nw-ucla (default: 3)")
    parser.add_argument("--mend_labels", action="store_true", help="nw-ucla: name 24 training clips by what they show")
    parser.add_argument("--frame_size", help="openpose: WIDTHxHEIGHT of the videos, where coordinates are pixels")
    parser.add_argument("--layout", help="openpose, pyskl: joints to make of those there (default: openpose; as is)")
    parser.add_argument("--num_worker", type=int, default=cores(), help="processes that read (default: all cores)")
    parser.add_argument("--num_frame", type=int, help="frames of a sample, T (default: the longest clip)")
    parser.add_argument("--num_person", type=int, help="persons of a sample, M (default: Penn, NW-UCLA 1, others 2)")
    arg = parser.parse_args()
    arg.num_person = PERSONS[arg.format] if arg.num_person is None else arg.num_person
    check(arg)
    reader = importlib.import_module(f"feeder.readers.{READERS[arg.format]}")
    read, out_folder = partial(reader.read, **read_options(arg)), Path(arg.out_folder or f"data/{arg.format}")
    parts = list_parts(arg, reader, out_folder)
    show_left_out(parts[0][2])
    num_worker = 1 if arg.format == "pyskl" else arg.num_worker
    num_frame = arg.num_frame or longest(every_clip(arg, reader, parts), read, num_worker)
    pack_parts(parts, read, num_frame, arg.num_person, num_worker)
    if names := reader.label_names(arg.data_path):
        for folder in dict.fromkeys([out_folder, *(folder for folder, _, _ in parts)]):
            write_label_names(folder, names)


def check(arg: argparse.Namespace) -> None:
    """Options that do not belong together, and values that cannot be."""
    if (arg.num_frame is not None and arg.num_frame < 1) or arg.num_person < 1:
        raise DataError("--num_frame and --num_person must be 1 or more")
    if arg.fold is not None and arg.format != "sbu":
        raise DataError(f"--fold is for sbu; {arg.format} has no folds")
    if arg.frame_size is not None and arg.format != "openpose":
        raise DataError(f"--frame_size is for openpose; {arg.format} says itself how large its frames are")
    if arg.layout is not None and arg.format not in ("openpose", "pyskl"):
        raise DataError(f"--layout is for openpose and pyskl; {arg.format} has one layout")
    if (arg.train_view or arg.test_view or arg.mend_labels) and arg.format != "nw-ucla":
        raise DataError(f"--train_view, --test_view and --mend_labels are for nw-ucla, not for {arg.format}")
    arg.train_view, arg.test_view = arg.train_view or [1, 2], arg.test_view or [3]
    if both := sorted(set(arg.train_view) & set(arg.test_view)):
        raise DataError(
            f"view {both[0]} is among --train_view and --test_view; clips to test by must not be trained on"
        )
    if arg.holdout and arg.format == "pyskl":
        raise DataError("--holdout is not for pyskl; the file has its own splits, to which others can be added")
    if arg.format == "pyskl" and not Path(arg.data_path).is_file():
        raise DataError(f"{arg.data_path} is not a file; give the pickle as --data_path")
    if arg.format != "pyskl" and not Path(arg.data_path).is_dir():
        raise DataError(f"{arg.data_path} is not a folder; give the folder of the recordings as --data_path")


def read_options(arg: argparse.Namespace) -> dict:
    """What the format's read() is told beside the path."""
    if arg.layout is not None:
        load_skeleton(arg.layout)  # is it known?
    if arg.format == "pyskl":
        return {"layout": arg.layout}
    if arg.format == "nw-ucla":
        return {"mended": arg.mend_labels}
    if arg.format != "openpose":
        return {}
    size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", arg.frame_size or "1x1")
    if size is None:
        raise DataError(f"--frame_size is {arg.frame_size!r}; WIDTHxHEIGHT in pixels is needed, like 1920x1080")
    frame_size = (int(size[1]), int(size[2])) if arg.frame_size else None
    return {"frame_size": frame_size, "layout": arg.layout or "openpose", "num_person": arg.num_person}


def list_parts(arg: argparse.Namespace, reader: ModuleType, out_folder: Path) -> list[tuple[Path, str, Listing]]:
    """What is written: (folder, part, its clips)."""
    if arg.format == "pyskl":
        return [
            (out_folder / family, part, reader.list_clips(arg.data_path, split))
            for split, family, part in reader.places(arg.data_path)
        ]
    places = [(out_folder, {})]
    if arg.format == "sbu":
        folds = {out_folder / f"fold{k}": k for k in range(1, 6)} if arg.fold is None else {out_folder: arg.fold}
        places = [(folder, {"fold": fold}) for folder, fold in folds.items()]
    if arg.format == "nw-ucla":
        places = [(out_folder, {"views": (arg.train_view, arg.test_view), "mended": arg.mend_labels})]
    return [
        (folder, part, reader.list_clips(arg.data_path, part, holdout=arg.holdout, **options))
        for folder, options in places
        for part in ("train", "val")
    ]


def every_clip(arg: argparse.Namespace, reader: ModuleType, parts: list) -> list[Clip]:
    """All clips once, so that T is the same with and without --holdout, in every fold and in every split."""
    if arg.format == "pyskl":
        return list(dict.fromkeys(clip for _, _, listing in parts for clip in listing.clips))
    return [clip for part in ("train", "val") for clip in reader.list_clips(arg.data_path, part, holdout=False).clips]


if __name__ == "__main__":
    run(main)
