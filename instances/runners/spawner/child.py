"""The first steps of a forked task process: from a copy of the spawner to a clean process."""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from instances.runners.spawner import confining, process_tree
from instances.runners.spawner.protocol import (
    MAX_REPORT_BYTES,
    PAYLOAD_DESCRIPTOR,
    REPORT_DESCRIPTOR,
)

RESET_SIGNALS: Final = [
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
    signal.SIGXFSZ,
]
_PR_SET_DUMPABLE: Final = 4
_SOURCE_ROOT: Final = str(Path(__file__).resolve().parents[3])

# What a target gets: its payload, and how to report. It returns the exit code.
Report = Callable[[dict[str, Any]], None]
Target = Callable[[bytes, Report], int]


def enter(specification: int, output: int, payload: int, report: int) -> NoReturn:
    """Turn this fork into the task's process, call its target and end. Never returns."""
    code = 70  # EX_SOFTWARE: what follows failed before the task's own code could say anything
    try:
        _leave_spawner()
        spec = json.loads(read_all(specification))
        _arrange_descriptors(output, payload)
        os.dup2(report, REPORT_DESCRIPTOR, inheritable=False)
        os.closerange(REPORT_DESCRIPTOR + 1, os.sysconf("SC_OPEN_MAX"))
        os.set_inheritable(PAYLOAD_DESCRIPTOR, False)
        _open_streams()
        confining.limit(spec)
        confining.become(spec["user"])
        process_tree.prctl(_PR_SET_DUMPABLE, 0)  # its neighbours cannot read its memory
        _dress(spec)
        target = _resolve(spec["target"])
        received = read_all(PAYLOAD_DESCRIPTOR)
        os.close(PAYLOAD_DESCRIPTOR)
        gc.enable()
        code = target(received, write_report)
        code = finish(code)
    except BaseException:  # noqa: BLE001
        # Nothing may unwind into the spawner's loop, of which this is a copy.
        traceback.print_exc()
        code = code or 70
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 1
        os._exit(code & 0xFF)


def execute(specification: int, output: int, payload: int, failure: int) -> NoReturn:
    """Turn this fork into the program of a task with a user of its own. Never returns: what went
    wrong goes to `failure`, which closes, with all others, when the program has begun."""
    try:
        _leave_spawner()
        spec = json.loads(read_all(specification))
        _arrange_descriptors(output, payload)
        confining.limit(spec)
        confining.become(spec["user"])
        os.chdir(spec["working_directory"])
        os.execve(spec["argv"][0], spec["argv"], spec["environment"])
    except BaseException as error:  # noqa: BLE001 - as above
        os.write(failure, _as_text(error))
    finally:
        os._exit(127)


def _as_text(error: BaseException) -> bytes:
    number = error.errno if isinstance(error, OSError) else None
    named = str(error.filename or "") if isinstance(error, OSError) else ""
    return json.dumps({"errno": number, "filename": named, "text": str(error)}).encode()


def start_error(told: bytes) -> OSError | ValueError:
    """Return the error that kept a program from starting, as `execute` has told it."""
    fault = json.loads(told)
    if fault["errno"] is None:
        return ValueError(fault["text"])
    if fault["errno"] == errno.EAGAIN:  # its user's processes: nothing that the machine lacks
        return ValueError("The project's tasks run as many processes as they may.")
    return OSError(fault["errno"], os.strerror(fault["errno"]), fault["filename"] or None)


def _leave_spawner() -> None:
    process_tree.die_with_parent()
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in RESET_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def finish(code: int) -> int:
    """What an interpreter does at its end: wait for threads, run exit handlers."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001 - the code's own handlers may raise anything
        traceback.print_exc()
        return code or 1
    return code


def write_report(report: dict[str, Any]) -> None:
    """Tell the worker something about the run; a later report replaces an earlier one."""
    message = report.get("message")
    if isinstance(message, str):
        # Room for escapes: one character is at most six bytes of JSON.
        report = {**report, "message": message[: MAX_REPORT_BYTES // 12]}
    data = json.dumps(report).encode()
    if len(data) > MAX_REPORT_BYTES:
        data = json.dumps(
            {name: report[name] for name in ("error_code", "message") if name in report}
        ).encode()
    os.ftruncate(REPORT_DESCRIPTOR, 0)
    os.pwrite(REPORT_DESCRIPTOR, data, 0)


def read_all(descriptor: int) -> bytes:
    """The whole file behind a descriptor, wherever its position is."""
    size = os.fstat(descriptor).st_size
    parts: list[bytes] = []
    position = 0
    while position < size:
        part = os.pread(descriptor, size - position, position)
        if not part:
            break
        parts.append(part)
        position += len(part)
    return b"".join(parts)


def _arrange_descriptors(output: int, payload: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(payload, PAYLOAD_DESCRIPTOR)
    os.close(null)


def _open_streams() -> None:
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    # By line, so that the log is live; bytes that are no text must not end a task.
    sys.stdout = sys.__stdout__ = open(  # type: ignore[misc]  # noqa: SIM115
        1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
    sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )


def _dress(spec: dict[str, Any]) -> None:
    """The task's environment and folder instead of the spawner's, and what caches them."""
    os.environ.clear()
    os.environ.update(spec["environment"])
    time.tzset()
    tempfile.tempdir = None
    os.chdir(spec["working_directory"])


def _resolve(name: str) -> Target:
    module, _, function = name.partition(":")
    found: Target = getattr(importlib.import_module(module), function)
    # The product's own modules are nothing that a task's code should import by accident.
    sys.path[:] = [entry for entry in sys.path if entry != _SOURCE_ROOT]
    return found
