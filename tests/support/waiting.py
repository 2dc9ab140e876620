"""Waiting for what other processes and threads do."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(
    condition: Callable[[], object],
    seconds: float = 60,
    *,
    complaint: str = "it did not happen in time",
) -> None:
    """Return as soon as the condition holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def takes_less_than(seconds: float, take: Callable[[], float]) -> bool:
    """Whether `take`, which tells how many seconds it took, took less in one of three tries.

    A product that is too slow is too slow each time; a machine that is busy for a while is not.
    """
    return any(take() < seconds for _ in range(3))
