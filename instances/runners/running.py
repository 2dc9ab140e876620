"""Drives one execution from its start to its outcome: output, stop requests, time limit, end."""

from __future__ import annotations

import os
import select
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from instances.error_codes import ErrorCode
from instances.error_codes.explanations import EXPLANATIONS
from instances.logs.collecting import LogCollector
from instances.runners.base import (
    ExitStatus,
    Failure,
    Launch,
    Outcome,
    Runner,
    explain_exit,
)
from instances.runners.spawner import process_tree
from instances.runners.spawner.client import Running, SpawnerClient, SpawnerUnavailable
from instances.runners.spawner.confining import make_way

# Stop requests are looked for, and the collector is ticked, at least this often, in seconds.
POLL_SECONDS: Final = 0.2
GRACE_SECONDS: Final = 2.0
_READ_BYTES: Final = 256 * 1024
# After the end everything that wrote is dead: at most one full pipe is left to read.
_MOST_READS_AFTER_END: Final = 16

# Asked before the start and while the task runs: None goes on; an ErrorCode stops it with that
# code, any other text stops it as TERMINATED for that reason.
ShouldStop = Callable[[], str | None]
# Asked as often: until when the task may run, in seconds since the epoch.
LeaseUntil = Callable[[], float]


def run_launch(
    launch: Launch,
    *,
    client: SpawnerClient,
    collector: LogCollector,
    runner: Runner | None = None,
    timeout: float | None = None,
    should_stop: ShouldStop | None = None,
    lease_until: LeaseUntil | None = None,
    grace: float = GRACE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Start a process, stay with it until nothing of it runs any more, and finish the collector.

    The working directory is made if it is missing, and what was made is removed at the end.
    `runner` explains the process's end. `timeout` is in seconds. When `should_stop` answers or
    the time is up, the process has `grace` seconds to end by itself; the outcome then names that
    reason, however the process ended. A process that is still there shortly before `lease_until`
    is lost, also when nobody here can look. What a task does never raises; an exception from
    `should_stop` kills the process and goes through.
    """
    started = clock()
    stop = _asked(should_stop)
    if stop is not None:
        return _refused(collector, stop.code, stop.message)
    try:
        made = _make_directory(launch.working_directory, launch.user)
    except OSError as error:
        message = f"The folder of the execution cannot be made: {error}"
        exhausted = process_tree.is_exhaustion(error)
        code = ErrorCode.WORKER_EXHAUSTED if exhausted else ErrorCode.START_FAILED
        return _refused(collector, code, message)
    try:
        with client.start(launch, lease_until=lease_until() if lease_until else 0) as running:
            status, stop = _drive(
                running,
                collector,
                timeout,
                should_stop,
                lease_until,
                grace,
                started=started,
                clock=clock,
            )
    except SpawnerUnavailable as error:
        stop = _asked(should_stop) or Failure(ErrorCode.WORKER_EXHAUSTED, str(error))
        return _refused(collector, stop.code, stop.message)
    finally:
        if made:
            _remove_directory(launch.working_directory)
    failure = stop or (runner.explain(status) if runner else explain_exit(status))
    # What the process reported it has written to the log already.
    if failure is not None and stop is None and "error_code" not in status.report:
        collector.note(failure.message)
    if status.leftovers:
        collector.note(f"{status.leftovers} processes of the task could not be killed.")
    collector.finish()
    return Outcome(
        error_code=failure.code if failure else None,
        message=failure.message if failure else "",
        exit_code=status.exit_code,
        signal=status.signal,
        log_bytes=collector.written_bytes,
        duration=clock() - started,
        leftovers=status.leftovers,
        report=status.report,
    )


def _drive(
    running: Running,
    collector: LogCollector,
    timeout: float | None,
    should_stop: ShouldStop | None,
    lease_until: LeaseUntil | None,
    grace: float,
    *,
    started: float,
    clock: Callable[[], float],
) -> tuple[ExitStatus, Failure | None]:
    """Stay with the process until its end; how it ended, and why it was stopped if it was."""
    pipe = _Pipe(running, collector)
    stop: Failure | None = None
    next_look = started
    while (status := running.wait(0)) is None:
        now = clock()
        if stop is None and now >= next_look:
            next_look = now + POLL_SECONDS
            if lease_until is not None:
                running.renew(lease_until())
            stop = _asked(should_stop)
            if stop is None and timeout is not None and now - started >= timeout:
                stop = Failure(ErrorCode.TIMEOUT, f"Stopped after {timeout:g} s, its time limit.")
            if stop is not None:
                collector.note(stop.message)
                running.kill(grace)
        pipe.wait(POLL_SECONDS)
        collector.tick()
    pipe.drain()
    return status, stop


class _Pipe:
    """The output of a process, read as it comes."""

    def __init__(self, running: Running, collector: LogCollector) -> None:
        self._descriptor = running.stdout_fd
        self._collector = collector
        self._open = True
        self._poll = select.poll()
        self._poll.register(running.stdout_fd, select.POLLIN)
        self._poll.register(running.status_fd, select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Until there is output, which is then read, or the process ended, or time is up."""
        for descriptor, _ in self._poll.poll(seconds * 1000):
            if descriptor == self._descriptor:
                self._read()

    def drain(self) -> None:
        """What is left after the end. Somebody may hold the pipe open: wait for nothing."""
        for _ in range(_MOST_READS_AFTER_END):
            if not self._read():
                return

    def _read(self) -> bool:
        """Read once; False when there is nothing."""
        if not self._open:
            return False
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._open = False
            self._poll.unregister(self._descriptor)
            return False
        self._collector.feed(data)
        return True


def _asked(should_stop: ShouldStop | None) -> Failure | None:
    reason = should_stop() if should_stop is not None else None
    if reason is None:
        return None
    if reason in ErrorCode.__members__:
        return Failure(reason, f"{EXPLANATIONS[ErrorCode(reason)].title}.")
    return Failure(ErrorCode.TERMINATED, f"Stopped: {reason}.")


def _refused(collector: LogCollector, code: str, message: str) -> Outcome:
    collector.note(message)
    collector.finish()
    return Outcome(error_code=code, message=message)


def _make_directory(path: Path, user: int | None) -> bool:
    """Make a folder for one execution, its user's alone; False when it is there already."""
    make_way(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    if user is not None:
        os.chown(path, user, user)
    return True


def _remove_directory(path: Path) -> None:
    try:
        path.rmdir()  # most are empty
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
