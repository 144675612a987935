"""The data of the starter model (resource/models/starter.pt): sports, everyday actions, and motion that is none of them.

    python tools/starter_gendata.py --penn_action <labels/> --nw_ucla <all_sqe/> --utd_mhad <Skeleton/> --sbu <s01s02/ ...>
    python tools/starter_gendata.py ... --holdout --out_folder data/starter-holdout      # to choose settings and to calibrate

See feeder/synthetic/starter.py for what is in it. The rest of the way to the model is in docs/starter.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from feeder.packed_writer import packing, write_label_names, write_packed
from feeder.synthetic.starter import LABEL_NAMES, clips, count_classes
from tools.command import add_out_format, run
from torchlight.errors import DataError, UsageError, did_you_mean

MOST = 700  # frames; the longest clip of Penn Action has 663


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the data of the starter model.")
    parser.add_argument("--penn_action", required=True, help="folder of Penn Action")
    parser.add_argument("--nw_ucla", required=True, help="folder of NW-UCLA")
    parser.add_argument("--utd_mhad", required=True, help="folder of UTD-MHAD")
    parser.add_argument("--sbu", required=True, help="folder of SBU Kinect Interaction")
    parser.add_argument("--out_folder", default="data/starter", help="where to write (default: data/starter)")
    parser.add_argument("--holdout", action="store_true", help="split the training clips, without the test clips")
    parser.add_argument(
        "--leave_out",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="classes that are not trained on; in val they are other",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the cameras and the mixtures (default: 0)")
    add_out_format(parser)
    arg = parser.parse_args()
    folders = [getattr(arg, option) for option in ("penn_action", "nw_ucla", "utd_mhad", "sbu")]
    for folder, option in zip(folders, ("penn_action", "nw_ucla", "utd_mhad", "sbu")):
        if not Path(folder).is_dir():
            raise DataError(f"--{option} {folder} is not a folder")
    for name in arg.leave_out:
        if name not in LABEL_NAMES[:-1]:
            raise UsageError(f"--leave_out {name}: no such class{did_you_mean(name, LABEL_NAMES)}")
    with packing(arg.out_folder):
        for part in ("train", "val"):
            sequences = clips(part, *folders, arg.holdout, arg.seed, arg.leave_out)
            longest = min(MOST, max(sequence.keypoints.shape[1] for sequence in sequences))
            bar = tqdm(sequences, part, disable=None)
            write_packed(arg.out_folder, part, bar, len(bar), longest, 1, arg.out_format, LABEL_NAMES)
            counts = ", ".join(f"{name} {number}" for name, number in count_classes(sequences).items())
            print(f"{arg.out_folder}/{part}: {len(sequences)} clips: {counts}")
        if arg.out_format == "npy":
            write_label_names(arg.out_folder, LABEL_NAMES)


if __name__ == "__main__":
    run(main)
