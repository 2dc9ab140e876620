"""A worker process that takes its own means away when it is told to; a test runs it.

Lines on its input: `files`, `threads`, `memory` take, `plenty` gives back, `drain` ends it. It
answers each with a line.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from datetime import timedelta
from pathlib import Path

import django
from django.conf import settings

_ROOM = 8
_SPARE_FILES = 2
_STACK = 1 << 30

_taken: list[int] = []


def files() -> None:
    """Leave two descriptors: a start needs more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_now) + 8, hard))
    with contextlib.suppress(OSError):
        while True:
            _taken.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(_SPARE_FILES):
        os.close(_taken.pop())


def threads() -> None:
    """Let threads want more stack than there is room for."""
    threading.stack_size(_STACK)
    _limit_memory(_STACK // 2)


def memory() -> None:
    """Leave next to nothing."""
    _limit_memory(1 << 20)


def _limit_memory(left: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + left
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def plenty() -> None:
    """Give everything back."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    threading.stack_size(0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    while _taken:
        os.close(_taken.pop())


def main(queue: str) -> None:
    from instances.engine import retries
    from instances.worker.process import WARM_MODULES, WorkerProcess

    # It takes its work back at once, as often as it has to.
    settings.EXHAUSTED_REST_SECONDS = 0.2
    retries.EXHAUSTED_WAIT = timedelta()
    retries.LOST_LIMIT = 10**6
    worker = WorkerProcess(room=_ROOM)
    worker.client.warm_up(*WARM_MODULES)
    worker.crew.serve([queue])
    print("ready", flush=True)
    verbs = {
        "files": files,
        "threads": threads,
        "memory": memory,
        "plenty": plenty,
        "drain": worker.drain,
    }
    for line in sys.stdin:
        verbs[line.strip()]()
        print(line.strip(), flush=True)


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1])
