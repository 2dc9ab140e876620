"""The first steps of a forked task process: from a copy of the spawner to a clean process."""

from __future__ import annotations

import atexit
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

from instances.runners import process_tree
from instances.runners.process_tree import resource
from instances.runners.spawn_protocol import (
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
_SOURCE_ROOT: Final = str(Path(__file__).resolve().parents[2])

# What a target gets: its payload, and how to report. It returns the exit code.
Report = Callable[[dict[str, Any]], None]
Target = Callable[[bytes, Report], int]


def enter(specification: int, output: int, payload: int, report: int) -> NoReturn:
    """Turn this fork into the task's process, call its target and end. Never returns."""
    code = 70  # EX_SOFTWARE: what follows failed before the task's own code could say anything
    try:
        process_tree.die_with_parent()
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in RESET_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        spec = json.loads(read_all(specification))
        _arrange_descriptors(output, payload, report)
        _limit(spec)
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


def _arrange_descriptors(output: int, payload: int, report: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(payload, PAYLOAD_DESCRIPTOR, inheritable=False)
    os.dup2(report, REPORT_DESCRIPTOR, inheritable=False)
    os.closerange(REPORT_DESCRIPTOR + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    # By line, so that the log is live; bytes that are no text must not end a task.
    sys.stdout = sys.__stdout__ = open(  # type: ignore[misc]  # noqa: SIM115
        1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
    sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )


def _limit(spec: dict[str, Any]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = min(spec["open_files"], hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    memory = spec["memory_bytes"]
    if memory:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        memory = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


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
