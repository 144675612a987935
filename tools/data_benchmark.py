"""A packed data set as .npy files and as an .h5: their sizes, and how many clips a second the feeder gets from each.

    python tools/data_benchmark.py -c config/st_gcn/penn-action/train.yaml
    python tools/data_benchmark.py -c config/st_gcn/ntu-xsub/train.yaml --part test

The .npy of the config is converted to a temporary .h5. Both feeders prepare the same random clips as the config says, on one
core, turn by turn; the figures are medians over the turns. `in memory` is the .h5 with `mmap: False`. Of an .h5 a process
keeps 64 MiB unpacked; with --no_cache nothing, as if the data set were far larger.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from feeder import h5
from feeder.conversion import convert
from feeder.feeder import Feeder
from tools.command import run
from torchlight.config import load_config, merge
from torchlight.errors import DataError
from torchlight.machine import keep_freed_memory

CLIPS, BATCH = 256, 32  # that a turn reads, and at once


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the sizes and the speeds of .npy and .h5.")
    parser.add_argument("-c", "--config", required=True, metavar="YAML", help="of a training on a .npy")
    parser.add_argument("--part", choices=["train", "test"], default="train", help="which clips (default: train)")
    parser.add_argument("--rounds", type=int, default=20, help="turns (default: 20)")
    parser.add_argument("--no_cache", action="store_true", help="keep nothing of the .h5 unpacked")
    arg = parser.parse_args()
    h5.CACHE = 0 if arg.no_cache else h5.CACHE
    config = load_config(arg.config)
    args = merge({"_": config.get("feeder_args") or {}}, {"_": config.get(f"{arg.part}_feeder_args") or {}})["_"]
    path = args.pop("data_path", "")
    if not str(path).endswith("_data.npy") or not Path(path).is_file():
        raise DataError(f"{arg.config}: {arg.part}_feeder_args: data_path: {path!r} is no ..._data.npy that is there")
    with tempfile.TemporaryDirectory() as folder:
        convert(path, folder, "h5")
        (packed,) = Path(folder).glob("*.h5")
        sizes = Path(path).stat().st_size, packed.stat().st_size
        print(
            f"{path}: {sizes[0] / 2**20:.3g} MiB, as .h5 {sizes[1] / 2**20:.3g} MiB, {sizes[0] / sizes[1]:.1f} times smaller"
        )
        feeders = {".npy": Feeder(path, **args)}
        args["label_path"] = None
        feeders |= {".h5": Feeder(str(packed), **args), "in memory": Feeder(str(packed), **args | {"mmap": False})}
        speeds = measure(feeders, arg.rounds)
    for name, speed in speeds.items():
        print(f"{name:<10}{speed:7.0f} clips/s, {speed / speeds['.npy']:.2f} times .npy")


def measure(feeders: dict[str, Feeder], rounds: int) -> dict[str, float]:
    """Clips a second of each feeder."""
    keep_freed_memory()
    rng, seconds = np.random.default_rng(0), {name: [] for name in feeders}
    for turn in range(rounds + 1):
        clips = rng.integers(0, len(next(iter(feeders.values()))), CLIPS)
        for name, feeder in feeders.items():
            begin = time.perf_counter()
            for i in range(0, CLIPS, BATCH):
                feeder.get_batch([(turn, int(clip)) for clip in clips[i : i + BATCH]])
            if turn:  # the first is to warm up
                seconds[name].append(time.perf_counter() - begin)
    return {name: CLIPS / median(each) for name, each in seconds.items()}


if __name__ == "__main__":
    run(main)
