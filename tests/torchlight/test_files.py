"""A full disk names the file and the sizes, and what was there before stays."""

import errno
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest
import torch

from torchlight.checkpoint import load_checkpoint, previous_of, save_checkpoint, save_weights
from torchlight.files import atomic_write, named_errors, write_bytes


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing can be written to disk any more: the system says so at fsync."""

    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30 - 2**19, 2**19))


def test_a_full_disk_is_one_line_with_file_and_sizes(tmp_path, full_disk):
    with pytest.raises(
        OSError, match=r"No space left on device, 0\.5 MiB are free, 3\.0 MiB are needed: '.*a\.bin'"
    ) as error:
        write_bytes(tmp_path / "a.bin", bytes(3 << 20))
    assert error.value.errno == errno.ENOSPC and "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "checkpoint.pt", epoch=1)
    save_weights(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    before = (tmp_path / "w.pt").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match=r"MiB are needed: '.*checkpoint\.pt'"):
            save_checkpoint(tmp_path / "checkpoint.pt", epoch=2)
        with pytest.raises(OSError, match=r"MiB are needed: '.*w\.pt'"):
            save_weights(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    assert (tmp_path / "w.pt").read_bytes() == before
    assert load_checkpoint(tmp_path / "checkpoint.pt") == {"epoch": 1}
    save_checkpoint(tmp_path / "checkpoint.pt", epoch=3)
    assert load_checkpoint(tmp_path / "checkpoint.pt") == {"epoch": 3}
    assert load_checkpoint(previous_of(tmp_path / "checkpoint.pt")) == {"epoch": 1}
    assert not list(tmp_path.glob(".*"))


def test_errors_that_name_their_file_keep_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"), named_errors(tmp_path / "other"):
        (tmp_path / "nowhere").open()


def test_text_is_written_atomically_too(tmp_path):
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(KeyError), atomic_write(tmp_path / "a.txt", "w") as file:
        file.write("half")
        raise KeyError
    assert (tmp_path / "a.txt").read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_leftovers_of_killed_processes_are_removed_and_those_of_living_ones_stay(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    killed, alive = tmp_path / f".a[1].txt.{process.pid}.tmp", tmp_path / f".a[1].txt.{os.getppid()}.tmp"
    others = [tmp_path / ".a[1].txt.old.tmp", tmp_path / f".b.txt.{process.pid}.tmp", tmp_path / "a1.txt"]
    for file in (killed, alive, *others):
        file.write_text("half")
    with atomic_write(tmp_path / "a[1].txt", "w") as file:
        file.write("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a[1].txt", alive.name, *(path.name for path in others)}
