"""How commands end: one line on stderr and a status, also where stdout or stderr is closed."""

import signal
import subprocess
import sys

import pytest

from torchlight.command import run_command
from torchlight.errors import DataError, UsageError
from torchlight.signals import Terminated


def raiser(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UsageError("no such option"), 2, "error: no such option\n"),
        (DataError("a.npy is empty"), 2, "error: a.npy is empty\n"),
        (FileNotFoundError(2, "No such file", "a"), 2, "error: [Errno 2] No such file: 'a'\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (Terminated(signal.SIGTERM), 143, "terminated\n"),
        (Terminated(signal.SIGHUP), 129, "hangup\n"),
    ],
)
def test_one_line_and_a_status(error, status, line, capsys):
    assert run_command(raiser(error)) == status
    assert capsys.readouterr().err == line


def test_the_traceback_comes_before_the_line(capsys):
    assert run_command(raiser(DataError("bad")), show_traceback=True) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback") and error.endswith("error: bad\n")


RUN = """
import sys
from torchlight.command import run_command
from torchlight.files import write_bytes
def command():
    write_bytes(sys.argv[1], b"content")
    print("said " * 20000)
    print("said too", file=sys.stderr)
    input_ = sys.stdin.read()
sys.exit(run_command(command))
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_file_and_no_status(tmp_path, closed):
    path = tmp_path / "a.txt"
    command = f"'{sys.executable}' -c '{RUN}' {path} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0 and done.stderr in ("said too\n", "") and path.read_bytes() == b"content"


def test_a_reader_that_goes_away_ends_the_command_quietly(tmp_path):
    command = f"'{sys.executable}' -c '{RUN}' {tmp_path / 'a'}"
    with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141
