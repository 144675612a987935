"""Signals to a whole group are the parent's; workers end when it tells them to, or when it ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from torchlight.signals import (
    Terminated,
    follow_parent,
    interruption,
    terminable,
    uninterrupted,
    unsignalled_children,
)

linux = pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="needs sigwaitinfo")


def test_sigterm_is_an_exception_in_the_block_and_the_default_afterwards():
    with pytest.raises(Terminated) as error, terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert error.value.signum == signal.SIGTERM and isinstance(error.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_was_arranged_for_a_signal_stays():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with terminable():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_interruptions_have_their_signal():
    assert type(interruption(signal.SIGINT)) is KeyboardInterrupt
    assert interruption(signal.SIGHUP).signum == signal.SIGHUP and str(interruption(signal.SIGTERM)) == "Terminated"


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_what_is_not_to_be_interrupted_is_done_first(number, kind):
    done, before = [], signal.getsignal(signal.SIGINT)
    with pytest.raises(kind) as error, terminable():
        with uninterrupted():
            os.kill(os.getpid(), number)
            time.sleep(0.05)
            done.append(True)
        done.append(False)
    assert done == [True] and type(error.value) is kind
    assert signal.getsignal(signal.SIGINT) is before and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_error_in_a_block_that_is_not_to_be_interrupted_is_told_as_ever():
    with pytest.raises(ModuleNotFoundError), uninterrupted():
        import no_such_module  # noqa: F401
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_a_signal_waits_for_the_end_of_the_block():
    reached = False
    with pytest.raises(KeyboardInterrupt), unsignalled_children():
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # not to another thread, of which a test run has some
        reached = True
    assert reached


def work(connection) -> None:
    follow_parent()
    connection.send("here")
    time.sleep(60)


@linux
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_survive_signals_of_others_and_end_by_that_of_their_parent(method):
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    with unsignalled_children():
        worker = context.Process(target=work, args=[theirs], daemon=True)
        worker.start()
        for number in ("-INT", "-TERM"):  # before it has begun to run
            subprocess.run(["kill", number, str(worker.pid)], check=True)
    assert ours.poll(30) and ours.recv() == "here"
    for number in ("-INT", "-TERM"):
        subprocess.run(["kill", number, str(worker.pid)], check=True)
    time.sleep(0.2)
    assert worker.is_alive()
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


def test_workers_end_with_their_parent(tmp_path):
    code = """
    import multiprocessing, os, sys, time
    from torchlight.signals import follow_parent, unsignalled_children
    def work():
        follow_parent()
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(60)
    if __name__ == "__main__":
        with unsignalled_children():
            multiprocessing.get_context("fork").Process(target=work).start()
        while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
            time.sleep(0.01)
        os._exit(9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path / "pid"], check=False)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("the worker lives on")
