"""The lines that users read: short whatever they quote, and the nearest name."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchlight.errors import did_you_mean, short

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(ANYTHING)
def test_a_quoted_value_is_one_short_line(value):
    text = short(value)
    assert len(text) <= 80 and len(text.splitlines()) <= 1


@pytest.mark.parametrize("value", ["openpose", 3, -1.5, True, None, [1, 2], {"a": [1, 2]}, (0.3, 1.0)])
def test_what_is_small_is_quoted_as_python_writes_it(value):
    assert short(value) == repr(value)


def nested(levels):
    value = [0] * 10
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize("value", [nested(30), 10**6000, "x" * 10**7, np.zeros((50, 50)), {i: i for i in range(10**5)}],
                         ids=["bomb", "digits", "text", "array", "mapping"])  # fmt: skip
def test_what_is_huge_is_quoted_at_once(value):
    begin = time.perf_counter()
    assert len(short(value)) <= 80
    assert time.perf_counter() - begin < 0.5


def test_the_nearest_name_is_found_whatever_its_case():
    assert did_you_mean("BATCH_SIZ", ["batch_size", "base_lr"]) == "; did you mean 'batch_size'?"
    assert did_you_mean("zzz", ["batch_size"]) == ""
