"""The worker's side of the spawner: start a process from any thread, watch it, kill it."""

from __future__ import annotations

import array
import atexit
import contextlib
import json
import os
import random
import resource
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakSet

from instances.runners.base import Confinement, ExitStatus, Launch, Mode
from instances.runners.spawner import process_tree
from instances.runners.spawner.child import read_all
from instances.runners.spawner.protocol import (
    FIRST_TAG,
    GIVE_UP_SECONDS,
    HEADER,
    MAX_REPORT_BYTES,
    TAGS_PER_SPAWNER,
    Request,
)

_SOURCE_ROOT: Final = str(Path(__file__).resolve().parents[3])
_BOOT: Final = (
    "import json, sys; sys.path.insert(0, sys.argv[1]); "
    "from instances.runners.spawner.spawner import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], json.loads(sys.argv[5]))"
)
# All that a spawner takes over from its worker.
_INHERITED: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
_PROGRAMS: Final = ""  # the name of the spawner that starts programs
# What a task may open unless it says otherwise: as much as the worker could before it raised its
# own limit. Programs that close, or look at, all there may be would be slow with more.
_OPEN_FILES: Final = resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# Those of this process, for its forks and its exit.
_clients: WeakSet[SpawnerClient] = WeakSet()


class SpawnerUnavailable(RuntimeError):
    """No process can be started: the spawner does not start or does not stay."""


class Running:
    """A process that was started, or is about to be. Use it as a context manager.

    `stdout_fd` is the non-blocking read end of its output; `status_fd` is readable when `wait`
    has something to say. Both stay open until `close`.
    """

    def __init__(
        self,
        spawner: _Spawner,
        key: int,
        stdout_fd: int,
        status_fd: int,
        report_fd: int,
        lease_until: float,
    ) -> None:
        self._spawner = spawner
        self._key = key
        self._report_fd = report_fd
        self.stdout_fd = stdout_fd
        self.status_fd = status_fd
        self._lease_until = lease_until
        self._line = b""
        self._status: ExitStatus | None = None

    def wait(self, timeout: float | None = None) -> ExitStatus | None:
        """How it ended; None when `timeout` seconds pass before. Nothing of it runs then."""
        while self._status is None:
            poll = select.poll()
            poll.register(self.status_fd, select.POLLIN)
            if not poll.poll(None if timeout is None else max(0.0, timeout) * 1000):
                return None
            part = os.read(self.status_fd, 4096)
            self._line += part
            if self._line.endswith(b"\n"):
                record = json.loads(self._line)
                self._status = ExitStatus(**record, report=self._read_report())
            elif not part:
                self._spawner.bury()
                self._status = ExitStatus(lost=True)
        return self._status

    def kill(self, grace: float = 2.0) -> None:
        """Ask it to end; after `grace` seconds everything of it is killed. Returns at once."""
        with contextlib.suppress(OSError):
            self._spawner.send(Request.KILL, self._key, grace, ())

    def renew(self, lease_until: float) -> None:
        """Let it run until then, in seconds since the epoch. Cheap to call often."""
        # Not each time: one message for a fifth of a lease is enough.
        if lease_until - self._lease_until < (lease_until - time.time()) / 5:
            return
        self._lease_until = lease_until
        with contextlib.suppress(OSError):
            self._spawner.send(Request.RENEW, self._key, lease_until, ())

    def close(self) -> None:
        """Let go of it: a process that still runs is killed, and waited for.

        Whoever hears of its end may start the next run: nothing of this one must be left.
        """
        if self.stdout_fd < 0:
            return
        if self._status is None:
            self.kill(grace=0)
            self.wait(GIVE_UP_SECONDS + 1)
        for descriptor in (self.stdout_fd, self.status_fd, self._report_fd):
            os.close(descriptor)
        self.stdout_fd = self.status_fd = self._report_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read_report(self) -> Mapping[str, Any]:
        size = os.fstat(self._report_fd).st_size
        if not 0 < size <= MAX_REPORT_BYTES:
            return {}
        try:
            report = json.loads(read_all(self._report_fd))
        except ValueError:
            return {}
        return report if isinstance(report, dict) else {}


class _Spawner:
    """One spawner with its guardian. `module` is what it imports before it forks."""

    def __init__(self, module: str, confinement: Confinement) -> None:
        self._send_lock = threading.Lock()
        self._bury_lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._first_tag = FIRST_TAG + random.getrandbits(26) * TAGS_PER_SPAWNER
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        arguments = [_SOURCE_ROOT, str(theirs.fileno()), str(self._first_tag), module]
        arguments.append(json.dumps(asdict(confinement)))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={"LANG": "C.UTF-8", **environment},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def send(
        self,
        request: Request,
        key: int,
        value: float,
        descriptors: tuple[int, ...],
        lease_until: float = 0,
    ) -> None:
        """Send one request; raises OSError when the spawner is gone."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        message = HEADER.pack(request, key, value, lease_until)
        with self._send_lock:
            sent = self._socket.sendmsg([message], [rights] if descriptors else [])
            if sent < len(message):
                self._socket.sendall(message[sent:])

    def bury(self) -> None:
        """After its death: wait until its guardian has killed everything that it left."""
        with self._bury_lock:
            if self.process.returncode is not None:
                return
            with self._send_lock:
                self._socket.close()
            try:
                self.process.wait(GIVE_UP_SECONDS + 2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            if (self.process.returncode or 0) < 0:
                # The guardian was killed as well: the tags are what is left to go by.
                tags = range(self._first_tag, self._first_tag + TAGS_PER_SPAWNER)
                process_tree.kill_tagged(tags, GIVE_UP_SECONDS)

    def forget(self) -> None:
        """In a fork of the worker: drop the copies of what belongs to the worker."""
        self._socket.close()
        self.process.returncode = 0  # somebody else's child


class SpawnerClient:
    """Starts processes through spawners: one for programs, one for each module of functions.

    Thread-safe. Spawners start when they are first needed; one that died is replaced at the next
    start, and what ran under it is reported lost. Whoever makes a client closes it; in a fork it
    has none of its parent's spawners.
    """

    def __init__(self, confinement: Confinement | None = None) -> None:
        self._confinement = confinement or Confinement()
        self._lock = threading.Lock()
        self._spawners: dict[str, _Spawner] = {}
        self._last_key = 0
        self._closed = False
        _clients.add(self)

    def start(self, launch: Launch, *, lease_until: float = 0) -> Running:
        """Start a process; errors of the start itself come with `Running.wait`.

        With `lease_until`, in seconds since the epoch, it is killed shortly before then, and is
        lost, unless `Running.renew` is called in time. Raises SpawnerUnavailable when there is
        nobody to start it, or no descriptor left for it.
        """
        try:
            return self._start(launch, lease_until)
        except OSError as error:
            raise SpawnerUnavailable(f"No process can be started: {error}") from error

    def _start(self, launch: Launch, lease_until: float) -> Running:
        module = launch.target.partition(":")[0] if launch.mode is Mode.CALL else _PROGRAMS
        request = Request.START_CALL if launch.mode is Mode.CALL else Request.START_EXEC
        with contextlib.ExitStack() as mine, contextlib.ExitStack() as theirs:
            # mine is closed when the start fails, theirs in any case: the spawner has copies.
            stdout_fd, output = _pipe(mine, theirs)
            status_fd, status = _pipe(mine, theirs)
            os.set_blocking(stdout_fd, False)
            specification = _file(theirs, json.dumps(_specification(launch)).encode())
            payload = _file(theirs, launch.payload)
            report_fd = _file(mine, b"")
            descriptors = (status, specification, output, payload, report_fd)
            for _ in range(2):
                spawner, key = self._spawner(module)
                try:
                    spawner.send(request, key, len(descriptors), descriptors, lease_until)
                except OSError:
                    self._discard(module, spawner)
                    continue
                mine.pop_all()
                return Running(spawner, key, stdout_fd, status_fd, report_fd, lease_until)
        raise SpawnerUnavailable("The process that starts tasks does not stay up.")

    def warm_up(self, *launch_modules: str) -> None:
        """Start the spawner for programs, and those of these modules, before they are needed."""
        for module in (_PROGRAMS, *launch_modules):
            self._spawner(module)

    def close(self) -> None:
        """Kill everything that runs and end the spawners."""
        with self._lock:
            self._closed = True
            spawners = list(self._spawners.values())
            self._spawners.clear()
        for spawner in spawners:
            with contextlib.suppress(OSError):
                spawner._socket.shutdown(socket.SHUT_RDWR)
        for spawner in spawners:
            spawner.bury()

    def spawner_pids(self) -> dict[str, int]:
        """The guardian of each spawner that runs, by module ("" is the one for programs)."""
        with self._lock:
            return {module: spawner.process.pid for module, spawner in self._spawners.items()}

    def _spawner(self, module: str) -> tuple[_Spawner, int]:
        with self._lock:
            if self._closed:
                raise SpawnerUnavailable("This worker is closing.")
            self._last_key += 1
            spawner = self._spawners.get(module)
            if spawner is None:
                try:
                    spawner = self._spawners[module] = _Spawner(module, self._confinement)
                except OSError as error:
                    raise SpawnerUnavailable(
                        f"The process that starts tasks cannot be started: {error}"
                    ) from error
            return spawner, self._last_key

    def _discard(self, module: str, spawner: _Spawner) -> None:
        with self._lock:
            if self._spawners.get(module) is spawner:
                del self._spawners[module]
        spawner.bury()

    def _forget(self) -> None:
        """In a fork of the worker: its spawners are the worker's, and so may be its lock."""
        self._lock = threading.Lock()
        for spawner in self._spawners.values():
            spawner.forget()
        self._spawners.clear()


def _forget_clients() -> None:
    for client in list(_clients):
        client._forget()


def _close_clients() -> None:
    for client in list(_clients):
        client.close()


os.register_at_fork(after_in_child=_forget_clients)
atexit.register(_close_clients)


def _pipe(mine: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    mine.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write


def _file(stack: contextlib.ExitStack, content: bytes) -> int:
    """An unnamed file with this content, in memory where that is possible."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tidemill", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            descriptor = os.dup(file.fileno())
    stack.callback(os.close, descriptor)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _specification(launch: Launch) -> dict[str, Any]:
    open_files = launch.limits.open_files
    if open_files is None:
        open_files = _OPEN_FILES
    return {
        "argv": launch.argv,
        "target": launch.target,
        "environment": dict(launch.environment),
        "working_directory": str(launch.working_directory),
        "open_files": open_files,
        "memory_bytes": launch.limits.memory_bytes,
        "user": launch.user,
    }
