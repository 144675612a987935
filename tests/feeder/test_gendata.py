"""feeder/readers/gendata.py: the same bytes with any number of workers, and after kill -9."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from feeder import gendata
from feeder.gendata import longest, pack, pack_parts, read_all, show_left_out
from feeder.packed import read_packed
from feeder.packed_writer import write_label_names
from feeder.readers.clip import Clip, Listing
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parent.parent.parent

# A program of its own, because workers have to find the reader by its module's name.
PROGRAM = """
import os, sys, time
from pathlib import Path
import numpy as np
from feeder import gendata
from feeder.readers.clip import Clip
from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError

def read(path):
    Path(sys.argv[1], f"worker{os.getpid()}").touch()
    time.sleep(float(os.environ.get("SLOWLY", 0)))
    i = int(path.stem)
    if i % 10 == 3:
        raise DataError(f"{path}: cut off")
    keypoints = np.random.default_rng(i).random((1, 5 + i % 4, 4, 3), np.float32)
    return SkeletonSequence(path.stem, -1, keypoints)

if __name__ == "__main__":
    gendata.ALONE = 0
    clips = [Clip(Path(f"{i}.x"), f"clip{i}", i % 3) for i in range(60)]
    lines, count = gendata.pack(clips, read, sys.argv[2], "train", 7, 2, int(sys.argv[3]))
    print("\\n".join(lines))
"""


@pytest.fixture
def start(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    running = []

    def start(out, num_worker, slowly=0.0):
        command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path), str(tmp_path / out), str(num_worker)]
        env = os.environ | {"PYTHONPATH": str(ROOT), "SLOWLY": str(slowly)}
        running.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def content(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_one_worker_many_workers_and_kill_9_give_the_same_bytes(tmp_path, start):
    lines = {n: start(f"with{n}", n).communicate(timeout=60)[0].splitlines() for n in (1, 3)}
    whole = content(tmp_path / "with1")
    assert sorted(whole) == ["dataset.yaml", "train_data.npy", "train_label.pkl"]
    assert content(tmp_path / "with3") == whole
    assert lines[1][1:] == lines[3][1:]
    assert len(lines[1]) == 1 + 2 + 6  # the file, what was cut, what was skipped and six names
    got = read_packed(tmp_path / "with1/train_data.npy", tmp_path / "with1/train_label.pkl")
    assert got.sample_name == [f"clip{i}" for i in range(60) if i % 10 != 3]
    for old in tmp_path.glob("worker*"):
        old.unlink()
    for num_worker in (1, 3):
        out = tmp_path / f"killed{num_worker}"
        process, journal = start(out.name, num_worker, slowly=0.03), out / "train_data.npy.journal"
        until = time.monotonic() + 30
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 12) and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert sorted(content(out)) == ["train_data.npy.journal", "train_data.npy.part"]
        if Path("/proc").is_dir():  # the workers went with it
            workers = [int(file.name.removeprefix("worker")) for file in tmp_path.glob("worker*")]
            until = time.monotonic() + 10
            while any(map(is_running, workers)) and time.monotonic() < until:
                time.sleep(0.05)
            assert not any(map(is_running, workers))
        again = start(out.name, num_worker).communicate(timeout=60)[0]
        assert "of an earlier run kept" in again
        assert content(out) == whole


# in this process -----------------------------------------------------------------------------------------------------


def read(path, label=-1):
    from feeder.sequence import SkeletonSequence

    if path.suffix == ".bad":
        raise DataError(f"{path}: bad")
    if path.suffix == ".gone":
        raise FileNotFoundError(2, "No such file", str(path))
    return SkeletonSequence("x", label, np.full((1, len(path.stem), 4, 3), path.suffix != ".empty", np.float32))


def clips(*names):
    return [Clip(Path(name), name, 1) for name in names]


def test_the_summary_counts_and_names_everything(tmp_path):
    lines, count = pack(clips("a.x", "bbbb.x", "c.bad", "d.gone", "e.empty"), read, tmp_path, "val", 3, 1, 1)
    assert count == 3
    assert lines[0].startswith(f"{tmp_path}/val_data.npy: (3, 3, 3, 4, 1) (N, C, T, V, M), ")
    assert lines[0].endswith(" clips/s")
    assert lines[1:] == [
        "  cut to 3 frames: 1 (bbbb.x)",
        "  kept though no joint is present: 1 (e.empty)",
        "  SKIPPED, could not be read: 2",
        "    c.bad: bad",
        "    d.gone: [Errno 2] No such file: 'd.gone'",
    ]


def test_a_label_of_its_own_must_agree(tmp_path):
    lines, count = pack(clips("a.x"), partial(read, label=2), tmp_path, "val", 3, 1, 1)
    assert (count, lines[-1]) == (0, "    a.x: its own label is 2 but it is listed with 1")
    assert content(tmp_path) == {}


def test_parts_without_clips_are_said_and_nothing_usable_is_an_error(tmp_path, capsys):
    pack_parts([(tmp_path, "train", Listing([], [])), (tmp_path, "val", Listing(clips("a.x"), []))], read, 3, 1, 1)
    assert f"{tmp_path}/train: no clip belongs to this part" in capsys.readouterr().out
    with pytest.raises(DataError, match="not one clip could be used"):
        pack_parts([(tmp_path, "train", Listing(clips("a.bad"), []))], read, 3, 1, 1)


def test_options_and_clips_make_another_job(tmp_path, monkeypatch):
    def stopped(*_):
        yield from read_all(clips("a.x"), read, 1)
        raise KeyboardInterrupt

    def begin():
        with monkeypatch.context() as m:
            m.setattr(gendata, "read_all", stopped)
            with pytest.raises(KeyboardInterrupt):
                pack(clips("a.x", "b.x"), partial(read, label=1), tmp_path, "val", 3, 1, 1)

    for args, kept in [
        ((clips("a.x", "b.x"), partial(read, label=1), tmp_path, "val", 3, 1, 1), True),
        ((clips("a.x", "c.x"), partial(read, label=1), tmp_path, "val", 3, 1, 1), False),
        ((clips("a.x", "b.x"), partial(read, label=-1), tmp_path, "val", 3, 1, 1), False),
        ((clips("a.x", "b.x"), partial(read, label=1), tmp_path, "val", 4, 1, 1), False),
    ]:
        begin()
        lines, _ = pack(*args)
        assert ("1 clips of an earlier run kept" in lines[0]) == kept


def test_longest():
    assert longest(clips("a.x", "abc.x", "abcdef.bad"), read, 1) == 3
    with pytest.raises(DataError, match="not one clip could be read"):
        longest(clips("a.bad"), read, 1)


def test_left_out_is_grouped_and_long_lists_are_cut(capsys):
    show_left_out(Listing([], [(f"f{i}", "is odd") for i in range(30)] + [("g", "is even")]))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("not used, is odd: 30 (f0, f1, ")
    assert first.endswith("f19, ...)")
    assert second == "not used, is even: 1 (g)"


def test_label_names(tmp_path):
    write_label_names(tmp_path / "new", ["a", "b"])
    assert content(tmp_path / "new") == {"label_names.txt": b"a\nb\n"}
