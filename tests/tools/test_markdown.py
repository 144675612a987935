from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.markdown import check_marks, mean_and_std, plus_minus, put, table
from torchlight.errors import DataError

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r")).filter(lambda t: "<!--" not in t)


@given(before=TEXT, after=TEXT, lines=st.lists(st.text("| ab", max_size=9), max_size=3))
def test_the_rest_of_a_file_stays_as_it_is(tmp_path_factory, before, after, lines):
    path = tmp_path_factory.getbasetemp() / "kept.md"
    path.write_text(f"{before}<!-- x -->\nold\n<!-- end -->{after}", encoding="utf-8", newline="\n")
    put(path, "x", lines)
    assert path.read_text(encoding="utf-8") == "\n".join([f"{before}<!-- x -->", *lines, f"<!-- end -->{after}"])


def test_only_the_table_of_the_name_is_replaced(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("<!-- one -->\n1\n<!-- end -->\n<!-- two -->\n2\n<!-- end -->\n")
    put(path, "two", ["new"])
    assert path.read_text() == "<!-- one -->\n1\n<!-- end -->\n<!-- two -->\nnew\n<!-- end -->\n"


@pytest.mark.parametrize("text", ["nothing here\n", "<!-- toy -->\n", "<!-- end -->\n<!-- toy -->\n"])
def test_a_file_without_marks_is_left_as_it_is(tmp_path, text):
    path = Path(tmp_path / "README.md")
    path.write_text(text)
    with pytest.raises(DataError, match="marks"):
        put(path, "toy", ["table"])
    with pytest.raises(DataError, match="marks"):
        check_marks(path, "toy")
    assert path.read_text() == text


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"a\.md does not exist"):
        put(tmp_path / "a.md", "toy", ["table"])


def test_figures_are_written_with_one_place():
    assert plus_minus(*mean_and_std([90.0, 92.0, 94.0])) == "92.0 ± 2.0"  # squares 4, 0, 4; their sum over n - 1 is 4
    assert plus_minus(*mean_and_std([90.04])) == "90.0"


def test_a_table_has_a_line_for_each_row():
    assert table(("a", "b"), [(1, "x")]) == ["| a | b |", "|---|---|", "| 1 | x |"]
