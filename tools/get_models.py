"""Fetch a network of others that the demo uses, into models/.

    python tools/get_models.py              # what there is
    python tools/get_models.py movenet

The demo does this by itself at first use. The checkpoints of the ST-GCN paper: sh tools/get_models.sh.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.pose.fetch import FOLDER, SOURCES, fetch_model
from tools.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch a network of others that the demo uses, into models/.")
    parser.add_argument("model", nargs="?", choices=list(SOURCES), help="which (default: list them)")
    model = parser.parse_args().model
    if model:
        print(fetch_model(model))
        return
    for name, source in SOURCES.items():
        here = "is there" if (FOLDER / source.file).exists() else "is not there yet"
        print(f"{name}: {source.what}, {source.size / 1e6:.1f} MB, {here}")


if __name__ == "__main__":
    run(main)
