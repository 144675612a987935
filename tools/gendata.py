"""Penn Action, NW-UCLA or SBU to the packed data that the feeder reads.

    python tools/gendata.py --format penn-action --data_path <folder of labels/>
    python tools/gendata.py --format nw-ucla --data_path <folder of all_sqe/>
    python tools/gendata.py --format sbu --data_path <folder of s01s02/ ...>        # fold1/ ... fold5/
    python tools/gendata.py --format sbu --data_path <folder> --fold 1              # only that fold

Writes {train,val}_data.npy, _label.pkl, where known _frame_size.npy, and label_names.txt; val is the data set's test
part. With --holdout the test part is not touched: the training clips are split into train and val, to choose epochs,
rates and the like by (Penn Action: the last fifth of every class; NW-UCLA: subjects 9 and 10; SBU: the pairs of the
next fold). A run that was killed goes on where it stopped.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.readers.convert import cores, longest, pack_parts, show_left_out, write_label_names
from feeder.sequence import DataError
from tools.command import run

READERS = {"penn-action": "penn_action", "nw-ucla": "nw_ucla", "sbu": "sbu"}
PERSONS = {"penn-action": 1, "nw-ucla": 1, "sbu": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack Penn Action, NW-UCLA or SBU.")
    parser.add_argument("--format", required=True, choices=sorted(READERS), help="which data set it is")
    parser.add_argument("--data_path", required=True, help="its folder")
    parser.add_argument("--out_folder", help="where to write (default: data/<format>)")
    parser.add_argument("--fold", type=int, help="SBU: one fold, 1 to 5, written to --out_folder itself (default: all)")
    parser.add_argument("--holdout", action="store_true", help="split the training clips, without the test clips")
    parser.add_argument("--num_worker", type=int, default=cores(), help="processes that read (default: all cores)")
    parser.add_argument("--num_frame", type=int, help="frames of a sample, T (default: the longest clip)")
    parser.add_argument("--num_person", type=int, help="persons of a sample, M (default: SBU 2, the others 1)")
    arg = parser.parse_args()
    if min(arg.num_frame or 1, arg.num_person or 1) < 1 or arg.num_frame == 0 or arg.num_person == 0:
        raise DataError("--num_frame and --num_person must be 1 or more")
    if arg.fold is not None and arg.format != "sbu":
        raise DataError(f"--fold is for sbu; {arg.format} has no folds")
    if not Path(arg.data_path).is_dir():
        raise DataError(f"{arg.data_path} is not a folder; give the folder of the recordings as --data_path")
    reader = importlib.import_module(f"feeder.readers.{READERS[arg.format]}")
    out_folder = Path(arg.out_folder or f"data/{arg.format}")
    parts = []
    for folder, options in places(arg.format, out_folder, arg.fold):
        for part in ("train", "val"):
            parts.append((folder, part, reader.list_clips(arg.data_path, part, holdout=arg.holdout, **options)))
    show_left_out(parts[0][2])
    num_frame = arg.num_frame or longest(every_clip(reader, arg.data_path), reader.read, arg.num_worker)
    pack_parts(parts, reader.read, num_frame, arg.num_person or PERSONS[arg.format], arg.num_worker)
    for folder in dict.fromkeys([out_folder, *(folder for folder, _, _ in parts)]):
        write_label_names(folder, reader.label_names())


def places(name: str, out_folder: Path, fold: int | None) -> list[tuple[Path, dict]]:
    """Folders to write to, and the options of list_clips that say what comes there."""
    if name != "sbu":
        return [(out_folder, {})]
    if fold is not None:
        return [(out_folder, {"fold": fold})]
    return [(out_folder / f"fold{k}", {"fold": k}) for k in range(1, 6)]


def every_clip(reader: object, data_path: str) -> list:
    """All clips, so that T is the same with and without --holdout and in every fold."""
    return [clip for part in ("train", "val") for clip in reader.list_clips(data_path, part).clips]


if __name__ == "__main__":
    run(main)
