"""Skeleton layouts: the joints of a body or a hand, their bones, their centre, and which of them a mirror swaps.

A layout is a file, resource/skeleton/<layout>.yaml; a new skeleton is a new YAML file and no code:

    name: stick
    joints: [head, chest, left_hand, right_hand]                        # the order of V
    bones: [[head, chest], [left_hand, chest], [right_hand, chest]]     # [child, parent] towards the centre
    centre: chest
    mirror: [[left_hand, right_hand]]                                   # what a flip swaps; may be left out
    derive: {chest: [left_shoulder, right_shoulder]}                    # may be left out; see remap

A bone whose child already has a parent is an extra link: it belongs to the graph, not to the tree of `parents`.
`derive` says how a joint is made where another layout, from which points are remapped, lacks it: it is in the middle of
those joints of the other layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from torchlight.config import load_yaml
from torchlight.errors import DataError, UsageError, did_you_mean, short

LAYOUTS = Path(__file__).resolve().parent.parent / "resource" / "skeleton"
MOST = 500  # joints of a layout: tables of joints by joints are made of it
REQUIRED, OPTIONAL = ("name", "joints", "bones", "centre"), ("mirror", "derive")


class LayoutError(DataError):
    """A skeleton layout is unknown or wrong; the message is one line: which file, which key, what to do."""


@dataclass(frozen=True)
class Skeleton:
    """A layout of V joints.

    Attributes:
        joints: V names, in the order of the data.
        bones: (child, parent) indices, as listed in the layout.
        centre: index of the joint everything hangs from.
        mirror: pairs of indices that a left-right flip swaps.
        derive: (joint, names of the other layout's joints in whose middle it is), see remap.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    centre: int
    mirror: tuple[tuple[int, int], ...]
    derive: tuple[tuple[int, tuple[str, ...]], ...] = ()

    @property
    def num_joint(self) -> int:
        return len(self.joints)

    @property
    def parents(self) -> np.ndarray:
        """(V,) int: the parent of each joint, by the first bone that lists it as child; the centre is its own."""
        parents = np.arange(self.num_joint)
        for child, parent in reversed(self.bones):
            if child != self.centre:
                parents[child] = parent
        return parents

    @property
    def flip(self) -> np.ndarray:
        """(V,) int: the permutation that swaps the mirror pairs; x[..., flip] is the body seen in a mirror."""
        flip = np.arange(self.num_joint)
        for a, b in self.mirror:
            flip[[a, b]] = b, a
        return flip

    @property
    def description(self) -> dict:
        """The layout as its file has it, plain lists and strings by name; load_skeleton reads it back."""
        joints = self.joints
        return {
            "name": self.name,
            "joints": list(joints),
            "bones": [[joints[child], joints[parent]] for child, parent in self.bones],
            "centre": joints[self.centre],
            "mirror": [[joints[a], joints[b]] for a, b in self.mirror],
            "derive": {joints[joint]: list(parts) for joint, parts in self.derive},
        }


def remap(points: np.ndarray, source: Skeleton, target: Skeleton) -> np.ndarray:
    """The points of one layout as those of another: joints of the same name, and what the target derives.

    A derived joint is in the middle of its parts, has the smallest of their scores, and is missing if one of them is.

    Shape:
        points (..., V, 3): x, y, score, zeros where missing -> (..., V', 3).

    Raises:
        LayoutError: the source has not all that the target needs.
    """
    if points.shape[-2:] != (source.num_joint, 3):
        raise LayoutError(f"points of layout {source.name} have shape (..., {source.num_joint}, 3), not {points.shape}")
    place, derive = {name: i for i, name in enumerate(source.joints)}, dict(target.derive)
    parts = [(name,) if name in place else derive.get(joint, ()) for joint, name in enumerate(target.joints)]
    lacking = [name for name, of in zip(target.joints, parts) if not of or not place.keys() >= set(of)]
    if lacking:
        raise LayoutError(f"layout {source.name} cannot be made into {target.name}: it lacks {', '.join(lacking)}")
    out = points[..., [place[of[0]] for of in parts], :]  # (..., V', 3)
    for joint, of in enumerate(parts):
        if len(of) > 1:
            several = points[..., [place[name] for name in of], :]  # (..., parts, 3)
            middle = np.concatenate([several[..., :2].mean(-2), several[..., 2:].min(-2)], -1)
            out[..., joint, :] = middle * several.any(-1).all(-1)[..., None]
    return out


def known_layouts() -> list[str]:
    return sorted(path.stem for path in LAYOUTS.glob("*.yaml"))


def load_skeleton(layout: str | Mapping) -> Skeleton:
    """The layout of that name in resource/skeleton, of the YAML file at that path, or with that content.

    Raises:
        LayoutError: no such layout, or it breaks a rule.
    """
    if isinstance(layout, Mapping):
        return _checked(dict(layout), f"layout {short(layout.get('name', 'without a name'))}")
    layout = str(layout)
    known = known_layouts()
    if layout in known:
        return _read(LAYOUTS / f"{layout}.yaml")
    if Path(layout).is_file():
        return _read(Path(layout).resolve())
    raise LayoutError(
        f"no skeleton layout '{layout}'{did_you_mean(layout, known)}; "
        f"known: {', '.join(known)}, or the path of a .yaml file like those in resource/skeleton"
    )


@lru_cache
def _read(path: Path) -> Skeleton:
    try:
        document = load_yaml(path)
    except UsageError as error:
        raise LayoutError(str(error)) from None
    return _checked(document, str(path))


def _checked(document: object, where: str) -> Skeleton:
    try:
        return _build(document)
    except _Wrong as wrong:
        raise LayoutError(f"{where}: {wrong}") from None


class _Wrong(Exception):
    """What is wrong with a layout, without the name of its file."""


def _build(document: object) -> Skeleton:
    if not isinstance(document, dict):
        raise _Wrong(f"expected the keys {', '.join(REQUIRED + OPTIONAL)}; found {_kind(document)}")
    for key in document:
        if key not in REQUIRED + OPTIONAL:
            raise _Wrong(f"unknown key '{key}'{did_you_mean(str(key), REQUIRED + OPTIONAL)}")
    for key in REQUIRED:
        if key not in document:
            raise _Wrong(f"key '{key}' is missing")

    joints = _names("joints", document["joints"])
    if len(joints) == 0:
        raise _Wrong("joints: the list is empty")
    if len(joints) > MOST:
        raise _Wrong(f"joints: {len(joints)}; {MOST} are the most")
    for i, joint in enumerate(joints):
        if joint in joints[:i]:
            raise _Wrong(f"joints: '{joint}' is listed twice")
    centre = _joint("centre", document["centre"], joints)
    bones = _pairs("bones", document["bones"], joints)
    mirror = _pairs("mirror", document.get("mirror") or [], joints)
    swapped = [joint for pair in mirror for joint in pair]
    for joint in swapped:
        if swapped.count(joint) > 1:
            raise _Wrong(f"mirror: '{joints[joint]}' is in two pairs")

    derive = _recipes("derive", document.get("derive") or {}, joints)
    skeleton = Skeleton(_name("name", document["name"]), joints, bones, centre, mirror, derive)
    _check_tree(skeleton)
    return skeleton


def _check_tree(skeleton: Skeleton) -> None:
    """Every joint but the centre has a parent, and going from parent to parent ends at the centre."""
    parents = skeleton.parents
    for joint, name in enumerate(skeleton.joints):
        if joint != skeleton.centre and parents[joint] == joint:
            raise _Wrong(f"bones: joint '{name}' is no bone's child; add [{name}, its parent towards the centre]")
        ancestor = joint
        for _ in skeleton.joints:
            ancestor = parents[ancestor]
        if ancestor != skeleton.centre:
            centre = skeleton.joints[skeleton.centre]
            raise _Wrong(f"bones: from joint '{name}' the parents never reach the centre '{centre}'")


def _pairs(key: str, value: object, joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list):
        raise _Wrong(f"{key}: expected a list of pairs of joints; found {_kind(value)}")
    if len(value) > 2 * MOST:
        raise _Wrong(f"{key}: {len(value)} pairs; {2 * MOST} are the most")
    pairs = []
    for i, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise _Wrong(f"{key}[{i}]: expected a pair of joints; found {_kind(pair)}")
        a, b = (_joint(f"{key}[{i}]", name, joints) for name in pair)
        if a == b:
            raise _Wrong(f"{key}[{i}]: '{joints[a]}' is paired with itself")
        if (a, b) in pairs or (b, a) in pairs:
            raise _Wrong(f"{key}[{i}]: the pair {joints[a]}, {joints[b]} is listed twice")
        pairs.append((a, b))
    return tuple(pairs)


def _recipes(key: str, value: object, joints: tuple[str, ...]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise _Wrong(f"{key}: expected a mapping of joints to lists of joints; found {_kind(value)}")
    recipes = []
    for name, parts in value.items():
        joint = _joint(key, name, joints)
        recipes.append((joint, _names(f"{key}.{name}", parts)))
        if not parts or name in parts:
            raise _Wrong(f"{key}.{name}: expected one or more other joints; found {', '.join(parts) or 'none'}")
    return tuple(sorted(recipes))


def _names(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _Wrong(f"{key}: expected a list of names; found {_kind(value)}")
    return tuple(_name(f"{key}[{i}]", name) for i, name in enumerate(value))


def _joint(key: str, value: object, joints: tuple[str, ...]) -> int:
    name = _name(key, value)
    if name not in joints:
        raise _Wrong(f"{key}: no joint '{name}'{did_you_mean(name, joints)}")
    return joints.index(name)


def _name(key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _Wrong(f"{key}: expected a name; found {_kind(value)}")
    return value


def _kind(value: object) -> str:
    words = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return words.get(type(value)) or short(value)
