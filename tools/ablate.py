"""What each switch of today's recipe buys: a ladder of trainings, each with one thing more, over several seeds.

    python tools/ablate.py penn-action              # config/ablation/penn-action/1_original.yaml, 2_... and so on
    python tools/ablate.py nw-ucla --seeds 0 1 --steps 1 2 3

The last step is the fusion of four streams, trained as the best step of one network. A step that is done is not done
again, so a ladder that was cut off goes on. Writes work_dir/ablation/<data set>/table.csv and table.md, and puts the
table between its two marks in --readme.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from feeder.packed import read_label, recipe
from feeder.pickles import load_pickle
from feeder.streams import STREAMS
from tools import markdown
from tools.command import call, run
from torchlight.config import load_config
from torchlight.errors import DataError
from torchlight.files import atomic_write
from torchlight.project import ROOT

LADDERS = ROOT / "config" / "ablation"
STREAMS_OF, TEN_CLIPS = "4_augmentation", "5_ten_clips"  # what is trained on each stream, and its test
FUSION = "7_four_streams"
NAMES = {"6_st_gcn_pp": "ST-GCN++ in place of ST-GCN", FUSION: "four streams of ST-GCN, against its ten clips"}


def main() -> None:
    ladders = sorted(path.name for path in LADDERS.iterdir())
    parser = argparse.ArgumentParser(description="Train the ladder of one data set, and write its table.")
    parser.add_argument("data_set", choices=ladders)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument("--steps", type=int, nargs="+", help="only these (default: all)")
    parser.add_argument("--work_dir", default="work_dir/ablation", help="(default: work_dir/ablation)")
    parser.add_argument("--readme", metavar="MD", help="put the table into this file, between its marks")
    arg = parser.parse_args()
    folder, mark = Path(arg.work_dir).absolute() / arg.data_set, f"ablation: {arg.data_set}"
    if arg.readme:
        markdown.check_marks(Path(arg.readme), mark)
    configs = sorted((LADDERS / arg.data_set).glob("*.yaml"))
    label_path = ROOT / load_config(configs[0])["test_feeder_args"]["label_path"]
    if not label_path.exists():
        raise DataError(f"{label_path} does not exist; make it with: {recipe(label_path)}")
    label = dict(zip(*read_label(label_path)))
    steps = [path.stem for path in configs] + [FUSION]
    chosen = [step for step in steps if arg.steps is None or int(step.split("_")[0]) in arg.steps]
    if not chosen:
        raise DataError(f"--steps {arg.steps}: the steps are 1 to {len(steps)}")
    for seed in arg.seeds:
        for step in chosen:
            if step == FUSION:
                fuse(arg.data_set, folder, seed)
            else:
                climb(arg.data_set, folder, step, seed)
            rows = [row for step in steps if (row := measured(label, folder, step))]
            write(folder, rows)
    table = table_of(rows)
    print("\n".join(table))
    if arg.readme:
        markdown.put(Path(arg.readme), mark, table)


def climb(data_set: str, folder: Path, step: str, seed: int) -> None:
    """One step of one seed. Ten clips are a test of the step before, which is trained first if it is not there."""
    config, options = LADDERS / data_set / f"{step}.yaml", []
    if step == TEN_CLIPS:
        climb(data_set, folder, STREAMS_OF, seed)
        last = f"epoch{load_config(config)['num_epoch']}_model.pt"
        options = ["--weights", str(folder / STREAMS_OF / f"seed{seed}" / last)]
    train(config, folder / step, seed, *options)


def train(config: Path, folder: Path, seed: int, *options: str) -> None:
    """One run of recognition, unless it is done."""
    work_dir = folder / f"seed{seed}"
    if not (work_dir / "test_result.pkl").exists():
        call(work_dir, "recognition", "-c", str(config), "--seed", str(seed), "--print_log", "False", *options)


def fuse(data_set: str, folder: Path, seed: int) -> None:
    """The four streams of one seed, and their mean; the joints' are those of the ladder itself."""
    results = []
    for stream in STREAMS:
        if stream == "joint":
            step = TEN_CLIPS
            climb(data_set, folder, step, seed)
        else:
            step = f"{FUSION}_{stream}"
            config = LADDERS / data_set / f"{STREAMS_OF}.yaml"
            train(config, folder / step, seed, "--stream", stream, "--test_feeder_args", "num_clips=10")
        results.append(str(folder / step / f"seed{seed}" / "test_result.pkl"))
    if not (folder / FUSION / f"seed{seed}" / "test_result.pkl").exists():
        call(folder / FUSION / f"seed{seed}", "ensemble", "--results", *results)


def measured(label: dict[str, int], folder: Path, step: str) -> dict | None:
    """Mean and standard deviation (n - 1) of a step over the seeds that are there; None if none is."""
    top1 = []
    for path in sorted((folder / step).glob("seed*/test_result.pkl")):
        scores = load_pickle(path, "remove it and run the ladder again")
        top1.append(100 * float(np.mean([scores[name].argmax() == label[name] for name in scores])))
    if not top1:
        return None
    mean, std = markdown.mean_and_std(top1)
    return {"step": step, "top1": mean, "std": std, "seeds": len(top1)}


def write(folder: Path, rows: list[dict]) -> None:
    with atomic_write(folder / "table.csv", "w") as file:
        writer = csv.DictWriter(file, ["step", "top1", "std", "seeds"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with atomic_write(folder / "table.md", "w") as file:
        file.write("\n".join(table_of(rows)) + "\n")


def table_of(rows: list[dict]) -> list[str]:
    """The table, with what each step changes against the one before."""
    lines = []
    top1 = {row["step"]: row["top1"] for row in rows}
    before = None
    for row in rows:
        name = NAMES.get(row["step"], row["step"].partition("_")[2].replace("_", " "))
        if row["step"] == FUSION:
            before = top1.get(TEN_CLIPS, before)
        change = "" if before is None else f"{row['top1'] - before:+.1f}"
        lines.append((name, markdown.plus_minus(row["top1"], row["std"]), change, row["seeds"]))
        before = row["top1"]
    return markdown.table(("step", "top-1", "change", "seeds"), lines)


if __name__ == "__main__":
    run(main)
