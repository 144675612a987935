"""Make the synthetic data set: ten actions of synthetic bodies (feeder/synthetic/). Takes seconds.

python tools/synthetic_gendata.py --out_folder data/synthetic
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from feeder.packed_writer import packing, write_label_names, write_packed
from feeder.synthetic.clips import LABEL_NAMES, SUBJECTS, clips
from tools.command import add_out_format, run
from torchlight.errors import DataError


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out_folder", default="data/synthetic", help="default: data/synthetic")
    p.add_argument("--num_train", type=int, default=600, help="clips by the subjects of train (default: 600)")
    p.add_argument("--num_test", type=int, default=200, help="clips by other subjects, written as val (default: 200)")
    p.add_argument("--num_frame", type=int, default=150, help="frames of a sample; clips have 60 to 150 (default: 150)")
    p.add_argument("--seed", type=int, default=0, help="another seed, other subjects and clips (default: 0)")
    add_out_format(p)
    arg = p.parse_args()
    for option, least in (("num_train", 1), ("num_test", 1), ("num_frame", 1), ("seed", 0)):
        if getattr(arg, option) < least:
            raise DataError(f"--{option} {getattr(arg, option)}: expected {least} or more")

    out = Path(arg.out_folder)
    numbers = {"train": arg.num_train, "val": arg.num_test}
    with packing(out):
        for part, number in numbers.items():
            sequences = tqdm(clips(part, number, arg.seed), part, number, unit="clip", leave=False)
            write_packed(out, part, sequences, number, arg.num_frame, 1, arg.out_format, LABEL_NAMES)
        if arg.out_format == "npy":
            write_label_names(out, list(LABEL_NAMES))
    parts = ", ".join(f"{part} {numbers[part]} clips by {len(SUBJECTS[part])} subjects" for part in numbers)
    print(f"{out}: {len(LABEL_NAMES)} actions; {parts}")


if __name__ == "__main__":
    run(main)
