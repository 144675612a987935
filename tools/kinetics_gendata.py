"""Kinetics-skeleton JSON files to the packed data that the feeder reads.

    python tools/kinetics_gendata.py --data_path data/Kinetics/kinetics-skeleton

Reads kinetics_{train,val}/*.json and kinetics_{train,val}_label.json, writes {train,val}_data.npy, _label.pkl and
label_names.txt, or with --out_format h5 {train,val}.h5. A run that was killed goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.gendata import pack_parts, show_left_out
from feeder.packed_writer import packing, write_label_names
from feeder.readers import kinetics
from tools.command import add_out_format, run
from torchlight.errors import DataError
from torchlight.machine import cores


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack Kinetics-skeleton JSON files.")
    parser.add_argument("--data_path", default="data/Kinetics/kinetics-skeleton", help="folder of kinetics_train/ ...")
    parser.add_argument("--out_folder", help="where to write (default: --data_path)")
    parser.add_argument("--num_worker", type=int, default=cores(), help="processes that read (default: all cores)")
    parser.add_argument("--num_frame", type=int, default=300, help="frames of a sample, T (default: 300)")
    parser.add_argument("--num_person", type=int, default=2, help="persons of a sample, M (default: 2)")
    add_out_format(parser)
    arg = parser.parse_args()
    if arg.num_frame < 1 or arg.num_person < 1:
        raise DataError("--num_frame and --num_person must be 1 or more")
    out_folder = arg.out_folder or arg.data_path
    there = [part for part in ("train", "val") if kinetics.has_part(arg.data_path, part)]
    if not there:
        raise DataError(
            f"{arg.data_path}: no kinetics_train/ and no kinetics_val/ here; give their folder as --data_path"
        )
    for part in {"train", "val"} - set(there):
        print(f"{arg.data_path}: there is no kinetics_{part}/, so no {part} part")
    parts = []
    for part in there:
        listing = kinetics.list_clips(arg.data_path, part)
        show_left_out(listing)
        parts.append((out_folder, part, listing))
    read = partial(kinetics.read, num_person=arg.num_person, num_person_in=max(5, arg.num_person))
    names = kinetics.label_names(arg.data_path)
    with packing(out_folder):
        pack_parts(parts, read, arg.num_frame, arg.num_person, arg.num_worker, arg.out_format, names)
        if arg.out_format == "npy":
            write_label_names(out_folder, names)


if __name__ == "__main__":
    run(main)
