"""The spawner: a small process beside each worker that starts, watches and kills task processes.

A worker has threads, database connections and secrets, so it must not fork. The spawner has none
of them: it starts from a clean environment and stays single-threaded. Starting a program costs it
one `posix_spawn` and no Python interpreter, or, as another user, a fork of itself; calling a
function costs a fork of an interpreter that is warm already.

Two processes make a spawner, so that no single `kill -9` leaves anything behind:

    worker ── guardian ── spawner ── tasks
       └──── requests ──────┘

- the worker dies: the spawner reads the end of its socket, kills everything and ends;
- the spawner dies: its tasks become the guardian's children; the guardian kills them and ends,
  and the worker, which waits for that, reports them lost;
- the guardian dies: the spawner reads the end of a pipe and does as if the worker had died.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import time
from array import array
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from instances.runners.spawner import child, confining, process_tree
from instances.runners.spawner.process_tree import LINUX, Process, is_exhaustion, resource
from instances.runners.spawner.protocol import (
    DESCRIPTORS,
    GIVE_UP_SECONDS,
    HEADER,
    LEASE_MARGIN_SECONDS,
    PAYLOAD_DESCRIPTOR,
    TAGS_PER_SPAWNER,
    Request,
)

# While processes are being killed they are looked for this often, in seconds.
_KILL_INTERVAL: Final = 0.01
# While killed processes have time to end by themselves, and for strays.
_WATCH_INTERVAL: Final = 0.05
_STRAY_INTERVAL: Final = 0.5
# While tasks have leases: the wall clock may jump, so that no long sleep can wait for it.
_LEASE_INTERVAL: Final = 1.0
# Descriptors of the spawner itself, below those that come with requests.
_LOW_OUTPUT, _LOW_PAYLOAD, _LOW_NULL, _LOWEST_FREE = 5, 6, 7, 10
_FEWEST_OPEN_FILES: Final = 16


@dataclass(slots=True)
class _Task:
    """A task's main process and what is left of its tree.

    `ended` is how the main process ended, once it has. From `kill_at` on everything is killed;
    from `give_up_at` on the end is reported even when something refuses to die.
    One whose lease ended is killed and reported `lost`.
    """

    key: int
    pid: int
    status: int
    tag: int
    lease_until: float
    lost: bool = False
    ended: dict[str, Any] | None = None
    kill_at: float | None = None
    give_up_at: float | None = None


class Spawner:
    """The loop. `first_tag` is the tag of the process with key 0."""

    def __init__(self, requests: socket.socket, guardian: int, first_tag: int) -> None:
        self._requests = requests
        self._guardian = guardian
        self._first_tag = first_tag
        self._tasks: dict[int, _Task] = {}  # by key
        self._mains: dict[int, _Task] = {}  # by pid, until reaped
        self._owners: dict[int, int | None] = {}  # adopted child → key of its task
        # Adopted children without a mark → those of which they may be: the tasks of that moment.
        self._suspects: dict[int, set[int]] = {}
        self._children = process_tree.ChildList()
        self._buffer = b""
        self._descriptors: list[int] = []
        self._watch_strays = False
        self._next_stray_check = 0.0
        self._open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._tagged = process_tree.set_tag(first_tag)
        self._wake, wake = socket.socketpair()
        for end in (self._wake, wake):
            end.setblocking(False)
        self._waker = wake

    def run(self) -> None:
        """Serve until the worker or the guardian is gone; then nothing of any task is left."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        hard = self._open_files[1]
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        poll = select.poll()
        for readable in (self._requests.fileno(), self._guardian, self._wake.fileno()):
            poll.register(readable, select.POLLIN)
        while True:
            ready = {number for number, _ in poll.poll(self._pause())}
            if self._guardian in ready:
                break
            if self._wake.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    self._wake.recv(4096)
            if self._requests.fileno() in ready and not self._receive():
                break
            self._reap()
            self._attend()
        process_tree.kill_descendants(GIVE_UP_SECONDS)

    # Requests

    def _receive(self) -> bool:
        """Read one request and act on it; False when the worker is gone."""
        flags = socket.MSG_CMSG_CLOEXEC if LINUX else 0
        space = socket.CMSG_SPACE(DESCRIPTORS * array("i").itemsize)
        try:
            data, ancillary, _, _ = self._requests.recvmsg(
                HEADER.size - len(self._buffer), space, flags
            )
        except ConnectionError:
            return False
        if not data:
            return False
        for level, kind, received in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array("i")
                numbers.frombytes(received[: len(received) - len(received) % numbers.itemsize])
                self._descriptors.extend(numbers)
        self._buffer += data
        if len(self._buffer) < HEADER.size:
            return True
        request, key, value, lease_until = HEADER.unpack(self._buffer)
        self._buffer = b""
        if request == Request.RENEW:
            if key in self._tasks:
                self._tasks[key].lease_until = value
            return True
        if request == Request.KILL:
            self._kill(key, value)
            return True
        descriptors, self._descriptors = self._descriptors, []
        if len(descriptors) == int(value):
            self._start(key, Request(request), descriptors, lease_until)
        else:
            # The kernel hands over as many as there is room for; the first is the status.
            for number in descriptors[1:]:
                os.close(number)
            if descriptors:
                _tell(descriptors[0], _start_error(OSError(errno.EMFILE, "")))
        return True

    def _start(
        self, key: int, request: Request, descriptors: list[int], lease_until: float
    ) -> None:
        status, specification, output, payload, report = descriptors
        if not LINUX:
            for number in descriptors:
                os.set_inheritable(number, False)
        tag = self._first_tag + key
        try:
            if _is_over(lease_until):
                # The machine slept between the claim and now: somebody else may run it already.
                _tell(status, {"lost": True})
                return
            if self._tagged:
                process_tree.set_tag(tag)
            if request is Request.START_EXEC:
                pid = self._start_program(specification, output, payload)
            else:
                pid = self._fork(specification, output, payload, report)
        except (OSError, ValueError, KeyError) as error:
            _tell(status, _start_error(error))
        else:
            task = _Task(key, pid, status, tag, lease_until)
            self._tasks[key] = self._mains[pid] = task
        finally:
            for number in (specification, output, payload, report):
                os.close(number)

    def _start_program(self, specification: int, output: int, payload: int) -> int:
        spec = json.loads(child.read_all(specification))
        if not spec["argv"][0].startswith("/"):
            raise ValueError(f"the program {spec['argv'][0]!r} is not an absolute path")
        if spec["user"] is None:
            return self._spawn(spec, output, payload)
        return self._fork_program(specification, output, payload)

    def _spawn(self, spec: dict[str, Any], output: int, payload: int) -> int:
        """Start a program. The limits and the folder are the spawner's own for that moment:
        `posix_spawn` cannot set them, and everything that can costs a fork."""
        argv = spec["argv"]
        if spec["memory_bytes"]:
            # A program that limits itself, then becomes the task's.
            limit = str(spec["memory_bytes"] // 1024)
            argv = ["/bin/sh", "-c", 'ulimit -d "$0" && exec "$@"', limit, *argv]
        soft = max(min(spec["open_files"], self._open_files[1]), _FEWEST_OPEN_FILES)
        # glibc takes no descriptor for a file action that is above the limit.
        os.dup2(output, _LOW_OUTPUT, inheritable=False)
        os.dup2(payload, _LOW_PAYLOAD, inheritable=False)
        try:
            os.chdir(spec["working_directory"])
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self._open_files[1]))
            return os.posix_spawn(
                argv[0],
                argv,
                spec["environment"],
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, _LOW_OUTPUT, 1),
                    (os.POSIX_SPAWN_DUP2, _LOW_OUTPUT, 2),
                    (os.POSIX_SPAWN_DUP2, _LOW_PAYLOAD, PAYLOAD_DESCRIPTOR),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=child.RESET_SIGNALS,
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._open_files[1], self._open_files[1]))
            os.chdir("/")
            for number in (_LOW_OUTPUT, _LOW_PAYLOAD):
                os.dup2(_LOW_NULL, number, inheritable=False)

    def _fork_program(self, specification: int, output: int, payload: int) -> int:
        """Start a program as another user, which costs a fork: wait until it has begun, or raise
        why it could not."""
        failed, failure = os.pipe()
        try:
            pid = os.fork()
            if pid == 0:
                child.execute(specification, output, payload, failure)
        except OSError:
            os.close(failed)
            raise
        finally:
            os.close(failure)
        with os.fdopen(failed, "rb") as told:
            if fault := told.read():
                os.waitpid(pid, 0)
                raise child.start_error(fault)
        return pid

    def _fork(self, specification: int, output: int, payload: int, report: int) -> int:
        pid = os.fork()
        if pid == 0:
            child.enter(specification, output, payload, report)
        return pid

    # Ends

    def _reap(self) -> None:
        """Take the exit status of every child that ended: tasks, and orphans of tasks."""
        while (ended := self._reap_one()) is not None:
            pid, status = ended
            self._disown(pid)
            task = self._mains.pop(pid, None)
            if task is not None:
                task.ended = _exit_record(status)
                task.kill_at = task.kill_at or time.monotonic()
                self._watch_strays = True

    def _reap_one(self) -> tuple[int, int] | None:
        try:
            if not hasattr(os, "waitid"):  # macOS
                pid, status = os.waitpid(-1, os.WNOHANG)
                self._kill_group_of(pid)
                return (pid, status) if pid else None
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return None
            # Before it is reaped: as long as the zombie holds its number, the group cannot be
            # somebody else's.
            self._kill_group_of(found.si_pid)
            return os.waitpid(found.si_pid, 0)
        except ChildProcessError:
            return None

    def _kill_group_of(self, pid: int) -> None:
        """Kill what a task's main process left in its group, unless it has time to end."""
        task = self._mains.get(pid)
        if task is not None and (task.kill_at is None or not LINUX):
            process_tree.send_group_signal(pid, signal.SIGKILL)

    def _attend(self) -> None:
        """Report tasks that are gone, kill what is due, look after strays."""
        now = time.monotonic()
        self._end_leases(now)
        closing = [task for task in self._tasks.values() if task.kill_at is not None]
        strays_due = now >= self._next_stray_check
        if not closing and not strays_due:
            return
        orphans = self._children.read() - self._mains.keys()
        self._own(orphans)
        table = process_tree.process_table() if orphans else {}
        for task in closing:
            self._close(task, orphans, table, now)
        if strays_due:
            self._next_stray_check = now + _STRAY_INTERVAL
            self._watch_strays = bool(orphans)
            self._kill_strays(orphans, table)

    def _end_leases(self, now: float) -> None:
        """From now on kill the tasks whose worker has not renewed their lease."""
        for task in self._tasks.values():
            if _is_over(task.lease_until) and task.ended is None and not task.lost:
                task.lost = True
                task.kill_at = now

    def _close(self, task: _Task, orphans: set[int], table: dict[int, Process], now: float) -> None:
        roots = [pid for pid in orphans if self._belongs(pid, task)]
        if task.ended is not None and not roots:
            self._finish(task, leftovers=0)
            return
        if task.kill_at is None or now < task.kill_at:
            return
        task.give_up_at = task.give_up_at or now + GIVE_UP_SECONDS
        if task.ended is None:
            process_tree.send_group_signal(task.pid, signal.SIGKILL)
            roots.append(task.pid)
        left = process_tree.descendants(roots, table or process_tree.process_table())
        process_tree.kill(left)
        if now >= task.give_up_at:
            self._mains.pop(task.pid, None)
            self._finish(task, leftovers=len(left))

    def _kill_strays(self, orphans: set[int], table: dict[int, Process]) -> None:
        """Kill what a task left that is gone already, whichever of them it was."""
        strays = [
            pid
            for pid, owner in self._owners.items()
            if pid in orphans
            and owner not in self._tasks
            and self._suspects.get(pid, set()).isdisjoint(self._tasks)
        ]
        process_tree.kill(process_tree.descendants(strays, table))

    def _own(self, orphans: set[int]) -> None:
        """Find out once whose each adopted child is."""
        sessions = {task.pid: task.key for task in self._tasks.values()}
        for pid in orphans - self._owners.keys():
            process = process_tree.read_process(pid)
            if process is None:
                continue
            owner = sessions.get(process.session)
            if owner is None and self._tagged:
                tags = range(self._first_tag, self._first_tag + TAGS_PER_SPAWNER)
                tag = process_tree.read_tag(pid, tags)
                owner = None if tag is None else tag - self._first_tag
            self._owners[pid] = owner
            if owner is None:
                self._suspects[pid] = set(self._tasks)
        for pid in self._owners.keys() - orphans:
            self._disown(pid)

    def _disown(self, pid: int) -> None:
        self._owners.pop(pid, None)
        self._suspects.pop(pid, None)

    def _belongs(self, pid: int, task: _Task) -> bool:
        owner = self._owners.get(pid)
        # Without a mark it is the last one's that it can be.
        return owner == task.key or (
            owner is None and self._suspects.get(pid, set()) & self._tasks.keys() == {task.key}
        )

    def _finish(self, task: _Task, *, leftovers: int) -> None:
        del self._tasks[task.key]
        record = {"lost": True} if task.lost else task.ended or {"signal": signal.SIGKILL}
        _tell(task.status, {**record, "leftovers": leftovers} if leftovers else record)

    def _kill(self, key: int, grace: float) -> None:
        task = self._tasks.get(key)
        if task is None:
            return
        due = time.monotonic() + grace
        task.kill_at = due if task.kill_at is None else min(task.kill_at, due)
        if grace <= 0 or task.ended is not None:
            return
        orphans = self._children.read() - self._mains.keys()
        self._own(orphans)
        roots = [task.pid, *(pid for pid in orphans if self._belongs(pid, task))]
        for process in process_tree.descendants(roots, process_tree.process_table()):
            process_tree.send_signal(process.pid, signal.SIGTERM)
            # A stopped process would see the first signal only when somebody lets it go on.
            process_tree.send_signal(process.pid, signal.SIGCONT)

    def _pause(self) -> float | None:
        """Milliseconds until something is due; None: nothing before the next message."""
        now = time.monotonic()
        due: list[float] = []
        for task in self._tasks.values():
            if task.kill_at is None:
                if task.lease_until:
                    left = task.lease_until - LEASE_MARGIN_SECONDS - time.time()
                    due.append(min(left, _LEASE_INTERVAL))
            elif task.kill_at <= now:
                due.append(_KILL_INTERVAL)
            elif task.ended is None:
                due.append(task.kill_at - now)
            else:
                due.append(_WATCH_INTERVAL)
        if self._watch_strays:
            due.append(_STRAY_INTERVAL)
        return max(1.0, min(due) * 1000) if due else None


def main(
    requests_descriptor: int, first_tag: int, preload: str, confinement: dict[str, Any]
) -> NoReturn:
    """The guardian: starts the spawner, waits for its end, and kills what it left."""
    process_tree.become_subreaper()
    confining.confine(confinement)
    # Descriptors that come with requests must not have the numbers that tasks see.
    moved = fcntl.fcntl(requests_descriptor, fcntl.F_DUPFD_CLOEXEC, _LOWEST_FREE)
    os.close(requests_descriptor)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(PAYLOAD_DESCRIPTOR, _LOWEST_FREE):
        if number != null:
            os.dup2(null, number, inheritable=False)
    if null >= _LOWEST_FREE:
        os.close(null)
    for signal_number in child.RESET_SIGNALS:
        signal.signal(signal_number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    guardian, held = os.pipe()
    spawner = os.fork()
    if spawner == 0:
        os.close(held)
        process_tree.become_subreaper()
        requests = socket.socket(fileno=moved)
        _settle(preload)
        Spawner(requests, guardian, first_tag).run()
        os._exit(0)
    os.close(guardian)
    os.close(moved)
    while os.waitpid(-1, 0)[0] != spawner:
        pass
    os._exit(1 if process_tree.kill_descendants(GIVE_UP_SECONDS) else 0)


def _settle(preload: str) -> None:
    """Make the interpreter ready to be forked often."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if preload:
        # A module that cannot be imported is the task's failure: its process tries again.
        with contextlib.suppress(ImportError):
            importlib.import_module(preload)
    gc.collect()
    gc.disable()
    gc.freeze()


def _tell(status: int, record: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(status, json.dumps(record).encode() + b"\n")
    os.close(status)


def _exit_record(status: int) -> dict[str, Any]:
    code = os.waitstatus_to_exitcode(status)
    return {"signal": -code} if code < 0 else {"exit_code": code}


def _is_over(lease_until: float) -> bool:
    return 0 < lease_until <= time.time() + LEASE_MARGIN_SECONDS


def _start_error(error: Exception) -> dict[str, Any]:
    if not isinstance(error, OSError):
        return {"start_error": str(error)}
    text = error.strerror or os.strerror(error.errno or 0)
    told = {"start_error": f"{text}: {error.filename}" if error.filename else text}
    return {**told, "exhausted": True} if is_exhaustion(error) else told
