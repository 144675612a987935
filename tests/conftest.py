"""Shared by every test: where the real recordings are, and one thread a process so that timings and sums repeat."""

import inspect
import os
import re
import signal
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; inherited by what a test starts

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background without

ROOT = Path(__file__).resolve().parent.parent
NEEDS = {  # what a test needs, by its source; whether it is here
    r"SIGKILL|os\.kill\(|send_signal|symlink|chmod|os\.fork\(|setrlimit|which\(\"sh\"\)": os.name == "posix",
    r"/proc/": Path("/proc/self").exists(),
    r"/dev/full": Path("/dev/full").exists(),
}
if os.name != "posix":  # processes are ended by signals there
    collect_ignore = ["test_kills.py", "torchlight/test_signals.py", "processor/training/test_distributed.py"]


def pytest_collection_modifyitems(items):
    """On macOS and Windows the tests of what these systems have not are skipped, with the reason."""
    lacking = [pattern for pattern, here in NEEDS.items() if not here]
    for item in items if lacking else ():
        source = inspect.getsource(item.function)
        if found := [match[0] for pattern in lacking if (match := re.search(pattern, source))]:
            item.add_marker(pytest.mark.skip(reason=f"this system has no {found[0]}"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings: $STGCN_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ.get("STGCN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}; set STGCN_DATA to run this test on them")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Where OpenCV cannot be loaded (a machine without libGL), the test files that need it are skipped, with its reason."""
    report = yield
    reason = re.search(r"DataError: (OpenCV .*)", report.longreprtext) if report.failed else None
    if reason:
        report.outcome, report.longrepr = "skipped", (str(collector.path), 1, f"Skipped: {reason[1]}")
    return report
