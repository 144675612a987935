"""ST-GCN: skeleton-based action recognition.

    python main.py recognition -c config/quickstart/train.yaml     train (or test) a network
    python main.py recognition -h                                   every option of a processor

A processor is one subcommand, one file in processor/. Nothing heavy is imported before it is known which one is wanted
and that its options are right.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback

from processor import options
from torchlight.arguments import parse
from torchlight.errors import DataError, UsageError

PROCESSORS = {  # name: (module, its options, what it does)
    "recognition": ("processor.recognition", options.recognition, "train and test an action recognition network"),
    "demo": ("processor.demo", options.demo, "recognise the actions in a video, a camera or given joints"),
    "demo_offline": ("processor.demo", options.demo_offline, "the same with the original's network for Kinetics"),
    "demo_old": ("processor.demo", options.demo_old, "the same with the program of OpenPose"),
    "benchmark": ("processor.benchmark", options.benchmark, "measure a network's speed on this machine"),
    "calibrate": ("processor.calibrate", options.calibrate, "test a network as the demo asks it; set its threshold"),
    "ensemble": ("processor.ensemble", options.ensemble, "fuse the saved scores of several networks"),
}


def usage() -> str:
    lines = [f"  {name:<14}{line}" for name, (_, _, line) in PROCESSORS.items()]
    return "usage: python main.py <processor> [options]\n\nprocessors (-h after one shows its options):\n" + "\n".join(
        lines
    )


def main(argv: list[str]) -> int:
    """Run `python main.py` with these arguments; the exit status: 0 done, 2 a person's mistake, 130 Ctrl-C."""
    if argv and argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if not argv or argv[0] not in PROCESSORS:
        if argv:
            nearest = difflib.get_close_matches(argv[0], PROCESSORS, 1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            print(f"error: unknown processor {argv[0]!r}{hint}", file=sys.stderr)
        print(usage(), file=sys.stderr)
        return 2
    module, parser, _ = PROCESSORS[argv[0]]
    try:
        arg = parse(parser(), argv[1:])
        importlib.import_module(module).run(arg, argv)
    except (UsageError, DataError, OSError, ModuleNotFoundError) as error:
        if "--debug" in argv:
            traceback.print_exc()
        remedy = "; pip install -r requirements.txt" if isinstance(error, ModuleNotFoundError) else ""
        print(f"error: {error}{remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
