"""Keeps tasks, which may run as the same user, from reading a process's secrets in /proc (P5)."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def guard_memory() -> None:
    """Close this process's memory and environment to all but root; forks of it keep that.

    Every process that knows the product's secrets calls it before it does anything else: the
    kernel forgets it only when another program is executed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
