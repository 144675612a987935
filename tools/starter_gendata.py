"""The data of the starter model (resource/models/starter.pt): Penn Action, and motion that is none of its actions.

    python tools/starter_gendata.py --penn_action <labels/> --nw_ucla <all_sqe/> --sbu <s01s02/ ...>
    python tools/starter_gendata.py ... --holdout --out_folder data/starter-holdout      # to choose settings and to calibrate

See feeder/starter.py for what is in it. The rest of the way to the model is in config/starter/train.yaml.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from feeder.packed_writer import packing, write_label_names, write_packed
from feeder.synthetic.starter import LABEL_NAMES, clips
from tools.command import run
from torchlight.errors import DataError


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the data of the starter model.")
    parser.add_argument("--penn_action", required=True, help="folder of Penn Action")
    parser.add_argument("--nw_ucla", required=True, help="folder of NW-UCLA")
    parser.add_argument("--sbu", required=True, help="folder of SBU Kinect Interaction")
    parser.add_argument("--out_folder", default="data/starter", help="where to write (default: data/starter)")
    parser.add_argument("--holdout", action="store_true", help="split the training clips, without the test clips")
    parser.add_argument("--seed", type=int, default=0, help="of the cameras and the mixtures (default: 0)")
    arg = parser.parse_args()
    for option in ("penn_action", "nw_ucla", "sbu"):
        if not Path(getattr(arg, option)).is_dir():
            raise DataError(f"--{option} {getattr(arg, option)} is not a folder")
    with packing(arg.out_folder):
        for part in ("train", "val"):
            sequences = clips(part, arg.penn_action, arg.nw_ucla, arg.sbu, arg.holdout, arg.seed)
            longest = max(sequence.keypoints.shape[1] for sequence in sequences)
            write_packed(arg.out_folder, part, tqdm(sequences, part, disable=None), len(sequences), longest, 1)
            sports = sum(sequence.label < len(LABEL_NAMES) - 1 for sequence in sequences)
            print(f"{arg.out_folder}/{part}: {sports} clips of sports, {len(sequences) - sports} of other motion")
        write_label_names(arg.out_folder, LABEL_NAMES)


if __name__ == "__main__":
    run(main)
