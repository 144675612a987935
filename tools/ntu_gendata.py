"""NTU RGB+D .skeleton files to the packed data that the feeder reads.

    python tools/ntu_gendata.py --data_path data/NTU-RGB-D/nturgb+d_skeletons
    python tools/ntu_gendata.py --dataset ntu120 --data_path <folder of both archives' folders>

Writes {out_folder}/{xsub,xview}/{train,val}_data.npy, _label.pkl and label_names.txt (NTU RGB+D 120: xsub and xset), or
with --out_format h5 {train,val}.h5. A run that was killed goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.gendata import pack_parts, show_left_out
from feeder.packed_writer import packing, write_label_names
from feeder.readers import ntu
from feeder.readers.clip import read_lines
from tools.command import add_out_format, run
from torchlight.errors import DataError
from torchlight.machine import cores

OUT = {"ntu60": "data/NTU-RGB-D", "ntu120": "data/NTU-RGB-D-120"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack NTU RGB+D .skeleton files.")
    parser.add_argument("--data_path", default="data/NTU-RGB-D/nturgb+d_skeletons", help="folder of .skeleton files")
    parser.add_argument("--ignored_sample_path", help="list of samples to leave out (default: the data set's own list)")
    parser.add_argument("--out_folder", help="where to write (default: data/NTU-RGB-D, or data/NTU-RGB-D-120)")
    parser.add_argument("--dataset", choices=sorted(ntu.BENCHMARKS), default="ntu60", help="(default: ntu60)")
    parser.add_argument("--denoise", action="store_true", help="choose and join bodies as SGN and CTR-GCN do")
    parser.add_argument("--num_worker", type=int, default=cores(), help="processes that read (default: all cores)")
    parser.add_argument("--num_frame", type=int, default=300, help="frames of a sample, T; more are cut (default: 300)")
    parser.add_argument("--num_person", type=int, default=2, help="persons of a sample, M (default: 2)")
    add_out_format(parser)
    arg = parser.parse_args()
    if arg.num_frame < 1 or arg.num_person < 1:
        raise DataError("--num_frame and --num_person must be 1 or more")
    if not Path(arg.data_path).is_dir():
        raise DataError(f"{arg.data_path} is not a folder; give the folder of .skeleton files as --data_path")
    ignored = read_lines(Path(arg.ignored_sample_path or ntu.MISSING[arg.dataset]))
    out_folder = Path(arg.out_folder or OUT[arg.dataset])
    parts = []
    for benchmark in ntu.BENCHMARKS[arg.dataset]:
        for part in ("train", "val"):
            listing = ntu.list_clips(arg.data_path, part, benchmark, arg.dataset, ignored)
            parts.append((out_folder / benchmark, part, listing))
    show_left_out(listing)
    read = partial(ntu.read, num_person=arg.num_person, denoised=arg.denoise)
    names = ntu.label_names(arg.dataset)
    with packing(out_folder):
        pack_parts(parts, read, arg.num_frame, arg.num_person, arg.num_worker, arg.out_format, names)
        if arg.out_format == "npy":
            for folder in dict.fromkeys([out_folder, *(folder for folder, _, _ in parts)]):
                write_label_names(folder, names)


if __name__ == "__main__":
    run(main)
