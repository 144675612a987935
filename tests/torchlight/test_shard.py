"""--shard K/N: every name is in exactly one part, in the same one whatever other names there are."""

import hashlib

import pytest

from torchlight.errors import UsageError
from torchlight.shard import Shard, shard

NAMES = [f"{label}/{i:04}.mp4" for label in ("wave", "sit", "läuft", "ask") for i in range(500)]


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_every_name_is_in_exactly_one_part(count):
    parts = [Shard(k, count) for k in range(1, count + 1)]
    assert all(sum(part.has(name) for part in parts) == 1 for name in NAMES)


def test_the_part_is_the_sha256_of_the_name_and_of_nothing_else():
    for name in NAMES[:50]:
        place = int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) % 7
        assert [k for k in range(7) if Shard(k + 1, 7).has(name)] == [place]


def test_parts_are_about_equally_large():
    sizes = [sum(Shard(k, 4).has(name) for name in NAMES) for k in range(1, 5)]
    assert sum(sizes) == 2000 and all(430 < size < 570 for size in sizes)  # 500 +- 3.6 standard deviations


def test_names_that_are_no_text_have_a_part_too():
    assert sum(Shard(k, 3).has("broken\udcff.mp4") for k in (1, 2, 3)) == 1


def test_no_shard_is_all():
    assert Shard.of(None) == (1, 1) and Shard.of(None).has("any") and str(Shard.of("3/100")) == "3/100"


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "3", "3/", "/4", "-1/4", "1/0", "1.0/4", "a/b", "1/2/3", "²/3", "1" * 9 + "/9"]
)
def test_what_is_no_part_is_one_line(text):
    for check in (Shard.of, shard):
        with pytest.raises(UsageError) as error:
            check(text)
        assert str(error.value) == f"--shard {text!r} where a part of all belongs, from 1/100 to 100/100"
