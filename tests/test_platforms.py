"""macOS and Windows, as far as it can be seen from here: what only POSIX has is simulated to be missing."""

import ast
import inspect
import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch.utils.data import DataLoader

from feeder.packed_writer import write_packed
from feeder.synthetic.clips import clips
from processor.dataset import Dataset
from tools.check_wheels import PYTHONS
from torchlight.checkpoint import load_checkpoint, save_checkpoint
from torchlight.metrics import read_names
from torchlight.workdir import WorkDir

ROOT = Path(__file__).resolve().parents[1]
OURS = [ROOT / "main.py", ROOT / "stgcn.py"]
OURS += [
    path for folder in ("torchlight", "feeder", "net", "processor", "tools") for path in (ROOT / folder).rglob("*.py")
]
MODULES = ["fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"]
ATTRIBUTES = {  # of which Windows, or macOS, has none
    "os": "chown fork forkpty getegid geteuid getgid getloadavg getpgid getuid killpg mkfifo nice pipe2 sched_getaffinity "
    "sched_setaffinity setsid setuid uname",
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 SIGUSR2 alarm pause pthread_sigmask setitimer sigwait "
    "sigwaitinfo",
}
GUARDED = {  # where they are used, and what is done without them is tested below
    ("torchlight/machine.py", "resource"),
    ("torchlight/machine.py", "os.sched_getaffinity"),
    ("torchlight/machine.py", "os.getloadavg"),
    ("torchlight/signals.py", "signal.pthread_sigmask"),
    ("torchlight/signals.py", "signal.sigwaitinfo"),
}


def posix_only(path):
    """The modules and functions in a file that Windows does not have."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (name for name in names if name in MODULES)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in ATTRIBUTES.get(node.value.id, "").split():
                yield f"{node.value.id}.{node.attr}"


def test_what_windows_lacks_is_used_where_it_is_known_and_nowhere_else():
    used = {(path.relative_to(ROOT).as_posix(), name) for path in OURS for name in posix_only(path)}
    assert used == GUARDED


WITHOUT = """
import os, signal, sys
import av, cv2, filelock, h5py, jinja2, matplotlib.figure, numpy, orjson, scipy.io, scipy.optimize, torch, tqdm, yaml
import torch.distributed.run, torch.utils.data, torch.utils.tensorboard
import multiprocessing.resource_tracker, multiprocessing.spawn, concurrent.futures.process, ai_edge_litert.interpreter
for name in {modules}: sys.modules[name] = None
for module, names in ((os, {os!r}), (signal, {signal!r})):
    for name in names.split(): hasattr(module, name) and delattr(module, name)
os.link = lambda *_: (_ for _ in ()).throw(OSError("no hard links here"))
sys.platform = "win32"
import importlib
for module in {ours}: importlib.import_module(module)
from torchlight import machine, signals
assert machine.peak_memory() == 0 and machine.load() == 0 and machine.cores() == os.cpu_count()
machine.keep_freed_memory()
with signals.terminable(), signals.unsignalled_children(): pass
import main
sys.exit(main.main(sys.argv[1:]))
"""


def test_a_training_and_a_test_without_what_only_posix_has(tmp_path):
    """Every module is imported, and two epochs are trained, checkpoints kept and a report written."""
    for part, count in (("train", 20), ("val", 10)):
        write_packed(tmp_path, part, clips(part, count), count, 40, 1)
    config = {
        "feeder_args": {"window_size": 16},
        **{
            f"{of}_feeder_args": {"data_path": f"{part}_data.npy", "label_path": f"{part}_label.pkl"}
            for of, part in (("train", "train"), ("test", "val"))
        },
        "model": "net.st_gcn.Model",
        "model_args": {"num_class": 10, "blocks": [[4, 1], [4, 2]], "graph_args": {"strategy": "spatial"}},
        **{"batch_size": 10, "num_epoch": 2, "work_dir": "out", "num_worker": 0},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ours = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in OURS]
    ours = [module.removesuffix(".__init__") for module in ours if not module.startswith("torchlight.launch")]
    code = WITHOUT.format(modules=MODULES, **ATTRIBUTES, ours=ours)
    (tmp_path / "without.py").write_text(code, encoding="utf-8")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "without.py", "recognition", "-c", "c.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"checkpoint.pt", "checkpoint_previous.pt", "epoch2_model.pt", "report.html", "manifest.json"} <= made


def test_workers_that_are_started_anew_give_the_same_batches(tmp_path):
    """As on macOS and Windows: what a worker needs is pickled."""
    write_packed(tmp_path, "train", clips("train", 8), 8, 40, 1)
    dataset = Dataset(tmp_path / "train_data.npy", window_size=16, random_choose=True, mirror=True)
    spawned = DataLoader(dataset, 4, num_workers=1, multiprocessing_context=multiprocessing.get_context("spawn"))
    for (one, label), (other, same) in zip(DataLoader(dataset, 4), spawned, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert label.tolist() == same.tolist()


@pytest.fixture
def open_files_stay(monkeypatch):
    """As on Windows: a file that this process has open or mapped into its memory is neither removed nor renamed."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not say which files are open")

    def is_open(path):
        path = os.path.realpath(os.fsdecode(path))
        fds = [Path("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
        mapped = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        return path in [os.readlink(fd) for fd in fds if fd.is_symlink()] or any(line.endswith(path) for line in mapped)

    def refusing(function):
        def call(*paths, **keywords):
            if busy := [path for path in paths if is_open(path) and not os.fsdecode(path).endswith(".lock")]:
                raise PermissionError(13, "being used by another process", str(busy[0]))
            return function(*paths, **keywords)

        return call

    for name in ("unlink", "remove", "rename", "replace"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))


@pytest.mark.parametrize("out_format", ["npy", "h5"])
def test_packing_closes_files_before_it_renames_them(tmp_path, open_files_stay, out_format):
    (tmp_path / "open").touch()
    with (tmp_path / "open").open("rb"), pytest.raises(PermissionError):
        (tmp_path / "open").unlink()  # the fixture works
    for _ in range(2):  # the second one takes the place of the first
        write_packed(tmp_path, "train", clips("train", 3), 3, 40, 1, out_format=out_format)
    assert {path.suffix for path in tmp_path.glob("train*")} == {".npy", ".pkl"} if out_format == "npy" else {".h5"}


def test_checkpoints_and_tables_are_closed_before_they_are_renamed(tmp_path, open_files_stay):
    for epoch in (1, 2):
        save_checkpoint(tmp_path / "checkpoint.pt", epoch=epoch)
        work_dir = WorkDir(tmp_path, lock="train")
        work_dir.metrics({"epoch": epoch})
        work_dir.close()
    assert load_checkpoint(tmp_path / "checkpoint_previous.pt") == {"epoch": 1}
    assert (tmp_path / "metrics.csv").read_bytes() == b"epoch\n1\n2\n"


def test_every_text_file_is_opened_as_utf8():
    """Without an encoding it would be that of the system; without a newline, lines would end as the system's do."""
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            of_module = name and ast.unparse(node.func.value).split(".")[0] in ("av", "h5f", "h5py", "os", "Image")
            if name not in ("open", "read_text", "write_text") or of_module:
                continue
            given = {keyword.arg for keyword in node.keywords}  # None: **keywords
            modes = (
                [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)] if node.args else []
            )
            mode = "".join(modes) if name == "open" else ""
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            if "b" not in mode:
                assert given & {"encoding", None}, f"{where} names no encoding"
                writes = set(mode) & set("awx") and "devnull" not in ast.unparse(node)
                assert given & {"newline", None} or not writes, f"{where} names no newline"


def test_a_terminal_that_cannot_show_a_name_gets_it_spelt_out():
    command = "lambda: print('Schlittschuhlaufen \\u6ed1\\u51b0 \\u00d7 2')"
    code = f"from torchlight.command import run_command; run_command({command})"
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True)
    assert (done.returncode, done.stdout.strip()) == (0, rb"Schlittschuhlaufen \u6ed1\u51b0 \xd7 2")


def test_class_names_may_begin_with_a_byte_order_mark(tmp_path):
    """As some editors on Windows write them; lines end with CR LF there."""
    (tmp_path / "names.txt").write_bytes("\ufeffgehen\r\nlaufen\r\n".encode())
    assert read_names(tmp_path / "names.txt") == ["gehen", "laufen"]


def test_the_lock_is_let_go_of_where_it_was_taken(tmp_path, monkeypatch):
    """Windows locks and unlocks the byte at the position in the file: signing the lock must not move it."""
    from torchlight.lock import _sign

    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    _sign(descriptor)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    os.close(descriptor)
    assert str(os.getpid()) in (tmp_path / "lock").read_text(encoding="utf-8")


def test_tests_of_what_a_system_has_not_are_skipped_there(monkeypatch):
    from tests import conftest

    def that_kills():
        os.kill(0, 0)

    def that_does_not():
        pass

    class Item(SimpleNamespace):
        def add_marker(self, mark):
            self.reason = mark.kwargs["reason"]

    monkeypatch.setattr(conftest, "NEEDS", {pattern: "kill" not in pattern for pattern in conftest.NEEDS})
    items = [Item(function=that_kills, reason=None), Item(function=that_does_not, reason=None)]
    conftest.pytest_collection_modifyitems(items)
    assert [item.reason for item in items] == ["this system has no os.kill(", None]
    assert all((ROOT / "tests" / name).is_file() for name in re.findall(r'"([\w/]+\.py)"', inspect.getsource(conftest)))


# ---- the files for other machines


CI = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))


def test_ci_covers_three_systems_and_every_python():
    matrix = CI["jobs"]["test"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == list(PYTHONS)


@pytest.mark.parametrize("job", CI["jobs"])
def test_every_command_of_ci_exists(job):
    from main import PROCESSORS

    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    lines = [line for step in CI["jobs"][job]["steps"] for line in step.get("run", "").splitlines()]
    assert lines
    for line in lines:
        words = line.split()
        if words[0] == "make":
            assert words[1] in targets, line
        if words[:2] == ["python", "main.py"] or words[0] == "stgcn":
            assert words[2 if words[0] == "python" else 1] in PROCESSORS, line
        for path in re.findall(r"(?:config|tools|tests|docs)/[\w./-]+\.\w+|requirements\.txt|main\.py", line):
            assert (ROOT / path).is_file(), line


def test_the_container_installs_this_project_and_runs_its_command():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 12 and lines[-1] == 'ENTRYPOINT ["stgcn"]'
    assert 'stgcn = "stgcn:main"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
