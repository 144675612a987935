"""One writer per output: the second is told who the first is; a lock whose process was killed is taken over."""

import multiprocessing
import os
import re
import subprocess
import sys
import time

import pytest

from torchlight.errors import UsageError
from torchlight.lock import exclusive, lock_path

HOLD = """
import sys, time
from torchlight.lock import exclusive
with exclusive(sys.argv[1], "train", "another --work_dir"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock `train` of tmp_path / "run"."""
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_run_ends_in_one_line_that_names_the_first(tmp_path, holder):
    with pytest.raises(UsageError) as error, exclusive(tmp_path / "run", "train", "another --work_dir"):
        pass
    now = time.strftime("%Y-%m-%d %H:")
    line = (
        rf"{tmp_path}/run is in use \(train\) by process {holder.pid} on \S+ since {now}\d\d:\d\d; wait until it ends, "
    )
    assert re.fullmatch(line + "or give another --work_dir", str(error.value))
    with exclusive(tmp_path / "run", "test", ""):  # a test beside a training writes other files
        pass


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert lock_path(tmp_path / "run", "train").exists()
    with exclusive(tmp_path / "run", "train", ""):
        assert str(os.getpid()) in lock_path(tmp_path / "run", "train").read_text()
    assert not lock_path(tmp_path / "run", "train").exists()


def test_a_folder_that_stays_empty_is_removed_and_one_that_does_not_stays(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / "a/b/c", "packing", ""):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with exclusive(tmp_path / "a/b", "packing", ""):
        (tmp_path / "a/b/file").touch()
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["file"]


def test_one_process_cannot_hold_a_lock_twice_and_can_hold_it_again(tmp_path):
    for _ in range(2):
        with (
            exclusive(tmp_path, "demo", ""),
            pytest.raises(UsageError, match=str(os.getpid())),
            exclusive(tmp_path, "demo", "another name"),
        ):
            pass


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_workers_that_outlive_their_process_do_not_hold_its_lock(tmp_path):
    code = HOLD.replace("time.sleep(60)", "import os; os.fork() or time.sleep(60); os._exit(0)")
    subprocess.run([sys.executable, "-c", code, tmp_path], stdout=subprocess.DEVNULL, check=True)
    with exclusive(tmp_path, "train", ""):
        pass


def test_many_at_once_never_hold_it_together(tmp_path):
    code = """
import os, sys, time
from torchlight.errors import UsageError
from torchlight.lock import exclusive
for _ in range(40):
    try:
        with exclusive(sys.argv[1], "packing", ""):
            os.close(os.open(sys.argv[1] + "/inside", os.O_CREAT | os.O_EXCL))  # fails where another one is inside
            time.sleep(0.002)
            os.unlink(sys.argv[1] + "/inside")
    except UsageError:
        pass
"""
    several = [subprocess.Popen([sys.executable, "-c", code, tmp_path], stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[1] for process in several] == [b""] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("content")
    lock_path(tmp_path, "train").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=re.escape(".train.lock")), exclusive(tmp_path, "train", ""):
        pass
    assert (tmp_path / "precious").read_text() == "content"
