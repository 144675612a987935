"""ST-GCN from Python, under one name. docs/python.md shows every part of it.

import stgcn

result = stgcn.recognise_video("clip.mp4")

`pip install .` puts the project's folders into site-packages/stgcn_home, beside this file, and importing it makes them known
under their own names: a config's `net.st_gcn.Model` is the same class in a checkout and in a program that has it installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import sys
from pathlib import Path
from typing import Any

PUBLIC = {  # name: the module it comes from, which is imported with the first use
    "Recognizer": "processor.recognizer",
    "recognise_video": "processor.api",
    "recognise_keypoints": "processor.api",
    "Answer": "processor.api",
    "Stream": "processor.video.stream",
    "Dataset": "processor.dataset",
    "build_network": "processor.api",
    "train": "processor.api",
    "test": "processor.api",
    "Result": "processor.api",
    "STARTER": "processor.options",
    "SkeletonSequence": "feeder.sequence",
    "load_skeleton": "feeder.skeleton",
    "write_packed": "feeder.packed_writer",
    "write_label_names": "feeder.packed_writer",
    "UsageError": "torchlight.errors",
    "DataError": "torchlight.errors",
}
__all__ = list(PUBLIC)

_here = Path(__file__).resolve().parent
HOME = _here / "stgcn_home" if (_here / "stgcn_home").is_dir() else _here  # main.py, processor/, config/ ... are there

if str(HOME) not in sys.path:
    sys.path.append(str(HOME))  # at the end: what is yours stays yours
for _name in ("processor", "net", "feeder", "torchlight"):
    _spec = importlib.util.find_spec(_name)
    _folders = [Path(folder).resolve() for folder in _spec.submodule_search_locations or ()] if _spec else []
    if _folders != [HOME / _name]:
        _where = _spec and (_spec.origin or _folders)
        raise ImportError(f"stgcn needs its own module {_name}, but {_where} has that name; rename the latter")


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'stgcn' has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *PUBLIC]


def main() -> None:
    """The command `stgcn`: `stgcn demo` is `python main.py demo`, `stgcn tools/gendata.py` is `python tools/gendata.py`."""
    script = "main.py"
    if len(sys.argv) > 1 and Path(sys.argv[1]).parts[:1] == ("tools",):
        script = sys.argv.pop(1)
    sys.argv[0] = script
    runpy.run_path(str(HOME / script), run_name="__main__")


if __name__ == "__main__":
    main()
