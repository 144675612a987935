"""The accuracy of a network on windows of clips, as the demo classifies them: on annotated joints, and with detector noise.

    python main.py calibrate --weights resource/models/starter.pt --data_path data/penn-action/val_data.npy \
        --label_path data/penn-action/val_label.pkl
    python main.py calibrate --weights W --data_path H_data.npy --label_path H_label.pkl --save [F]
    python main.py calibrate --weights W --data_path H_data.npy --label_path H_label.pkl --streaming

With --save the temperature and the threshold that suit these clips are written into the side-car of the weights: a
score of 0.8 is then right four times out of five, and a best score below the threshold is answered with "unknown".
Choose them on clips that were neither trained on nor are to be tested on: train W without the clips H, and F, whose
side-car is written if it is given, with the same settings on all of them.

    python main.py calibrate --weights W --data_path H_data.npy --label_path H_label.pkl \
        --fit_data_path train_data.npy --fit_label_path train_label.pkl

With --fit_data_path the features of the clips that W was trained on are measured, annotated and with detector noise, and
written beside the weights: see open_set.py. A --save after that also writes the curve of the unknown.

With --streaming it is the accuracy frame by frame, and --save writes one number more, the curve of the unknown for streams.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from feeder import sampling
from feeder.dataset import is_h5
from feeder.feeder import aspect_ratio
from feeder.packed import read_packed
from feeder.synthetic.detection import simulate_detection
from feeder.windows import spans
from processor.continual import ContinualRecognizer
from processor.open_set import OpenSet, discount, probability_unknown
from processor.recognizer import UNKNOWN, Recognizer
from processor.sidecar import read_sidecar, sidecar_path, write_sidecar
from processor.video.settings import WINDOW
from processor.video.vote import Vote
from torchlight.errors import UsageError, short

BATCH = 64  # windows at once


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `calibrate`; see options.calibrate for arg."""
    if arg.streaming and arg.fit_data_path:
        raise UsageError(
            "--fit_data_path measures the features of windows, which --streaming uses too: leave one of them out"
        )
    anew = arg.fit_data_path or (arg.save is not None and not arg.streaming)
    own = {"temperature": 1.0, "threshold": 0.0, "open_set": None} if anew else {}
    recognizer = Recognizer.from_checkpoint(arg.weights, arg.use_gpu, arg.precision, **own)
    recognizer.require_2d()
    if arg.save and not sidecar_path(arg.save).is_file():
        raise UsageError(f"--save {arg.save}: {sidecar_path(arg.save)}, which is written into, does not exist")
    window = arg.window or recognizer.window or WINDOW
    for kind in ("", "fit_"):
        check_paths(arg, f"{kind}data_path", f"{kind}label_path")
    predict = predict_frame_by_frame if arg.streaming else predict_windows
    if arg.fit_data_path:
        fit_open_set(arg, recognizer, window)
    clips = read_clips(arg.data_path, arg.label_path, recognizer, arg.weights)
    label, aspect = clips.label, clips.aspect
    predictions = {
        "annotated joints": predict(recognizer, clips.whole, aspect, window, arg.stride),
        "detected joints, simulated": predict(
            recognizer, clips.noisy(recognizer, arg.seed), aspect, window, arg.stride
        ),
    }
    for kind, windows in predictions.items():
        report(kind, recognizer, windows.vote(windows.probability), label, arg.per_class)
    if arg.save is not None:
        both = Windows.concatenate(list(predictions.values()))
        labels = np.tile(label, len(predictions))
        found = (
            calibrate_streaming(recognizer, both, labels)
            if arg.streaming
            else calibrate(recognizer, both, labels, arg.keep)
        )
        target = arg.save or arg.weights
        write_sidecar(target, read_sidecar(target) | found)
        written = ", ".join(f"{key} {value}" for key, value in found.items())
        print(f"{written}: written into {sidecar_path(target)}")


def check_paths(arg: Namespace, data: str, label: str) -> None:
    """Raises UsageError unless both are given, or an .h5, whose labels are inside, or none of them."""
    data_path, label_path = getattr(arg, data), getattr(arg, label)
    if (data_path is None) != (label_path is None) and not (data_path and is_h5(data_path)):
        raise UsageError(f"--{data} and --{label} belong together; of an .h5 --{data} is enough")


@dataclass
class Clips:
    """Whole clips (3, T, V, M), their labels and the aspects of their frames."""

    whole: list[np.ndarray]
    label: np.ndarray
    aspect: np.ndarray

    def noisy(self, recognizer: Recognizer, seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [simulate_detection(clip, recognizer.skeleton.flip, a, rng) for clip, a in zip(self.whole, self.aspect)]


def read_clips(data_path: str, label_path: str | None, recognizer: Recognizer, weights: str) -> Clips:
    packed = read_packed(data_path, label_path)
    label = np.array(packed.label)
    if packed.data.shape[3] != recognizer.skeleton.num_joint or packed.data.shape[1] != 3:
        raise UsageError(
            f"{data_path}: shape {packed.data.shape}; {weights} wants x, y and score of "
            f"{recognizer.skeleton.num_joint} joints, the layout {short(recognizer.skeleton.name)}"
        )
    if label.max() >= recognizer.num_class:
        raise UsageError(
            f"{label_path or data_path}: label {label.max()}, {weights} has {recognizer.num_class} classes"
        )
    length = sampling.real_frames(packed.data)
    whole = [np.array(clip[:, :T]) for clip, T in zip(packed.data, length)]
    return Clips(whole, label, aspect_ratio(packed.frame_size, len(label)))


def fit_open_set(arg: Namespace, recognizer: Recognizer, window: int) -> None:
    """Measure the features of training clips and write them beside the weights."""
    clips = read_clips(arg.fit_data_path, arg.fit_label_path, recognizer, arg.weights)
    both = [
        predict_windows(recognizer, some, clips.aspect, window, window)
        for some in (clips.whole, clips.noisy(recognizer, arg.seed))
    ]
    if both[0].feature is None:
        raise UsageError(f"{arg.weights}: the network gives no features to be measured")
    feature = np.concatenate([windows.feature for windows in both])
    label = np.concatenate([clips.label[windows.clip] for windows in both])
    recognizer.open_set = OpenSet.fit(feature, label, recognizer.is_answer)
    print(f"statistics of the features of {len(feature)} windows: written into {recognizer.open_set.save(arg.weights)}")


@dataclass
class Windows:
    """The W windows of several clips: the clip each is of (W,), frames seen (W,), probability (W, num_class), and the
    network's features (W, D), None where it gives none.
    """

    clip: np.ndarray
    seen: np.ndarray
    probability: np.ndarray
    num_clip: int
    feature: np.ndarray | None = None

    def vote(self, probability: np.ndarray) -> np.ndarray:
        """The votes of the clips, as the demo takes them: (num_clip, num_class)."""
        vote = Vote(probability.shape[1], self.num_clip)
        vote.add(probability, self.seen, self.clip)
        return vote.means

    @classmethod
    def concatenate(cls, several: list[Windows]) -> Windows:
        """The clips of all of them, one after the other."""
        first = np.cumsum([0, *(each.num_clip for each in several)])
        return cls(
            np.concatenate([each.clip + begin for each, begin in zip(several, first)]),
            np.concatenate([each.seen for each in several]),
            np.concatenate([each.probability for each in several]),
            int(first[-1]),
            None if several[0].feature is None else np.concatenate([each.feature for each in several]),
        )


def predict_windows(
    recognizer: Recognizer, clips: list[np.ndarray], aspect: np.ndarray, size: int, stride: int
) -> Windows:
    """Cut the clips into windows and classify them."""
    windows = [(i, begin, end) for i, clip in enumerate(clips) for begin, end in spans(clip.shape[1], size, stride)]
    seen = np.array([max(1, clips[i][:, begin:end].any((0, 2, 3)).sum()) for i, begin, end in windows])
    predictions = []
    for at in range(0, len(windows), BATCH):
        some = windows[at : at + BATCH]
        cut = [clips[i][:, begin:end] for i, begin, end in some]
        prediction = recognizer(cut, aspect[[i for i, _, _ in some]])
        predictions.append((prediction.probability, prediction.feature))
    probability, feature = zip(*predictions)
    feature = None if feature[0] is None else np.concatenate(feature)
    return Windows(np.array([i for i, _, _ in windows]), seen, np.concatenate(probability), len(clips), feature)


def predict_frame_by_frame(
    recognizer: Recognizer, clips: list[np.ndarray], aspect: np.ndarray, size: int, stride: int
) -> Windows:
    """The same windows, as the demo with --streaming predicts them."""
    continual, found = ContinualRecognizer(recognizer, size), []
    for at in range(0, len(clips), BATCH):
        persons = {i: continual.begin(aspect[i]) for i in range(at, min(at + BATCH, len(clips)))}
        while persons:
            chunks = {i: clips[i][:, each.count : each.count + continual.stride] for i, each in persons.items()}
            going = {i: persons[i] for i, chunk in chunks.items() if chunk.shape[1] == continual.stride}
            continual.add(list(going.values()), [chunks[i] for i in going])
            over = [{i: persons[i]} for i in persons if i not in going]
            for i, chunk in chunks.items():
                if i not in going:
                    continual.finish(persons[i], chunk)
            for some in (going, *over):
                numbers, together = list(some), list(some.values())
                for ago, due in continual.due(together, size, stride).items():
                    prediction = continual.predict([together[k] for k, _ in due], size, ago)
                    for row, (k, end) in enumerate(due):
                        seen = clips[numbers[k]][:, max(0, end - size) : end].any((0, 2, 3)).sum()
                        found.append((numbers[k], max(1, seen), prediction.probability[row], prediction.feature[row]))
            persons = going
    clip, seen, probability, feature = (np.array(each) for each in zip(*found))
    return Windows(clip, seen, probability, len(clips), feature)


def report(kind: str, recognizer: Recognizer, probability: np.ndarray, label: np.ndarray, per_class: bool) -> None:
    """How many of the classes' clips get their label, and how many are called unknown; per_class: a line for each."""
    answers = np.array([recognizer.decide(row)[0] for row in probability])
    names, ours = np.array(recognizer.label_names), recognizer.is_answer[label]
    best = names[np.where(recognizer.is_answer, probability, -1).argmax(1)]
    print(
        f"{kind}: {ours.sum()} clips, {100 * (best == names[label])[ours].mean():.2f}% have their label "
        f"first; {100 * (answers == names[label])[ours].mean():.2f}% are answered with it, "
        f"{100 * (answers == UNKNOWN)[ours].mean():.2f}% with unknown"
    )
    if (~ours).any():
        unknown = 100 * (answers == UNKNOWN)[~ours].mean()
        print(f"    {(~ours).sum()} clips of none of the classes: {unknown:.2f}% answered with unknown")
    if per_class:
        for c in np.unique(label):
            of_class = label == c
            first, answered, unknown = (
                100 * share[of_class].mean() for share in (best == names[c], answers == names[c], answers == UNKNOWN)
            )
            print(
                f"    {names[c]}: {of_class.sum()} clips, {first:.1f} first, {answered:.1f} answered, {unknown:.1f} unknown"
            )


def calibrate(recognizer: Recognizer, windows: Windows, label: np.ndarray, keep: float) -> dict[str, Any]:
    """The temperature under which the votes are most likely, the curve of the unknown where there are statistics for it,
    and the threshold that keeps that share of right predictions.

    (Temperature: Guo et al., ICML 2017.)
    """
    logits = np.log(np.maximum(windows.probability, 1e-30))

    def votes(temperature: float) -> np.ndarray:
        return windows.vote(softmax(logits / temperature, axis=1))

    def nll(temperature: float) -> float:
        return -np.log(np.maximum(votes(temperature)[np.arange(len(label)), label], 1e-12)).mean()

    temperature = float(minimize_scalar(nll, bounds=(0.2, 5.0), method="bounded").x)
    found: dict[str, Any] = {"temperature": round(temperature, 3)}
    probability = softmax(logits / temperature, axis=1)
    if recognizer.open_set is not None and not recognizer.is_answer.all():
        distance = recognizer.open_set.distance(windows.feature)
        found["open_set"] = curve_of(distance[recognizer.is_answer[label][windows.clip]])
        probability = discount(probability, probability_unknown(distance, **found["open_set"]), recognizer.is_answer)
    vote = windows.vote(probability)
    best = np.where(recognizer.is_answer, vote, -1)
    right = (best.argmax(1) == label) & recognizer.is_answer[label]
    if not right.any():
        raise UsageError("not one of these clips is recognised: are they of the classes the network was trained on?")
    return found | {"threshold": round(float(np.quantile(best.max(1)[right], 1 - keep)), 3)}


def calibrate_streaming(recognizer: Recognizer, windows: Windows, label: np.ndarray) -> dict[str, Any]:
    """The curve of the unknown for the features of streams. Temperature and threshold stay those of windows."""
    if recognizer.open_set is None:
        raise UsageError(
            "--streaming --save: beside these weights is no .open_set.pt; make it with --fit_data_path first"
        )
    distance = recognizer.open_set.distance(windows.feature)
    return {"open_set_streaming": curve_of(distance[recognizer.is_answer[label][windows.clip]])}


def curve_of(distance: np.ndarray) -> dict[str, float]:
    """Centre and scale by the scores of windows of known classes: at the centre, which one of fifty passes, a clip is as
    likely unknown as known; the median is so with a probability of 2 %.
    """
    median, far = np.quantile(distance, [0.5, 0.98])
    return {"centre": round(float(far), 2), "scale": round(max(float(far - median) / 4, 1e-3), 3)}
