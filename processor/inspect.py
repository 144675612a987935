"""Look at a data set before it is trained on: what is there, and what is wrong with it.

    python main.py inspect -c config/st_gcn/nw-ucla/train.yaml                  # both parts, and whether the config suits them
    python main.py inspect --data_path D_data.npy --label_path D_label.pkl      # one part; of D.h5 without --label_path
    python main.py inspect -c CONFIG --labels                                   # labels that are probably wrong, too

Writes inspect.html (a page that opens by itself) and inspect.json (everything, to go on with) into --work_dir, by default
work_dir/inspect/<folder of the data>. The status is 0 whatever is found. feeder/inspection/ has the checks,
processor/inspection/ the sections of the page; nothing here needs torch, but for the networks of --labels.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from feeder.dataset import is_h5
from feeder.inspection.facts import as_dict
from feeder.inspection.findings import Finding, worst_first
from feeder.inspection.fit import steps_of
from feeder.inspection.inspection import Inspection, Source, inspect
from feeder.packed import recipe
from processor import options
from processor.inspection.labels import check_labels
from processor.inspection.sections import same_joints, sections
from processor.page.page import Page
from processor.training.automatic import settle
from processor.training.series import first_run
from torchlight.config import merge
from torchlight.errors import UsageError
from torchlight.files import atomic_write
from torchlight.lock import exclusive
from torchlight.machine import cores
from torchlight.metrics import read_names

FEEDER = "feeder.feeder.Feeder"  # whose arguments say how clips are prepared
NAMED = 3  # clips of a problem that the terminal names
KEYS = "data_path", "label_path"


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `inspect`; see options.inspect for arg."""
    sources = sources_of(arg)
    own = options.inspect().parse_args(argv[1:]).work_dir  # that of a config is of the training
    work_dir = Path(own or Path("work_dir", "inspect", name_of(sources)))
    names = read_names(arg.label_names) if arg.label_names else None
    with exclusive(work_dir, "inspecting", "another --work_dir"):
        found = inspect(sources, names, arg.num_worker or cores(), progress_bar)
        if arg.labels or arg.results:
            found.findings = worst_first([*found.findings, *check_labels(arg, argv, found, work_dir)])
        skeleton = found.parts[0].skeleton if same_joints(found) else None
        page = Page(name_of(sources), "inspect", skeleton, found.parts[0].dimension)
        for section in sections(found):
            page.add(section)
        report = as_dict(found)
        with atomic_write(work_dir / "inspect.json", "w") as file:
            json.dump(report, file, indent=1, allow_nan=False)
            file.write("\n")
        page.write(work_dir / "inspect.html")
    print(
        "\n".join(
            [*there(found, report), *map(wrong, found.findings)] + ["nothing wrong was found"] * (not found.findings)
        )
    )
    print(f"{work_dir / 'inspect.html'} shows it all, {work_dir / 'inspect.json'} lists it")


# ---- which files


def sources_of(arg: Namespace) -> list[Source]:
    """The parts of --data_path, or else of the config. Raises UsageError where there are none."""
    if arg.data_path or arg.label_path:
        paths = paths_of({"data_path": arg.data_path, "label_path": arg.label_path})
        if missing := [key for key, path in paths.items() if not path]:
            raise UsageError(f"--{missing[0]} is missing: the clips are --data_path, their labels --label_path")
        _check_exists({f"--{key}": path for key, path in paths.items()})
        part = Path(arg.data_path).stem.removesuffix("_data")
        name = {"val": "test"}.get(part, part)
        return [Source(name, arg.data_path, arg.label_path, arg.layout, arg.dimension)]
    if len(arg.fold) > 1:
        print(f"fold {arg.fold[0]} of {' '.join(map(str, arg.fold))}; --fold N inspects another")
    arg.work_dir = ""
    arg = first_run(arg)  # {fold} is filled in
    settle(arg)
    parts = {"train": "train_feeder_args", "test": "test_feeder_args"}
    merged = {part: merge({"_": arg.feeder_args}, {"_": getattr(arg, key)})["_"] for part, key in parts.items()}
    sources = [_source(part, args, arg) for part, args in merged.items() if args.get("data_path")]
    if not sources:
        raise UsageError("nothing to inspect: give a config with -c, or --data_path and --label_path")
    return sources


def _source(part: str, args: Mapping[str, Any], arg: Namespace) -> Source:
    """A part of a config; a feeder of a person's own prepares clips in its own way, so that only the data are looked at."""
    paths = paths_of(args)
    for key, path in paths.items():
        if not isinstance(path, str):
            line = "inspect reads packed data, a .npy and a .pkl, or an .h5"
            raise UsageError(f"{part}_feeder_args: {key} is missing: {line}")
    _check_exists({f"{part}_feeder_args: {key}": path for key, path in paths.items()})
    steps = steps_of(args) if arg.feeder == FEEDER else ()
    layout, dimension = arg.layout or args.get("layout"), arg.dimension or args.get("dimension")
    return Source(part, args["data_path"], args.get("label_path"), layout, dimension, steps)


def paths_of(args: Mapping[str, Any]) -> dict[str, Any]:
    """The files of a part by the keys that name them: data_path, and label_path where the labels are not in the same file."""
    keys = ["data_path"] if isinstance(args.get("data_path"), str) and is_h5(args["data_path"]) else KEYS
    return {key: args.get(key) for key in keys}


def _check_exists(paths: Mapping[str, str]) -> None:
    for key, path in paths.items():
        if not Path(path).exists():
            remedy = f"; make it with:\n       {recipe(path)}" if recipe(path) else ""
            raise UsageError(f"{key}: {path} does not exist{remedy}")


def name_of(sources: Sequence[Source]) -> str:
    """The folder of the data, which stands for the data set."""
    return Path(sources[0].data_path).absolute().parent.name or "data"


def progress_bar(what: str, total: int) -> Callable[[int], None]:
    """A bar on the terminal; it is closed when all is done."""
    bar = tqdm(total=total, desc=what, unit="clip", disable=None, leave=False)

    def done(count: int) -> None:
        bar.update(count)
        if bar.n >= total:
            bar.close()

    return done


# ---- the terminal


def there(found: Inspection, report: Mapping[str, Any]) -> list[str]:
    """What is there, in few lines."""
    lines = []
    for name, part in report["parts"].items():
        frames, counts = part["frames"], [each["clips"] for each in part["classes"]]
        persons = ", ".join(f"{n:,} with {k}" for k, n in part["persons"].items())
        lines.append(
            f"{name}: {part['clips']:,} clips of {len(counts)} classes ({min(counts):,} to {max(counts):,} each)"
        )
        lines.append(
            f"  frames {frames['min']:g} to {frames['max']:g}, median {frames['median']:g}; persons: {persons}"
        )
        joints = f"{part['shape'][2]} joints ({part['layout'] or 'layout unknown'})"
        share = float(np.mean(list(part["missing"].values())))
        lines.append(f"  {joints}, {100 * share:.1f} % missing; {part['coordinates']['words']}")
        if part["names"] and part["names"]["clips"]:
            told = ", ".join(_count(len(counts), kind) for kind, counts in part["names"]["clips"].items())
            lines.append(f"  by the names ({part['names']['scheme']}): {told}")
    if report["shared"] is not None:
        both = ", ".join(_count(len(keys), kind) for kind, keys in report["shared"].items())
        lines.append(f"in both parts: {both or 'none of these'}")
    return lines


def _count(number: int, kind: str) -> str:
    return f"{number} {kind}{'s' if number != 1 else ''}"


def wrong(finding: Finding) -> str:
    """A problem in one line."""
    if not finding.places:
        return f"{finding.level}: {finding.title}: {finding.detail}"
    names = ", ".join(place.name for place in finding.places[:NAMED]) + ", ..." * (len(finding.places) > NAMED)
    more = f"; {finding.detail}" if finding.detail else ""
    return f"{finding.level}: {finding.title}: {len(finding.places):,} ({names}){more}"
