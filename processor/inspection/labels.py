"""Labels that are probably wrong: networks that have not seen a clip are sure that it shows another class."""

from __future__ import annotations

import pickle
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from feeder.inspection.findings import Finding, Place
from feeder.inspection.fit import class_name
from feeder.inspection.inspection import Inspection, Part
from feeder.inspection.names import sessions
from processor import options
from processor.ensemble import listed, read_result
from processor.training.automatic import settle
from processor.training.series import first_run
from torchlight.errors import DataError, UsageError
from torchlight.files import atomic_write
from torchlight.label_errors import find_label_errors

FOLDS = 5
SURELY = -0.5  # a margin that is suspicious in any case
KEPT = "out_of_sample.pkl"  # the probabilities of the folds, as a test_result.pkl: for --results next time


def check_labels(arg: Namespace, argv: Sequence[str], found: Inspection, work_dir: Path) -> list[Finding]:
    """A finding of each part whose clips have out-of-sample probabilities: of --results, or of networks trained here.

    Raises:
        UsageError: there is nothing to train with.
        DataError: results that are not of these clips.
    """
    if arg.results:
        scores = read_probabilities(arg.results)
        unknown = set(scores) - {name for part in found.parts for name in part.names}
        if unknown:
            raise DataError(f"--results: {listed(sorted(unknown))} are not in these data")
    else:
        scores = trained(arg, argv, found, work_dir)
    findings = [suspicious(part, scores, found.label_names) for part in found.parts]
    return [finding for finding in findings if finding is not None]


def read_probabilities(paths: Sequence[str]) -> dict[str, np.ndarray]:
    """{clip: probabilities (num_class,)}; of a clip that is in several results their mean."""
    several: dict[str, list[np.ndarray]] = {}
    for path in paths:
        for name, scores in read_result(path).items():
            several.setdefault(name, []).append(softmax(scores.astype(np.float64)))
            if scores.shape != several[name][0].shape:
                raise DataError(f"{path} has {len(scores)} classes, {paths[0]} has {len(several[name][0])}")
    return {name: np.mean(each, axis=0) for name, each in several.items()}


def trained(arg: Namespace, argv: Sequence[str], found: Inspection, work_dir: Path) -> dict[str, np.ndarray]:
    """Probabilities of the training clips, by networks that are trained on the other folds with the config."""
    if not arg.config:
        raise UsageError(
            "--labels trains networks with a config: give one with -c, or results that are there with --results"
        )
    from processor.recognition import share_feeder_args  # both import torch
    from processor.training.cross_validation import out_of_sample

    of_training = vars(options.recognition().parse_args([])).keys()
    own = Namespace(**{key: value for key, value in vars(arg).items() if key in of_training})
    del own.from_manifest
    share_feeder_args(own)
    own.work_dir, own.num_worker = str(work_dir / "folds"), None
    own = first_run(own)  # {fold} is filled in
    settle(own)
    part = found.parts[0]
    groups = sessions(part.names)
    folds = arg.folds or min(FOLDS, len(set(groups or part.names)))
    probability = out_of_sample(own, list(argv), part.names, part.label, groups, folds)
    scores = dict(zip(part.names, np.log(np.maximum(probability, np.finfo(np.float32).tiny)).astype(np.float32)))
    with atomic_write(work_dir / KEPT) as file:
        pickle.dump(scores, file)
    print(f"{work_dir / KEPT} has the probabilities, for --results")
    return dict(zip(part.names, probability))


def suspicious(part: Part, scores: Mapping[str, np.ndarray], names: Sequence[str] | None) -> Finding | None:
    """The clips of a part whose label confident learning suspects, or against which the networks are sure; the surest first."""
    clips = [i for i, name in enumerate(part.names) if name in scores]
    if not clips:
        return None
    probability, labels = np.stack([scores[part.names[i]] for i in clips]), np.array([part.label[i] for i in clips])
    if labels.max() >= probability.shape[1]:
        raise DataError(f"{part.name} has the label {labels.max()}, the results have {probability.shape[1]} classes")
    told = sessions(part.names)
    errors = find_label_errors(probability, labels, [told[i] for i in clips] if told else None)
    exchanged = {int(k): each for each in reversed(errors.exchanges) for k in each.samples}
    chosen = errors.suspicious | (errors.margin < SURELY)
    places = []
    for k in errors.order[chosen[errors.order]]:
        own, other = probability[k, labels[k]], int(errors.suggested[k])
        detail = f"rather {class_name(other, names)} ({probability[k, other]:.2f} against {own:.2f})"
        amount = -float(errors.margin[k])
        if k in exchanged:
            detail = f"exchanged with {class_name(other, names)} in all of this session?"
            amount = 2 + exchanged[k].evidence  # in the order of find_label_errors
        i = clips[k]
        places.append(Place(part.name, i, part.names[i], part.label[i], detail=detail, amount=amount))
    agree = 100 * np.mean(probability.argmax(1) == labels)
    detail = f"networks that have not seen them agree with {agree:.1f} % of {len(clips):,} labels of {part.name}"
    for each in errors.exchanges:
        pair = " and ".join(class_name(label, names) for label in each.classes)
        detail += f"; {pair} exchanged in session {each.group} ({len(each.samples)} clips)?"
    return Finding("label", places, detail)
