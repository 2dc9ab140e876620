"""Worker processes: started as an operator starts them, stopped by their ids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from celery import Celery
from kombu import Exchange, Queue

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 30.0


class DidNotHappen(Exception):
    """What a benchmark waits for did not come in time."""


@contextmanager
def celery_worker(
    app: Celery, module: str, *, queues: Sequence[str], processes: int = 2
) -> Iterator[psutil.Popen]:
    """Run `celery -A <module> worker -P prefork -c <processes>` until the end of the block."""
    run = os.environ["BENCH_RUN"]
    name = f"{queues[0]}@{run}"
    command = [sys.executable, "-m", "celery", "-A", module, "worker", "-P", "prefork"]
    command += ["-c", str(processes), "-Q", ",".join(queues), "-n", name, "-l", "WARNING"]
    try:
        with running(
            command,
            name=queues[0],
            is_up=lambda: bool(app.control.ping(destination=[name], timeout=0.3)),
        ) as process:
            yield process
    finally:
        _forget(app, queues)


@contextmanager
def running(
    command: Sequence[str], *, name: str, is_up: Callable[[], bool] = lambda: True
) -> Iterator[psutil.Popen]:
    """Run a command from the project's folder until the end of the block."""
    log = log_of(name)
    with log.open("wb") as output:
        process = psutil.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        wait_until(
            lambda: process.poll() is not None or is_up(),
            seconds=START_SECONDS,
            what=f"the start of {name}",
        )
        if process.poll() is not None:
            raise DidNotHappen(f"{name} ended at once: {log.read_text()[-2000:]}")
        yield process
    finally:
        stop(process)


def log_of(name: str) -> Path:
    """The file with the output of what runs under the name."""
    return Path(os.environ["BENCH_TICKS"]).with_name(f"{name}.log")


def _forget(app: Celery, queues: Sequence[str]) -> None:
    """Remove the queues, and the exchanges of their names that Celery makes for them."""
    with app.connection_for_write() as connection, connection.channel() as channel:
        for name in queues:
            Queue(name, channel=channel).delete()
            Exchange(name, channel=channel).delete()


def stop(process: psutil.Popen) -> None:
    """Ask a process to end; after a while kill it and its children."""
    if process.poll() is not None:
        return
    family = [process, *process.children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        for member in family:
            if member.is_running():
                member.kill()
        process.wait()


def wait_until(
    has_happened: Callable[[], bool], *, seconds: float, what: str, poll_seconds: float = 0.005
) -> float:
    """Ask until the answer is true; return the seconds it took. Raises DidNotHappen."""
    began = time.perf_counter()
    while not has_happened():
        if time.perf_counter() - began > seconds:
            raise DidNotHappen(f"Waited {seconds:g} s for {what}.")
        time.sleep(poll_seconds)
    return time.perf_counter() - began
