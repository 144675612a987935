"""Recordings in one of these formats to the packed data that the feeder reads.

    python tools/gendata.py --format penn-action --data_path <folder of labels/>
    python tools/gendata.py --format nw-ucla --data_path <folder of all_sqe/>
    python tools/gendata.py --format sbu --data_path <folder of s01s02/ ...>        # fold1/ ... fold5/
    python tools/gendata.py --format sbu --data_path <folder> --fold 1              # only that fold
    python tools/gendata.py --format utd-mhad --data_path <folder of Skeleton/>
    python tools/gendata.py --format openpose --data_path <folder> --frame_size 1920x1080
    python tools/gendata.py --format pyskl --data_path ntu60_3danno.pkl             # xsub/ and xview/
    python tools/gendata.py --format packed --data_path data/x --out_format h5      # .npy to .h5; without it, back

Writes {train,val}_data.npy, _label.pkl, where known _frame_size.npy, and label_names.txt; val is the data set's test
part. With --holdout the test part is not touched: the training clips are split into train and val, to choose epochs,
rates and the like by (Penn Action, OpenPose: the last fifth of every class; NW-UCLA: subjects 9 and 10; SBU: the pairs
of the next fold; UTD-MHAD: subject 7). A run that was killed goes on where it stopped.

--out_format h5 writes {train,val}.h5 in place of all of these: clips without their padding, compressed, and all that is
known of them. packed: such files become .npy, or .npy become such files, in <data_path> or in --out_folder.

nw-ucla: views 1 and 2 train, 3 tests; --train_view 1 --test_view 2 is another way to leave the test alone. --fix_labels
gives 24 training clips, which bear the name of the opposite action, the right one (see feeder/readers/nw_ucla.py).

utd-mhad: subjects 1, 3, 5, 7 train, the others test; --train_subject and --test_subject choose others.

openpose: <data_path>/<label>/<clip> is a folder of OpenPose's JSON, or a Kinetics-skeleton file. Where data_path has
folders train/ and val/, the labels are inside those; otherwise val is the last fifth of every class.

pyskl: a pickle of PYSKL or MMAction2. Every split is written: xsub_train and xsub_val to <out_folder>/xsub, test1 to
<out_folder>/split1 (as val), train and val to <out_folder> itself. Class names are known for NTU only.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.conversion import convert
from feeder.gendata import longest, pack_parts, show_left_out
from feeder.packed_writer import packing, write_label_names
from feeder.readers.clip import Format
from tools.command import add_out_format, run
from torchlight.errors import DataError
from torchlight.machine import cores

FORMATS = {  # name: its file in feeder/readers/, see feeder/readers/clip.py
    "penn-action": "penn_action",
    "nw-ucla": "nw_ucla",
    "sbu": "sbu",
    "utd-mhad": "utd_mhad",
    "openpose": "openpose",
    "pyskl": "pyskl",
}

PACKED = "packed"  # what is packed already


def main() -> None:
    formats: dict[str, Format] = {
        name: importlib.import_module(f"feeder.readers.{module}") for name, module in FORMATS.items()
    }
    arg = parse(formats)
    check(arg, formats)
    if arg.format == PACKED:
        print("\n".join(convert(arg.data_path, arg.out_folder or folder_of(arg.data_path), arg.out_format)))
        return
    chosen, out_folder = formats[arg.format], Path(arg.out_folder or f"data/{arg.format}")
    arg.num_person = chosen.NUM_PERSON if arg.num_person is None else arg.num_person
    read, parts = chosen.reader(arg), chosen.list_parts(arg, out_folder)
    show_left_out(parts[0][2])
    num_worker = 1 if Path(arg.data_path).is_file() else arg.num_worker  # one file is read once, by one process
    num_frame = arg.num_frame or longest(chosen.all_clips(arg), read, num_worker)
    names = chosen.label_names(arg.data_path)
    with packing(out_folder):
        pack_parts(parts, read, num_frame, arg.num_person, num_worker, arg.out_format, names)
        if names and arg.out_format == "npy":
            for folder in dict.fromkeys([out_folder, *(folder for folder, _, _ in parts)]):
                write_label_names(folder, names)


def folder_of(path: str) -> Path:
    return Path(path) if Path(path).is_dir() else Path(path).parent


def parse(formats: dict[str, Format]) -> argparse.Namespace:
    """The options of all formats, and those that a format alone has."""
    parser = argparse.ArgumentParser(description="Pack recordings for the feeder.")
    choices = sorted([*formats, PACKED])
    parser.add_argument("--format", required=True, choices=choices, help="which data set or format it is")
    parser.add_argument("--data_path", required=True, help="its folder; of pyskl the pickle")
    parser.add_argument("--out_folder", help="where to write (default: data/<format>; of packed: --data_path)")
    add_out_format(parser)
    parser.add_argument("--holdout", action="store_true", help="split the training clips, without the test clips")
    parser.add_argument("--num_worker", type=int, default=cores(), help="processes that read (default: all cores)")
    parser.add_argument("--num_frame", type=int, help="frames of a sample, T (default: the longest clip)")
    parser.add_argument(
        "--num_person", type=int, help="persons of a sample, M (default: Penn, NW-UCLA, UTD 1, others 2)"
    )
    parser.add_argument("--mend_labels", dest="fix_labels", action="store_true", help=argparse.SUPPRESS)  # former name
    parser.set_defaults(fix_labels=None)
    seen = set()
    for name, module in formats.items():
        group = parser.add_argument_group(name)
        for option, settings in module.OPTIONS.items():
            if option not in seen:
                group.add_argument(option, **settings)
            seen.add(option)
    return parser.parse_args()


def check(arg: argparse.Namespace, formats: dict[str, Format]) -> None:
    """Options of another format, and values that cannot be."""
    if (arg.num_frame is not None and arg.num_frame < 1) or (arg.num_person is not None and arg.num_person < 1):
        raise DataError("--num_frame and --num_person must be 1 or more")
    for option in dict.fromkeys(option for module in formats.values() for option in module.OPTIONS):
        takers = [name for name, module in formats.items() if option in module.OPTIONS]
        if getattr(arg, option.removeprefix("--")) is not None and arg.format not in takers:
            raise DataError(f"{option} is for {' and '.join(takers)}, not for {arg.format}")
    if arg.format == PACKED:
        for option in ("num_frame", "num_person", "holdout"):
            if getattr(arg, option):
                raise DataError(f"--{option} is not for packed data, which are converted as they are")
        if not Path(arg.data_path).exists():
            raise DataError(f"{arg.data_path} does not exist; give packed data, a folder or a file")
        return
    if arg.format == "pyskl" and not Path(arg.data_path).is_file() and not arg.holdout:
        raise DataError(f"{arg.data_path} is not a file; give the pickle as --data_path")
    if arg.format != "pyskl" and not Path(arg.data_path).is_dir():
        raise DataError(f"{arg.data_path} is not a folder; give the folder of the recordings as --data_path")


if __name__ == "__main__":
    run(main)
