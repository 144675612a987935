"""Errors of the user, in one line: what was found and where, what was expected, what to do next."""

from __future__ import annotations

import argparse
import difflib
import re
import reprlib
from collections.abc import Iterable

MOST = 2000  # characters of a line
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class UsageError(ValueError, argparse.ArgumentTypeError):  # the second, so that argparse keeps the line as it is
    """What a person typed is wrong; the message is one line (a second, indented, for the remedy)."""


class DataError(ValueError):
    """The data are not what they should be; the message is one line: what, where, what to do."""


def did_you_mean(word: object, names: Iterable[object]) -> str:
    """`; did you mean 'batch_size'?` for the nearest name, or nothing."""
    lower = {str(name).lower(): name for name in names}
    word = word[:80] if isinstance(word, str) else short(word)
    near = difflib.get_close_matches(word.lower(), lower, n=1)
    return f"; did you mean '{lower[near[0]]}'?" if near else ""


def short(value: object) -> str:
    """A value as a message quotes it: one line of 80 characters at most, however large or nested the value is."""
    try:
        text = " ".join(_REPR.repr(value).split())
    except ValueError:  # a whole number of thousands of digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:76]} ..."


def one_line(error: object) -> str:
    """What an error of a library says, in one line of 200 characters at most; its class if it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:196]} ..."


def for_terminal(message: str) -> str:
    """A message that may quote anything: lines that are not meant to be (all but the indented ones) are joined, long
    ones cut, and characters that would steer the terminal are spelt out.
    """
    lines = [" ".join(line.splitlines()) for line in re.split(r"\n(?=       )", message)]
    lines = [line if len(line) <= MOST else f"{line[: MOST - 4]} ..." for line in lines]
    return "\n".join(_CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), line) for line in lines)


def is_plain_name(text: object) -> bool:
    """Whether it is a text that can be a name, in a list of names and on a terminal: one line, no control characters."""
    return (
        isinstance(text, str)
        and text == text.strip() != ""
        and not _CONTROL.search(text)
        and len(text.splitlines()) == 1
    )


_REPR = reprlib.Repr()  # composes no more than it shows: shared nested lists would grow without end
_REPR.maxlevel = 4
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = _REPR.maxset = 8
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 78
