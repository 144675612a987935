"""feeder/inspection/names.py: what names tell, and that other names tell nothing."""

import pytest

from feeder.inspection.names import read_names, separated, shared


@pytest.mark.parametrize(
    "names, scheme, counts",
    [
        (
            ["S001C002P003R001A060", "S001C003P003R002A001_rgb"],
            "NTU RGB+D",
            {"setup": {"1": 2}, "camera": {"2": 1, "3": 1}, "subject": {"3": 2}},
        ),
        (["a01_s10_e00_v03", "a02_s02_e01_v03"], "NW-UCLA", {"subject": {"2": 1, "10": 1}, "view": {"3": 2}}),
        (["a1_s8_t4", "a27_s1_t1"], "UTD-MHAD", {"subject": {"1": 1, "8": 1}}),
        (["s01s03_01_001", "s01s03_08_002"], "SBU", {"pair": {"s01s03": 2}}),
    ],
)
def test_the_schemes_of_data_sets_are_known(names, scheme, counts):
    told = read_names(names)
    assert told.scheme == scheme and told.counts == counts
    assert [int(action) for action in told.action] in ([60, 1], [1, 2], [1, 27], [1, 8])


@pytest.mark.parametrize(
    "names", [["0001", "0002"], ["--33Lscn6sk"], ["jump/clip 1"], [], ["a01_s10_e00_v03", "x", "y"]]
)
def test_other_names_tell_nothing(names):
    assert read_names(names) is None


def test_parts_are_compared_by_what_they_share():
    train = read_names(["a01_s01_e00_v01", "a01_s02_e00_v02"])
    view3, same = read_names(["a01_s01_e00_v03"]), read_names(["a01_s02_e09_v02"])
    assert shared(train, view3) == {"subject": ["1"]} and separated(train, view3)
    assert shared(train, same) == {"subject": ["2"], "view": ["2"]} and not separated(train, same)
