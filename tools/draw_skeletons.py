"""A picture of a packed data set: one row a class, the frames of one clip that differ most.

    python tools/draw_skeletons.py --data_path data/synthetic/val_data.npy --label_path data/synthetic/val_label.pkl \\
        --label_names data/synthetic/label_names.txt --layout openpose --output synthetic.png

Right limbs are red, left limbs blue. 3-D data are seen from the front, with --up for recordings whose y points up.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.packed import read_packed
from feeder.skeleton import Skeleton, load_skeleton
from tools.command import run
from torchlight.errors import DataError

COLOURS = {"right": "#c8402f", "left": "#2f62b5", "middle": "#444444"}
CELL = 0.75  # width of the cell of one body, whose height is 1


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data_path", required=True, help="*_data.npy, or an .h5")
    p.add_argument("--label_path", help="*_label.pkl; of a .npy")
    p.add_argument("--output", required=True, help="the picture: .png, .pdf or .svg")
    p.add_argument("--layout", default="openpose", help="skeleton layout, a name or a .yaml (default: openpose)")
    p.add_argument("--label_names", help="names of the classes, one a line")
    p.add_argument("--sample", nargs="+", metavar="NAME", help="these clips in place of the first of each class")
    p.add_argument("--moments", type=int, default=8, help="pictures of each clip (default: 8)")
    p.add_argument("--columns", type=int, default=1, help="clips beside each other (default: 1)")
    p.add_argument(
        "--aspect", type=float, default=340 / 256, help="width / height of the frame; 1 for 3-D (default: 340/256)"
    )
    p.add_argument("--up", action="store_true", help="y points up (3-D recordings)")
    p.add_argument("--dpi", type=int, default=100)
    arg = p.parse_args()
    for option in ("moments", "columns", "dpi"):
        if getattr(arg, option) < 1:
            raise DataError(f"--{option} {getattr(arg, option)}: expected 1 or more")
    if Path(arg.output).suffix not in (".png", ".pdf", ".svg"):
        raise DataError(f"--output {arg.output}: expected a name that ends in .png, .pdf or .svg")
    if arg.aspect <= 0:
        raise DataError(f"--aspect {arg.aspect}: expected a number above 0")

    skeleton = load_skeleton(arg.layout)
    packed = read_packed(arg.data_path, arg.label_path)
    if packed.data.shape[3] != skeleton.num_joint:
        raise DataError(
            f"{arg.data_path} has {packed.data.shape[3]} joints but layout '{skeleton.name}' has {skeleton.num_joint}; "
            "name the right one with --layout"
        )
    names = Path(arg.label_names).read_text(encoding="utf-8").splitlines() if arg.label_names else []
    clips = []
    for i in chosen(packed, arg.sample):
        label = packed.label[i]
        title = names[label] if label < len(names) else packed.sample_name[i]
        clips.append((title, np.array(packed.data[i])))
    draw(clips, skeleton, arg)


def chosen(packed, samples: list[str] | None) -> list[int]:
    """Indices of the clips to draw."""
    if not samples:
        return [packed.label.index(label) for label in sorted(set(packed.label))]
    for name in samples:
        if name not in packed.sample_name:
            raise DataError(f"--sample {name}: no such clip; the first is '{packed.sample_name[0]}'")
    return [packed.sample_name.index(name) for name in samples]


def distinct_frames(xy: np.ndarray, seen: np.ndarray, number: int) -> np.ndarray:
    """Frames of (T, V, M, 2) that differ most from each other, in order of time; seen is (T, V, M).

    The first is the first well seen frame; each next one is farthest from those already taken.
    """
    well = np.flatnonzero(seen.sum((1, 2)) >= 0.9 * seen.sum((1, 2)).max())
    taken = [well[0]]
    nearest = np.full(len(well), np.inf)
    while len(taken) < min(number, len(well)):
        both = seen[well] & seen[taken[-1]]
        apart = np.linalg.norm(xy[well] - xy[taken[-1]], axis=-1)
        nearest = np.minimum(nearest, (apart * both).sum((1, 2)) / np.maximum(both.sum((1, 2)), 1))
        taken.append(well[nearest.argmax()])
    return np.sort(taken)


def draw(clips: list[tuple[str, np.ndarray]], skeleton: Skeleton, arg: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.collections import LineCollection
    from PIL import Image

    child, parent = np.array(skeleton.bones).T
    colour = np.array([COLOURS[side_of(skeleton.joints[j])] for j in child])
    rows = -(-len(clips) // arg.columns)
    size = arg.columns * arg.moments * CELL, rows * 1.2  # inches: a body is one inch tall
    figure, axes = plt.subplots(rows, arg.columns, squeeze=False, figsize=size, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for (title, x), axis in zip(clips, axes.flat):
        axis.set_title(title, fontsize=9, loc="left", pad=2)
        axis.set(xlim=(0, arg.moments * CELL), ylim=(-0.03, 1.03), aspect="equal")
        seen = (x != 0).any(0)  # (T, V, M)
        if seen.any():
            xy = np.moveaxis(x[:2], 0, -1) * [arg.aspect, 1 if arg.up else -1]  # (T, V, M, 2), y up
            for column, t in enumerate(moments := distinct_frames(xy, seen, arg.moments)):
                body = fitted(xy[moments], seen[moments])[column] + [CELL * (column + 0.5), 0]
                there = seen[t][child] & seen[t][parent]  # (bones, M)
                lines = np.stack([body[child], body[parent]], 2)[there]  # (lines, 2, 2)
                colours = np.broadcast_to(colour[:, None], there.shape)[there]
                axis.add_collection(LineCollection(lines, colors=colours, linewidths=1.3, capstyle="round"))
    Path(arg.output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arg.output, dpi=arg.dpi)
    if arg.output.endswith(".png"):  # few colours: a palette makes the file a third as large
        with Image.open(arg.output) as picture:
            picture.convert("RGB").quantize(64).save(arg.output, optimize=True)
    print(f"{arg.output}: {len(clips)} clips of {arg.data_path}")


def fitted(xy: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(T, V, M, 2) in the axes of a cell: each frame centred at x = 0, all at one scale, standing on y = 0."""
    xy = np.where(seen[..., None], xy, np.nan)
    xy = xy - [1, 0] * (np.nanmin(xy, (1, 2), keepdims=True) + np.nanmax(xy, (1, 2), keepdims=True)) / 2
    xy = xy - [0, 1] * np.nanmin(xy, (0, 1, 2))
    return xy * min(1 / np.nanmax(xy[..., 1]), 0.47 * CELL / np.nanmax(xy[..., 0]))


def side_of(joint: str) -> str:
    return next((side for side in ("left", "right") if side in joint), "middle")


if __name__ == "__main__":
    run(main)
