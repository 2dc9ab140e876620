"""Finds and kills every process of a task, whatever it did to get away.

Three marks tell whose a process is, none of which a task loses by accident:

- its session, as long as it stays in the one that it was started in;
- its tag: a number in its limit on real-time CPU time (RLIMIT_RTTIME, a limit that nobody sets),
  and again in the one on file locks (RLIMIT_LOCKS, which Linux knows and does not use), for who
  does set the first. Children inherit it through fork and exec, so a daemon that left its session,
  closed its files and emptied its environment still carries it, and reading it needs no parsing
  of foreign memory;
- its parents: the spawner is a "child subreaper", so a process whose parent died becomes the
  spawner's child and not init's. Nothing that a task started can leave the spawner's tree.

Only Linux has all three; elsewhere the process group is what there is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

try:
    import resource
except ImportError as error:
    raise ImportError("Tidemill runs tasks on Linux and macOS; on Windows, use WSL.") from error

LINUX: Final = sys.platform.startswith("linux")
_RLIMIT_LOCKS: Final = 10  # Python has no name for it
_TAGGED_LIMITS: Final = ("Max realtime timeout", "Max file locks")
# What the system answers when it has no descriptor, process or memory left.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table. `state` is the letter of /proc: Z is a zombie."""

    pid: int
    state: str
    parent: int
    group: int
    session: int


def read_process(pid: int) -> Process | None:
    """One process, or None when it is gone (or this is not Linux)."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            text = os.read(descriptor, 1024)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    # The name stands in brackets and may hold anything, brackets too: cut at the last one.
    fields = text[text.rfind(b")") + 2 :].split(maxsplit=4)
    if len(fields) < 4:
        return None
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]))


def process_table() -> dict[int, Process]:
    """All processes that can be seen now."""
    if not LINUX:
        return {}
    names = os.listdir("/proc")  # noqa: PTH208 - twice as fast, and asked for often
    found = (read_process(int(name)) for name in names if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def descendants(roots: Iterable[int], table: dict[int, Process]) -> list[Process]:
    """The living processes among the roots and below them, zombies left out."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: list[Process] = []
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in seen:
            continue
        seen.add(pid)
        waiting.extend(children.get(pid, ()))
        one = table.get(pid)
        if one is not None and one.state not in "ZX":
            found.append(one)
    return found


class ChildList:
    """The direct children of this process, adopted ones included, cheap to ask for often."""

    def __init__(self) -> None:
        path = Path(f"/proc/self/task/{os.getpid()}/children")
        self._descriptor: int | None = None
        if LINUX and path.exists():
            self._descriptor = os.open(path, os.O_RDONLY)

    def read(self) -> set[int]:
        if self._descriptor is not None:
            text = os.pread(self._descriptor, 1 << 20, 0)
            return {int(pid) for pid in text.split()}
        me = os.getpid()
        return {process.pid for process in process_table().values() if process.parent == me}


def read_tag(pid: int, tags: range) -> int | None:
    """The tag among `tags` that a process carries, or None when it carries none or is gone."""
    if not LINUX:
        return None
    try:
        found = [
            resource.prlimit(pid, limit)[0] for limit in (resource.RLIMIT_RTTIME, _RLIMIT_LOCKS)
        ]
    except PermissionError:  # another user's, and root may lack the capability, as in containers
        found = _shown_limits(pid)
    except OSError:
        return None
    return next((tag for tag in found if tag in tags), None)


def _shown_limits(pid: int) -> list[int]:
    """The two limits as /proc shows them to everybody; those that are unlimited left out."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    except OSError:
        return []
    softs = [line[26:].split()[0] for line in lines if line.startswith(_TAGGED_LIMITS)]
    return [int(soft) for soft in softs if soft.isdigit()]


def set_tag(tag: int) -> bool:
    """Give this process a tag; what it starts from now on inherits it. False: not possible."""
    if not LINUX:
        return False
    try:
        for limit in (resource.RLIMIT_RTTIME, _RLIMIT_LOCKS):
            resource.setrlimit(limit, (tag, resource.getrlimit(limit)[1]))
    except (OSError, ValueError):
        return False
    return True


def is_exhaustion(error: OSError) -> bool:
    """True when the machine, or a limit of the worker, has nothing left to start a process with."""
    return error.errno in _EXHAUSTED


def become_subreaper() -> None:
    """Make orphans below this process its children (Linux; elsewhere nothing happens)."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it dies."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int) -> None:
    """Tell the kernel about this process (Linux; elsewhere nothing happens)."""
    if _LIBC is not None:
        _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0)


# Looked up at import: a fork should find it ready.
_LIBC: Final = ctypes.CDLL(None) if LINUX else None


def send_signal(pid: int, number: int) -> None:
    """Send a signal; gone already, or not ours to signal, is fine."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def send_group_signal(group: int, number: int) -> None:
    """Send a signal to a process group; gone already, or not ours to signal, is fine."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def kill(processes: list[Process]) -> None:
    """Kill these processes: stop them all first, so that none can fork while others die."""
    for process in processes:
        send_signal(process.pid, signal.SIGSTOP)
    for process in processes:
        send_signal(process.pid, signal.SIGKILL)


def kill_until_gone(find: Callable[[], list[Process]], seconds: float) -> int:
    """Kill what `find` returns, again and again, until it finds nothing or time is up.

    Returns how many are left.
    """
    deadline = time.monotonic() + seconds
    while True:
        processes = find()
        if not processes or time.monotonic() > deadline:
            return len(processes)
        kill(processes)
        time.sleep(0.002)


def kill_descendants(seconds: float) -> int:
    """Kill everything below this process, and reap it. Returns how many are left."""
    me = os.getpid()

    def find() -> list[Process]:
        reap_all()
        return [item for item in descendants([me], process_table()) if item.pid != me]

    return kill_until_gone(find, seconds)


def kill_tagged(tags: range, seconds: float) -> int:
    """Kill every process of this machine with one of these tags. Returns how many are left.

    Reaps nothing: it may run in a process whose children are somebody else's business.
    """

    def find() -> list[Process]:
        return [
            process
            for process in process_table().values()
            if process.state not in "ZX" and read_tag(process.pid, tags) is not None
        ]

    return kill_until_gone(find, seconds) if LINUX else 0


def reap_all() -> None:
    """Take the exit status of every child that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
