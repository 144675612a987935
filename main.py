"""ST-GCN: skeleton-based action recognition.

    python main.py recognition -c config/quickstart/train.yaml     train (or test) a network
    python main.py -c config/quickstart/train.yaml                 the same
    python main.py recognition -h                                  every option of a processor

A processor is one subcommand, one file in processor/. Nothing heavy is imported before it is known which one is wanted
and that its options are right.
"""

from __future__ import annotations

import importlib
import sys

from processor import options
from torchlight.arguments import parse
from torchlight.command import run_command
from torchlight.errors import did_you_mean, short
from torchlight.signals import uninterrupted

PROCESSORS = {  # name: (module, its options, what it does)
    "recognition": ("processor.recognition", options.recognition, "train and test an action recognition network"),
    "demo": ("processor.demo", options.demo, "recognise the actions in a video, a camera or precomputed keypoints"),
    "demo_offline": ("processor.demo", options.demo_offline, "the same with the original's network for Kinetics"),
    "demo_old": ("processor.demo", options.demo_old, "the same with the program of OpenPose"),
    "inspect": ("processor.inspect", options.inspect, "look at a data set: what is there, and what is wrong with it"),
    "benchmark": ("processor.benchmark", options.benchmark, "measure a network's speed on this machine"),
    "calibrate": (
        "processor.calibrate",
        options.calibrate,
        "test a network on windows, as the demo; set its threshold",
    ),
    "export": ("processor.export", options.export, "write a network as ONNX or for torch.export, with its side-car"),
    "ensemble": ("processor.ensemble", options.ensemble, "fuse the saved scores of several networks"),
    "compare": ("processor.compare", options.compare, "is one training better than another, or is it the spread?"),
}


def usage() -> str:
    processors = "\n".join(f"  {name:<14}{line}" for name, (_, _, line) in PROCESSORS.items())
    return (
        "usage: python main.py <processor> [options]\n\n"
        f"processors (-h after one shows its options; without one: recognition):\n{processors}"
    )


def main(argv: list[str]) -> int:
    """Run `python main.py` with these arguments; the exit status: 0 done, 2 a mistake of the user, 130 Ctrl-C."""
    if argv and argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv and argv[0].startswith("-"):
        argv = ["recognition", *argv]
    if not argv or argv[0] not in PROCESSORS:
        if argv:
            print(f"error: unknown processor {short(argv[0])}{did_you_mean(argv[0], PROCESSORS)}", file=sys.stderr)
        print(usage(), file=sys.stderr)
        return 2
    module, parser, _ = PROCESSORS[argv[0]]

    def process() -> None:
        arg = parse(parser(), argv[1:])
        with uninterrupted():
            processor = importlib.import_module(module)
        processor.run(arg, argv)

    former = argv[0].startswith("demo") and "--debug" in argv
    return run_command(process, former or "--traceback" in argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
