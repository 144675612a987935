import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from feeder.dataset import DatasetInfo, read_info, write_info
from feeder.skeleton import load_skeleton
from torchlight.errors import DataError


def test_without_a_file_nothing_is_known(tmp_path):
    assert read_info(tmp_path / "train_data.npy") is None


@given(
    info=st.builds(
        DatasetInfo,
        layout=st.sampled_from(["openpose", "coco", None]),
        dimension=st.sampled_from([2, 3, None]),
        fps=st.none() | st.floats(0.1, 1000),
        label_names=st.none()
        | st.lists(st.text(st.characters(categories=["L", "Nd"]), min_size=1), min_size=1).map(tuple),
        num_person=st.none() | st.integers(1, 20),
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, info):
    folder = tmp_path_factory.mktemp("info")
    write_info(folder, info)
    assert read_info(folder) == info == read_info(folder / "val_data.npy")


@pytest.mark.parametrize(
    "name", ["1e3", "1_0e1", "2020-12-24", "null", "yes", "0x10", "1.5", "~", "٠E٠", "= x", "a: b", "#"]
)
def test_a_class_name_that_looks_like_something_else_stays_a_name(tmp_path, name):
    write_info(tmp_path, DatasetInfo(label_names=(name, "run")))
    assert read_info(tmp_path).label_names == (name, "run")


def test_a_layout_of_ones_own_travels_whole(tmp_path):
    skeleton = load_skeleton("sbu")
    write_info(tmp_path, DatasetInfo(layout=skeleton.description))
    assert read_info(tmp_path).skeleton == skeleton


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"dimension": 4}, "dimension: 4 where 2"),
        ({"dimension": True}, "dimension: True where 2"),
        ({"fps": "fast"}, "fps: 'fast' where frames per second"),
        ({"label_names": "run"}, "label_names: 'run' where a list"),
        ({"label_names": [1, 2]}, "label_names: .1, 2. where a list"),
        ({"num_person": -1}, "num_person: -1 where"),
        ({"layuot": "coco"}, "unknown key 'layuot'; did you mean 'layout'"),
    ],
)
def test_wrong_facts_end_in_one_line(tmp_path, content, line):
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(DataError, match=line) as error:
        read_info(tmp_path)
    assert "\n" not in str(error.value)
