"""What inspection can find: each kind of problem with its level, what it is, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

LEVELS = "error", "warning", "note"
LISTED = 1000  # clips of a problem that inspect.json names


@dataclass(frozen=True)
class Kind:
    """level: error, warning or note. title: a heading. what and remedy: a sentence each."""

    level: str
    title: str
    what: str
    remedy: str


KINDS = {
    "leakage": Kind(
        "error",
        "The same clip in training and in test",
        "A test clip is also a training clip: the accuracy on it says nothing.",
        "Leave these clips out of the training, or out of the test, and say so where you report the accuracy.",
    ),
    "contradiction": Kind(
        "error",
        "The same clip with two classes",
        "Two copies of one clip have different labels; at least one of them is wrong.",
        "Look at both and correct or drop the wrong one.",
    ),
    "not_finite": Kind(
        "error",
        "Values that are not numbers",
        "NaN or infinite coordinates: a training stops at such a clip.",
        "A missing joint must be zero in all channels; repair the clip where it is made, and pack again.",
    ),
    "empty": Kind(
        "error",
        "Empty clips",
        "No joint is seen in any frame.",
        "Leave the clip out, or find out why nobody was detected.",
    ),
    "joints": Kind(
        "error",
        "Joints that do not fit the layout",
        "The data have another number of joints than the layout.",
        "Give the layout that they were recorded with, as `layout` or in dataset.yaml.",
    ),
    "facts_differ": Kind(
        "error",
        "Config and dataset.yaml contradict each other",
        "The config says something else of the data than dataset.yaml beside them; a training refuses that.",
        "Correct the wrong one of the two.",
    ),
    "scores_as_depth": Kind(
        "error",
        "Scores taken for a depth",
        "The data are given as dimension 3, but their third channel looks like scores.",
        "Set dimension: 2; what is below treats them so.",
    ),
    "depth_as_scores": Kind(
        "error",
        "A third coordinate taken for scores",
        "The data are given as dimension 2, but their third channel leaves the range 0 to 1.",
        "Set dimension: 3, if it is a depth; what is below treats them so.",
    ),
    "label_range": Kind(
        "error",
        "Labels beyond the class names",
        "A label has no class name.",
        "Complete the class names, or correct the labels; the first class is 0.",
    ),
    "one_frame": Kind(
        "warning",
        "One frame only",
        "There is no motion in a single frame.",
        "Leave the clip out of the training; in a test it stays, and is reported.",
    ),
    "frozen": Kind(
        "warning",
        "Frozen clips",
        "Nobody moves in any frame.",
        "Find out whether the recording or the reading of it stopped.",
    ),
    "cut": Kind(
        "warning",
        "The whole body jumps",
        "From one frame to the next the whole body is elsewhere: a cut, another person, or two recordings mixed.",
        "Split the clip there, or drop the frames on the wrong side.",
    ),
    "jump": Kind(
        "warning",
        "Joints that jump",
        "A joint is far away for one to three frames and then back, as no body moves.",
        "Set the joint to missing (zero) there, or interpolate it.",
    ),
    "bone": Kind(
        "warning",
        "Bones that change their length",
        "A bone is several times longer in some frames than in others.",
        "One of its joints is wrong in the frames that are marked: set it to missing, or use a bone stream with care.",
    ),
    "flip": Kind(
        "warning",
        "Left and right swapped for a while",
        "At both ends of the frames that are marked the motion is smooth only if left and right are exchanged.",
        "Exchange the sides in these frames; where this is frequent, `swap_sides` makes a network indifferent to it.",
    ),
    "swap": Kind(
        "warning",
        "Persons who exchange places",
        "From one frame to the next two persons change over in the array.",
        "Track the persons before packing.",
    ),
    "duplicate": Kind(
        "warning",
        "Exact duplicates",
        "A clip is in the same part twice, byte by byte.",
        "Keep one of them.",
    ),
    "near_duplicate": Kind(
        "warning",
        "Near duplicates",
        "Two clips of a part have the same motion, resampled, moved, scaled or in a mirror.",
        "Keep one of them; augmentation belongs into the training, not into the data.",
    ),
    "units": Kind(
        "warning",
        "Coordinates in another unit",
        "The coordinates are not in the unit that the augmentation and the demo expect.",
        "2-D: centred fractions of the frame; 3-D: metres. Convert them when packing, or begin with normalize_body.",
    ),
    "untrained": Kind(
        "warning",
        "Classes in the test that are not trained",
        "A class has test clips, but no training clip.",
        "Check the split and the labels.",
    ),
    "absent": Kind(
        "warning",
        "Classes without a clip",
        "A class has a name, but no clip in any part.",
        "Check the class names and the labels.",
    ),
    "left_right": Kind(
        "warning",
        "A flip, and classes that say left or right",
        "The training flips or swaps sides, but class names say left, right or a sense of rotation, which a flip changes.",
        "Leave `mirror` and `swap_sides` out of the training: `train_feeder_args: {mirror: null}`.",
    ),
    "centre_missing": Kind(
        "warning",
        "A joint that everything hangs on is mostly missing",
        "In more than half of the frames it is not seen, though the preparation or the layout builds on it.",
        "Choose a layout with another centre, or another normalisation.",
    ),
    "pause": Kind(
        "note",
        "Frozen for a stretch",
        "Nobody moves for a long stretch, not by a hair: frames that were repeated, most likely.",
        "Drop the repeated frames, or keep them if that is how it was recorded.",
    ),
    "named_otherwise": Kind(
        "note",
        "A label that is not what the name says",
        "Clips with this action number in their names have another class elsewhere.",
        "Fine if it was corrected on purpose; else look at them.",
    ),
    "joint_absent": Kind(
        "note",
        "Joints that are hardly ever seen",
        "A joint is missing in more than 99 of 100 frames.",
        "Nothing, if the estimator does not know it; a layout without it is faster.",
    ),
    "untested": Kind(
        "note", "Classes that are not tested", "A class has training clips, but no test clip.", "Check the split."
    ),
    "unequal": Kind(
        "note",
        "Very unequal classes",
        "The largest class has more than ten times as many training clips as the smallest.",
        "Look at the mean class accuracy, not only at top-1.",
    ),
    "rotate": Kind(
        "note",
        "Turned far about a horizontal axis",
        "random_rotate goes beyond 1 rad about an axis that is not the vertical one: bodies lie down or stand on their heads.",
        "Keep it below 0.5 there, unless cameras hang from the ceiling; give the axes apart, [x, y, z].",
    ),
    "window": Kind(
        "note",
        "A window that does not suit the lengths",
        "window_size is far from the lengths of the clips.",
        "Choose it near the usual length, or sample with uniform_sample.",
    ),
    "label": Kind(
        "warning",
        "Suspicious labels",
        "Networks that were not trained on these clips take them for another class. The first are the surest; "
        "where the networks are not good, many of the later ones are hard clips with the right label.",
        "Look at them. Correct or leave out what is wrong in training data; leave test labels as published.",
    ),
    "same_people": Kind(
        "note",
        "Training and test share persons and views",
        "By the names, the two parts are divided neither by persons nor by views: the test is easier than on new persons.",
        "Fine if your protocol is so.",
    ),
}


@dataclass
class Place:
    """A clip of a finding.

    Attributes:
        part, clip, name, label: which clip.
        frames: (first, last) of each place in it.
        detail: in words.
        amount: how bad; the worst come first.
        twin: (part, clip, name) of the other one of a pair, or None.
    """

    part: str
    clip: int
    name: str
    label: int
    frames: list[tuple[int, int]] = field(default_factory=list)
    detail: str = ""
    amount: float = 0.0
    twin: tuple[str, int, str] | None = None


@dataclass
class Finding:
    """A problem and all clips that have it; one without clips is about the config or the data set, and `detail` tells it."""

    kind: str
    places: list[Place] = field(default_factory=list)
    detail: str = ""

    @property
    def level(self) -> str:
        return KINDS[self.kind].level

    @property
    def title(self) -> str:
        return KINDS[self.kind].title

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with at most LISTED of the clips."""
        kind = KINDS[self.kind]
        out: dict[str, Any] = {"kind": self.kind, "level": kind.level, "title": kind.title}
        out |= {"what": kind.what, "remedy": kind.remedy, "detail": self.detail, "total": len(self.places)}
        out["clips"] = [
            {
                "part": place.part,
                "name": place.name,
                "label": place.label,
                "frames": [list(run) for run in place.frames],
                "detail": place.detail,
                "amount": round(place.amount, 4) if math.isfinite(place.amount) else None,
            }
            | ({"twin": {"part": place.twin[0], "name": place.twin[2]}} if place.twin else {})
            for place in self.places[:LISTED]
        ]
        return out


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Errors, then warnings, then notes; of a level in the order of KINDS. Within a finding the worst clips first."""
    for finding in findings:
        finding.places.sort(key=lambda place: -place.amount)
    order = list(KINDS)
    return sorted(findings, key=lambda finding: (LEVELS.index(finding.level), order.index(finding.kind)))
