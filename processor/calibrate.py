"""The accuracy of a network on windows of clips, as the demo classifies them: on annotated joints, and with detector noise.

    python main.py calibrate --weights resource/models/starter.pt --data_path data/penn-action/val_data.npy \
        --label_path data/penn-action/val_label.pkl
    python main.py calibrate --weights W --data_path H_data.npy --label_path H_label.pkl --save [F]

With --save the temperature and the threshold that suit these clips are written into the side-car of the weights: a
score of 0.8 is then right four times out of five, and a best score below the threshold is answered with "unknown".
Choose them on clips that were neither trained on nor are to be tested on: train W without the clips H, and F, whose
side-car is written if it is given, with the same settings on all of them.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from feeder import sampling
from feeder.feeder import aspect_ratio
from feeder.packed import read_packed
from feeder.synthetic.detection import simulate_detection
from feeder.windows import spans
from processor.recognizer import UNKNOWN, Recognizer
from processor.sidecar import read_sidecar, sidecar_path, write_sidecar
from processor.video.settings import WINDOW
from processor.video.vote import Vote
from torchlight.errors import UsageError, short

BATCH = 64  # windows at once


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `calibrate`; see options.calibrate for arg."""
    own = {"temperature": 1.0, "threshold": 0.0} if arg.save is not None else {}
    recognizer = Recognizer.from_checkpoint(arg.weights, arg.use_gpu, arg.precision, **own)
    if arg.save and not sidecar_path(arg.save).is_file():
        raise UsageError(f"--save {arg.save}: {sidecar_path(arg.save)}, which is written into, does not exist")
    window = arg.window or recognizer.window or WINDOW
    packed = read_packed(arg.data_path, arg.label_path)
    label = np.array(packed.label)
    if packed.data.shape[3] != recognizer.skeleton.num_joint or packed.data.shape[1] != 3:
        raise UsageError(
            f"{arg.data_path}: shape {packed.data.shape}; {arg.weights} wants x, y and score of "
            f"{recognizer.skeleton.num_joint} joints, the layout {short(recognizer.skeleton.name)}"
        )
    if label.max() >= recognizer.num_class:
        raise UsageError(f"{arg.label_path}: label {label.max()}, {arg.weights} has {recognizer.num_class} classes")
    aspect = aspect_ratio(packed.frame_size, len(label))
    length = sampling.real_frames(packed.data)
    whole = [np.array(clip[:, :T]) for clip, T in zip(packed.data, length)]
    rng = np.random.default_rng(arg.seed)
    noisy = [simulate_detection(clip, recognizer.skeleton.flip, a, rng) for clip, a in zip(whole, aspect)]
    predictions = {
        "annotated joints": predict_windows(recognizer, whole, aspect, window, arg.stride),
        "detected joints, simulated": predict_windows(recognizer, noisy, aspect, window, arg.stride),
    }
    for kind, windows in predictions.items():
        report(kind, recognizer, windows.vote(windows.probability), label)
    if arg.save is not None:
        both = Windows.concatenate(list(predictions.values()))
        temperature, threshold = calibrate(recognizer, both, np.tile(label, len(predictions)), arg.keep)
        target = arg.save or arg.weights
        write_sidecar(target, read_sidecar(target) | {"temperature": temperature, "threshold": threshold})
        print(f"temperature {temperature}, threshold {threshold}: written into {sidecar_path(target)}")


@dataclass
class Windows:
    """The W windows of several clips: the clip each is of (W,), frames seen (W,), probability (W, num_class)."""

    clip: np.ndarray
    seen: np.ndarray
    probability: np.ndarray
    num_clip: int

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
        )


def predict_windows(
    recognizer: Recognizer, clips: list[np.ndarray], aspect: np.ndarray, size: int, stride: int
) -> Windows:
    """Cut the clips into windows and classify them."""
    windows = [(i, begin, end) for i, clip in enumerate(clips) for begin, end in spans(clip.shape[1], size, stride)]
    seen = np.array([max(1, clips[i][:, begin:end].any((0, 2, 3)).sum()) for i, begin, end in windows])
    probability = []
    for at in range(0, len(windows), BATCH):
        some = windows[at : at + BATCH]
        cut = [clips[i][:, begin:end] for i, begin, end in some]
        probability.append(recognizer(cut, aspect[[i for i, _, _ in some]]).probability)
    return Windows(np.array([i for i, _, _ in windows]), seen, np.concatenate(probability), len(clips))


def report(kind: str, recognizer: Recognizer, probability: np.ndarray, label: np.ndarray) -> None:
    """How many of the classes' clips get their label, and how many are called unknown."""
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


def calibrate(recognizer: Recognizer, windows: Windows, label: np.ndarray, keep: float) -> tuple[float, float]:
    """The temperature under which the votes are most likely, and the threshold that keeps that share of right predictions.

    (Temperature: Guo et al., ICML 2017.)
    """
    logits = np.log(np.maximum(windows.probability, 1e-30))

    def votes(temperature: float) -> np.ndarray:
        return windows.vote(softmax(logits / temperature, axis=1))

    def nll(temperature: float) -> float:
        return -np.log(np.maximum(votes(temperature)[np.arange(len(label)), label], 1e-12)).mean()

    temperature = float(minimize_scalar(nll, bounds=(0.2, 5.0), method="bounded").x)
    vote = votes(temperature)
    right = (vote.argmax(1) == label) & recognizer.is_answer[label]
    if not right.any():
        raise UsageError("not one of these clips is recognised: are they of the classes the network was trained on?")
    return round(temperature, 3), round(float(np.quantile(vote.max(1)[right], 1 - keep)), 3)
