"""`auto` in a config: what is chosen from the training clips (feeder/automatic.py) is put in its place.

    stream: auto
    feeder_args: {window_size: auto, normalize_axes: auto}
    train_feeder_args: {mirror: auto, random_rotate: auto}
    batch_size: auto
    num_epoch: auto

config.yaml in the work folder has the values, so that a run can be repeated without choosing again.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from functools import cache

from feeder import automatic
from feeder.automatic import Choice, Survey
from processor.training.series import first_run, streams_of
from torchlight.errors import UsageError
from torchlight.metrics import read_names

AUTO = "auto"
OF_CLIPS = {
    "window_size": automatic.window_size,
    "normalize_axes": automatic.normalize_axes,
    "mirror": automatic.mirror,
    "random_rotate": automatic.random_rotate,
}
PARTS = ("feeder_args", "train_feeder_args", "test_feeder_args")
OF_UPDATES = ("batch_size", "num_epoch")


def settle(arg: Namespace) -> list[str]:
    """Replace every `auto` of a run by what its training clips say; a line of the log for each.

    Raises:
        UsageError: there are no packed training clips to choose from.
    """
    clips = [key for key in OF_CLIPS if any(getattr(arg, part).get(key) == AUTO for part in PARTS)]
    updates = [key for key in OF_UPDATES if getattr(arg, key) == AUTO]
    if not clips and not updates:
        return []
    found, lines = survey_of(arg, (clips + updates)[0]), []
    for key in clips:
        choice = OF_CLIPS[key](found)
        for part in PARTS:
            if getattr(arg, part).get(key) == AUTO:
                getattr(arg, part)[key] = choice.value
        lines.append(_line(key, choice))
    if "batch_size" in updates:
        choice = automatic.batch_size(found)
        arg.batch_size = choice.value
        lines.append(_line("batch_size", choice))
    if "num_epoch" in updates:
        choice = automatic.num_epoch(found, arg.batch_size)
        arg.num_epoch = choice.value
        lines.append(_line("num_epoch", choice))
    return lines


def settle_stream(arg: Namespace) -> list[str]:
    """The same for `stream: auto`, before the runs of a series are told apart."""
    if streams_of(arg) != [AUTO]:
        return []
    choice = automatic.stream(survey_of(first_run(arg), "stream"))
    arg.stream = choice.value
    return [_line("stream", choice)]


def _line(key: str, choice: Choice) -> str:
    return f"auto: {key}: {choice.value} ({choice.why})"


def survey_of(arg: Namespace, key: str) -> Survey:
    args = {**arg.feeder_args, **arg.train_feeder_args}
    if not isinstance(args.get("data_path"), str):
        raise UsageError(f"{key}: auto is chosen from packed training clips; train_feeder_args: data_path is missing")
    found = _survey(*(args.get(name) for name in ("data_path", "label_path", "layout", "dimension")))
    return replace(found, label_names=read_names(arg.label_names)) if arg.label_names else found


_survey = cache(automatic.survey)  # runs of several seeds have the same clips
