"""One table of today's strongest: every network of resource/leaderboard.yaml on every data set, trained, tested and measured.

    python tools/leaderboard.py --data_set nw-ucla --rows ctr-gcn st-gcn --readme docs/accuracy.md
    python tools/leaderboard.py --from nw-ucla/ctr-gcn=work_dir/recognition/nw-ucla/CTR_GCN     # seed0, seed1, ... are there
    python tools/leaderboard.py --only_table --results README.md docs/accuracy.md
    python tools/leaderboard.py --debug                     # one epoch on 100 training clips each, to see that all run

What is done is not done again, and a run that was cut off goes on. The table has every row that was ever run in --work_dir,
whatever was chosen this time; rows that were not run are left out. Writes table.csv, table.md and speed.json there, and puts
the table between <!-- leaderboard --> and <!-- end --> of --readme, the shorter one between <!-- results --> and <!-- end -->.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.packed import recipe
from feeder.streams import STREAMS
from tools import finished, markdown
from tools.command import call, run
from tools.finished import Figures
from tools.leaderboard_table import describe, results_of, table_of, write_csv
from torchlight.arguments import Parser, number
from torchlight.config import load_config
from torchlight.errors import DataError, UsageError, did_you_mean
from torchlight.files import atomic_write
from torchlight.project import ROOT

TABLE = ROOT / "resource" / "leaderboard.yaml"
KEYS = {"name", "config", "fuse", "stream_weights", "published"}  # of a network
JOINT = STREAMS[0]


@dataclass(frozen=True)
class Training:
    """A network, trained on one stream of a data set.

    Attributes:
        data_set, network: as they are called in the table's YAML.
        config: path from the project's folder, and what it says.
    """

    data_set: str
    network: str
    stream: str
    config_path: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A network on a data set, or several trainings whose scores are averaged.

    Attributes:
        data_set, network: as they are called in the table's YAML; network_name and title are what a reader sees.
        weights: of the trainings; empty: equal.
    """

    data_set: str
    network: str
    title: str
    network_name: str
    trainings: tuple[Training, ...]
    weights: tuple[float, ...] = ()
    published: str = ""

    @property
    def folds(self) -> list[int]:
        return self.trainings[0].config.get("fold") or []


def main() -> None:
    arg = parser().parse_args()
    if arg.debug and (arg.readme or arg.results):
        raise UsageError("--debug: its figures mean nothing; leave out --readme and --results")
    table = load_config(TABLE)
    rows = read_rows(table)
    chosen = choose(rows, arg.data_set, arg.rows)
    board = Leaderboard(arg, read_from(arg.from_folders, rows))
    for path, mark in [(arg.readme, "leaderboard"), *((path, "results") for path in arg.results)]:
        if path:
            markdown.check_marks(Path(path), mark)
    if not arg.only_table:
        for row in chosen:
            require_data(row)
        for seed in arg.seeds:
            for row in chosen:
                board.train(row, seed)
    measured = board.measured(rows)
    write_csv(board.folder / "table.csv", measured)
    lines = table_of(measured, len(arg.seeds))
    with atomic_write(board.folder / "table.md", "w") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines))
    if arg.readme:
        markdown.put(Path(arg.readme), "leaderboard", lines)
    for path in arg.results:
        markdown.put(Path(path), "results", results_of(measured, table["results"]))


def parser() -> Parser:
    parser = Parser(
        description="Train every network on every data set, unless it is done, and write the table.", epilog=None
    )
    parser.add_argument("--data_set", nargs="+", default=[], metavar="NAME", help="only these (default: all)")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NETWORK", help="only these (default: all)")
    parser.add_argument("--seeds", type=number(int, 0), nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument(
        "--from", dest="from_folders", nargs="+", default=[], metavar="SET/NETWORK[/STREAM]=DIR",
        help="finished runs, DIR/seed0 and so on, in place of those in --work_dir",
    )  # fmt: skip
    parser.add_argument("--only_table", action="store_true", help="train nothing: the table of what is there")
    parser.add_argument("--speed", action="store_true", help="measure the speed of all rows anew")
    parser.add_argument(
        "--eval_interval", type=number(int, 1), default=5, metavar="N",
        help="epochs between two tests, one of which is the best; a config may have fewer (default: 5)",
    )  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="one epoch on 100 training clips, into <work_dir>_debug")
    parser.add_argument("--work_dir", default="work_dir/leaderboard", metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--readme", metavar="MD", help="put the table into this file, between its marks")
    parser.add_argument("--results", nargs="+", default=[], metavar="MD", help="the same with the table of results")
    return parser


# ---- the rows


def read_rows(table: Mapping[str, Any]) -> list[Row]:
    """The rows of resource/leaderboard.yaml, data set by data set. Raises UsageError."""
    rows, networks = [], table["networks"]
    for key, network in networks.items():
        if other := set(network) - KEYS:
            raise UsageError(f"{TABLE}: {key}: unknown key {min(other)}{did_you_mean(min(other), KEYS)}")
        for name, streams in network.get("fuse", {}).items():
            if "config" not in networks.get(name, {}):
                raise UsageError(f"{TABLE}: {key}: fuse: there is no network {name}")
            if other := set(streams) - set(STREAMS):
                raise UsageError(f"{TABLE}: {key}: fuse: {min(other)} is not one of {', '.join(STREAMS)}")
    for data_set, title in table["data_sets"].items():
        for key, network in networks.items():
            parts = network.get("fuse", {key: [JOINT]})
            paths = {name: f"{networks[name]['config']}/{data_set}/train.yaml" for name in parts}
            if all((ROOT / path).is_file() for path in paths.values()):
                trainings = tuple(
                    Training(data_set, name, stream, paths[name], load_config(ROOT / paths[name]))
                    for name, streams in parts.items()
                    for stream in streams
                )
                weights = tuple(network.get("stream_weights", {}).get(data_set, ()))
                published = network.get("published", {}).get(data_set, "")
                rows.append(Row(data_set, key, title, network["name"], trainings, weights, published))
    if unused := set(networks) - {row.network for row in rows}:
        raise UsageError(f"{TABLE}: {min(unused)}: no <its config>/<data set>/train.yaml is there")
    return rows


def choose(rows: list[Row], data_sets: list[str], networks: list[str]) -> list[Row]:
    """The rows of some data sets and networks; an empty list means all. Raises UsageError."""
    for option, names, known in (
        ("--data_set", data_sets, dict.fromkeys(row.data_set for row in rows)),
        ("--rows", networks, dict.fromkeys(row.network for row in rows)),
    ):
        for name in names:
            if name not in known:
                raise UsageError(f"{option}: {name} is not one of {', '.join(known)}{did_you_mean(name, known)}")
    chosen = [row for row in rows if row.data_set in (data_sets or [row.data_set])]
    chosen = [row for row in chosen if row.network in (networks or [row.network])]
    if not chosen:
        raise UsageError(f"--rows {' '.join(networks)}: no config for {' '.join(data_sets)} is there")
    return chosen


def read_from(pairs: list[str], rows: list[Row]) -> dict[tuple[str, str, str], Path]:
    """{(data set, network, stream): folder} of --from. Raises UsageError."""
    found = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        data_set, _, rest = name.partition("/")
        network, _, stream = rest.partition("/")
        try:
            choose(rows, [data_set], [network])
        except UsageError as error:
            raise UsageError(f"--from {pair}: {error}") from None
        if stream and stream not in STREAMS:
            raise UsageError(f"--from {pair}: {stream} is not one of {', '.join(STREAMS)}")
        if not folder or not list(Path(folder).glob("seed*")):
            raise UsageError(f"--from {pair}: {folder or 'the folder'} has no seed0, seed1 and so on")
        found[data_set, network, stream or JOINT] = Path(folder).absolute()
    return found


def require_data(row: Row) -> None:
    """DataError, with the command that makes them, where the clips of a row are not there."""
    for training in row.trainings:
        for _, fold in finished.folds(Path(), training.config):
            for part in finished.PARTS:
                for path in finished.data_paths(training.config, part, fold):
                    if path and not path.exists():
                        raise DataError(f"{path} does not exist; make it with: {recipe(path)}")


# ---- trainings and measurements


class Leaderboard:
    """The trainings in one work folder: <data set>/<network>/seed0 of the joints, <data set>/<network>/<stream>/seed0.

    Args:
        arg: the options.
        elsewhere: folders of --from.
    """

    def __init__(self, arg: argparse.Namespace, elsewhere: Mapping[tuple[str, str, str], Path]):
        self.arg, self.elsewhere = arg, elsewhere
        self.folder = Path(arg.work_dir + "_debug" * arg.debug).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)

    def folder_of(self, training: Training, seed: int) -> Path:
        """Where a training is."""
        data_set, network, stream = training.data_set, training.network, training.stream
        own = self.folder / data_set / network / ("" if stream == JOINT else stream)
        there = self.elsewhere.get((data_set, network, stream), own) / f"seed{seed}"
        return there if finished.is_done(there, training.config) else own / f"seed{seed}"

    def is_done(self, training: Training, seed: int) -> bool:
        """Whether a training has ended; DataError where it is one of another config."""
        folder = self.folder_of(training, seed)
        if not finished.is_done(folder, training.config):
            return False
        if not self.arg.debug:
            stream = None if training.stream == JOINT else training.stream
            finished.check(folder, training.config, seed, stream)
        return True

    def train(self, row: Row, seed: int) -> None:
        """Every training of a row that is not done; the fusion is made by `fused`."""
        for training in row.trainings:
            if self.is_done(training, seed):
                continue
            interval = min(self.arg.eval_interval, training.config.get("eval_interval", self.arg.eval_interval))
            options = ["-c", training.config_path, "--seed", str(seed), "--eval_interval", str(interval)]
            options += ["--save_result", "True", "--print_log", "False", "--resume"]
            if training.stream != JOINT or "stream" in training.config:
                options += ["--stream", training.stream]
            if self.arg.debug:  # not --debug: a fusion needs all test clips
                options += ["--train_feeder_args", "debug=True", "--num_epoch", "1", "--batch_size", "16"]
            call(self.folder_of(training, seed), "recognition", *options)

    def figures(self, row: Row, seed: int) -> Figures | None:
        """Of one seed; None where not all of it has been run."""
        if not all(self.is_done(training, seed) for training in row.trainings):
            return None
        each = [finished.figures(self.folder_of(training, seed), training.config) for training in row.trainings]
        if len(each) == 1:
            return each[0]
        fused = finished.figures(self.fused(row, seed), row.trainings[0].config)
        times = [one.seconds for one in each]
        return Figures(fused.top1, fused.fresh, None, None if None in times else sum(times))

    def fused(self, row: Row, seed: int) -> Path:
        """The folder of a fusion, which is made now if it is not there, or older than one of its trainings."""
        folder = self.folder / row.data_set / row.network / f"seed{seed}"
        parts = [(self.folder_of(training, seed), training.config) for training in row.trainings]
        there = finished.results(folder, row.trainings[0].config)
        of = [path for part in parts for path in finished.results(*part)]
        changed = [[path.stat().st_mtime for path in paths if path.exists()] for paths in (there, of)]
        if len(changed[0]) < len(there) or min(changed[0]) < max(changed[1]):
            options = ["--fold", *map(str, row.folds)] if row.folds else []
            options += ["--stream_weights", *map(str, row.weights)] if row.weights else []
            inside = "fold{fold}/test_result.pkl" if row.folds else "test_result.pkl"
            call(folder, "ensemble", *options, "--results", *(f"{part}/{inside}" for part, _ in parts))
        return folder

    def measured(self, rows: list[Row]) -> list[dict[str, Any]]:
        """A dict for each row that was run; the speed of all is measured together, where one has none yet."""
        found = []
        for row in rows:
            figures = [each for seed in self.arg.seeds if (each := self.figures(row, seed))]
            if figures:
                found.append((row, figures))
        speed = self.speed([training.config_path for row, _ in found for training in row.trainings])
        return [
            describe(row, figures, [speed[training.config_path] for training in row.trainings])
            for row, figures in found
        ]

    def speed(self, configs: Iterable[str]) -> dict[str, dict]:
        """{config: row of `benchmark --beside`}, on one thread."""
        configs, path = list(dict.fromkeys(configs)), self.folder / "speed.json"
        if not configs:
            raise DataError(f"{self.folder}: nothing was run yet")
        known = json.loads(path.read_text(encoding="utf-8"))["networks"] if path.is_file() else []
        if self.arg.speed or not set(configs) <= {each["name"] for each in known}:
            options = ["-c", configs[0], "--beside", *configs, "--use_gpu", "False", "--output", str(path)]
            options += ["--rounds", "1" if self.arg.debug else "15"]
            call(self.folder, "benchmark", *options, OMP_NUM_THREADS="1")
            known = json.loads(path.read_text(encoding="utf-8"))["networks"]
        return {each["name"]: each for each in known}


if __name__ == "__main__":
    run(main)
