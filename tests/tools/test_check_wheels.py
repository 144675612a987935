"""The pins of requirements.txt: for every Python and platform that is promised each package has exactly one."""

from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.check_wheels import PLATFORMS, PYTHONS, applies

ROOT = Path(__file__).resolve().parents[2]
PINS = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines() if line.strip()]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_package_has_one_pin(python, platform):
    count = Counter(pin.name for pin in PINS if applies(pin, python, platform))
    assert set(count) == {pin.name for pin in PINS} and set(count.values()) == {1}
    assert all(str(pin.specifier).startswith("==") for pin in PINS)
