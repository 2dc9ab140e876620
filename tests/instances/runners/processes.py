"""Finds real processes, and waits for what real processes do."""

from __future__ import annotations

import random
from pathlib import Path


def unique_seconds() -> str:
    """A number of seconds for `sleep` by which that process is found again."""
    return f"{random.randrange(10_000, 99_999)}.{random.randrange(10**9):09}"


def with_argument(argument: str) -> set[int]:
    """The living processes with this argument."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                arguments = (folder / "cmdline").read_bytes().split(b"\0")
                state = (folder / "stat").read_bytes().rpartition(b") ")[2][:1]
            except OSError:
                continue
            if argument.encode() in arguments and state not in b"ZX":
                found.add(int(folder.name))
    return found
