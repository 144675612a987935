"""Errors of the user, in one line: what was found and where, what was expected, what to do next."""

from __future__ import annotations

import argparse
import difflib
import reprlib
from collections.abc import Iterable


class UsageError(ValueError, argparse.ArgumentTypeError):  # the second, so that argparse keeps the line as it is
    """What a person typed is wrong; the message is one line (a second, indented, for the remedy)."""


class DataError(ValueError):
    """The data are not what they should be; the message is one line: what, where, what to do."""


def did_you_mean(word: object, names: Iterable[object]) -> str:
    """`; did you mean 'batch_size'?` for the nearest name, or nothing."""
    lower = {str(name).lower(): name for name in names}
    near = difflib.get_close_matches(str(word).lower(), lower, n=1)
    return f"; did you mean '{lower[near[0]]}'?" if near else ""


def short(value: object) -> str:
    """A value as a message quotes it: one line of 80 characters at most, however large or nested the value is."""
    try:
        text = " ".join(_REPR.repr(value).split())
    except ValueError:  # a whole number of thousands of digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:76]} ..."


_REPR = reprlib.Repr()  # composes no more than it shows: shared nested lists would grow without end
_REPR.maxlevel = 4
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = _REPR.maxset = 8
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 78
