"""Threads that are there before they are needed, and stay.

A thread that is made when memory is short may die before it has begun, and Python then waits for
its beginning for ever, whoever wanted it. So what a worker needs is made when its process begins
and holds nothing yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

# Seconds until there may be memory again.
AGAIN_SECONDS = 0.1


class Standing(Thread):
    """A thread that does a step again and again until the step says True, whatever it raises."""

    def __init__(self, step: Callable[[], bool | None], *, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._step = step
        self.start()

    def run(self) -> None:
        while True:
            try:
                if self._step():
                    return
            except BaseException:  # noqa: BLE001  # there may be no memory to say what it was
                time.sleep(AGAIN_SECONDS)


class Hands:
    """So many threads that do one job after the other; a job sees to its own errors."""

    def __init__(self, number: int, *, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._threads = [Standing(self._work, name=f"{name}-{one}") for one in range(number)]

    def submit(self, job: Callable[[], object]) -> None:
        """Have the next thread that is free do the job; returns at once."""
        self._jobs.put(job)

    def close(self) -> None:
        """Let the threads end when all that was submitted is done, and wait for it."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> bool:
        job = self._jobs.get()
        if job is not None:
            job()
        return job is None


def insist(step: Callable[[], object]) -> None:
    """Do a step as soon as there is memory for it: for what must not be lost."""
    while True:
        try:
            step()
            return
        except MemoryError:
            time.sleep(AGAIN_SECONDS)
