"""What the names of clips tell: who was recorded, from where, how often. Names of a data set that is not known tell nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

SCHEMES = {  # data set: the names of its clips; the groups are what they tell
    "NTU RGB+D": r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R(?P<repetition>\d{3})A(?P<action>\d{3}).*",
    "NW-UCLA": r"a(?P<action>\d+)_s(?P<subject>\d+)_e(?P<repetition>\d+)_v(?P<view>\d+).*",
    "UTD-MHAD": r"a(?P<action>\d+)_s(?P<subject>\d+)_t(?P<repetition>\d+).*",
    "SBU": r"(?P<pair>s\d+s\d+)_(?P<action>\d+)_(?P<repetition>\d+).*",
    "synthetic": r"s(?P<subject>\d+)_a(?P<action>\d+)_r(?P<repetition>\d+)",
}
ENOUGH = 0.9  # of the clips have to be named so
WHO = "subject", "pair"  # what two parts should not share, or else
WHERE = "view", "camera", "setup"  # one of these


@dataclass(frozen=True)
class Told:
    """What names tell: {"subject": {"1": clips, ...}, ...}, by the scheme of a data set; `action` is of each clip, or None."""

    scheme: str
    counts: dict[str, dict[str, int]]
    action: list[str | None]


def read_names(names: Sequence[str]) -> Told | None:
    """None where no scheme fits."""
    scheme, found = _matched(names)
    if scheme is None:
        return None
    matches = [match for match in found if match]
    kinds = [kind for kind in matches[0].groupdict() if kind not in ("action", "repetition")]
    counts = {kind: _counted(_number(match[kind]) for match in matches) for kind in kinds}
    return Told(scheme, counts, [match["action"] if match else None for match in found])


def sessions(names: Sequence[str]) -> list[str] | None:
    """For every clip who was recorded, and from where; None where the names do not tell who."""
    scheme, found = _matched(names)
    kinds = [kind for kind in (*WHO, *WHERE) if scheme and f"(?P<{kind}>" in SCHEMES[scheme]]
    if not set(kinds) & set(WHO):
        return None
    return [
        ", ".join(f"{kind} {_number(match[kind])}" for kind in kinds) if match else name
        for match, name in zip(found, names)
    ]


def groups_of(names: Sequence[str], kind: str) -> list[str]:
    """For every clip the one of a kind ("subject", "view" ...) that its name tells; a name that tells nothing is its own."""
    _, found = _matched(names)
    return [_number(match[kind]) if match else name for match, name in zip(found, names)]


def _number(text: str) -> str:
    """Without the zeros before it."""
    return text.lstrip("0") or "0"


def _matched(names: Sequence[str]) -> tuple[str | None, list[re.Match | None]]:
    """The scheme that the names follow, or None, and what of it each of them has."""
    for scheme, pattern in SCHEMES.items():
        found = [re.fullmatch(pattern, name) for name in names]
        if names and sum(match is not None for match in found) >= ENOUGH * len(names):
            return scheme, found
    return None, []


def _counted(values) -> dict[str, int]:
    count = Counter(values)
    return {key: count[key] for key in sorted(count, key=lambda key: (len(key), key))}


def shared(one: Told, two: Told) -> dict[str, list[str]]:
    """What two parts have in common, e.g. {"subject": ["1", "2"]}; a kind of which they share nothing is not there."""
    both = {
        kind: [key for key in one.counts[kind] if key in two.counts[kind]] for kind in one.counts if kind in two.counts
    }
    return {kind: keys for kind, keys in both.items() if keys}


def separated(one: Told, two: Told) -> bool:
    """Do the two parts share nothing of one kind at least: a split across subjects, views, cameras or setups?"""
    common = shared(one, two)
    return any(kind not in common for kind in one.counts if kind in two.counts)
