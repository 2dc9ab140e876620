"""The embedded PostgreSQL: started by whoever needs it first, stopped by whoever leaves last.

Every process that uses the server holds a shared lock on `postgres.users` in the data directory;
the kernel drops it when the process dies, however it dies. Starting and stopping happen under an
exclusive lock on `postgres.lock`, so any number of processes may come and go at once. A server that
outlived a killed process is adopted by the next one. There is no TCP port: the only way in is a
socket in a folder that only the server's user and root can enter.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

from config.embedded.postgres_placement import Placement, place, server_user
from config.embedded.postgres_process import SUPERUSER, is_alive, postmaster, shut_down, start, stop

DATABASE = "tidemill"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server. started: this process started it (otherwise it was adopted)."""

    url: str
    pgdata: Path
    socket_directory: Path
    pid: int
    started: bool


@dataclass(slots=True)
class _Use:
    """This process's use of one server; `users` holds the shared lock."""

    info: ServerInfo
    users: IO[bytes]
    owner_pid: int
    process: subprocess.Popen[bytes] | None


_uses: dict[Path, _Use] = {}
_uses_lock = threading.RLock()


def database_url(directory: Path) -> str:
    """The URL of the embedded database of this data directory; starts nothing."""
    socket_directory = quote(str(place(directory.absolute()).socket_directory), safe="")
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={socket_directory}"


def ensure_server(directory: Path) -> ServerInfo:
    """Make sure that the server of this data directory runs, and use it until release_server.

    Idempotent and cheap when the process uses the server already. The use ends with the process.
    Raises EmbeddedPostgresError.
    """
    directory = directory.absolute()
    with _uses_lock:
        use = _uses.get(directory)
        if use is not None and use.owner_pid == os.getpid():
            if is_alive(use.info.pid):
                return use.info
            _forget(directory)
        elif use is not None:  # inherited by a fork: the parent's use is not ours
            _forget(directory)
        placement = place(directory)
        with _exclusive(placement):
            user = server_user(placement)
            process, pid = None, postmaster(placement)
            if pid is None:
                process = start(placement, user)
                pid = process.pid
            users = _open_lock(directory / "postgres.users")
            fcntl.flock(users, fcntl.LOCK_SH)
            _ensure_database(placement)
        info = ServerInfo(
            url=database_url(directory),
            pgdata=placement.pgdata,
            socket_directory=placement.socket_directory,
            pid=pid,
            started=process is not None,
        )
        _uses[directory] = _Use(info, users, os.getpid(), process)
        return info


def release_server(directory: Path) -> bool:
    """End this process's use of the server, and stop it when nobody else uses it.

    Answers whether the server was stopped. Doing it twice, or without a use, does nothing.
    """
    directory = directory.absolute()
    with _uses_lock:
        use = _uses.get(directory)
        if use is None or use.owner_pid != os.getpid():
            return False
        if not directory.is_dir():  # deleted under a running server: nothing of it can be kept
            shut_down(use.info.pid, signal.SIGQUIT)
            _forget(directory)
            return True
        placement = place(directory)
        with _exclusive(placement):
            try:
                # Nobody can come in between: a new use needs the exclusive lock we hold.
                fcntl.flock(use.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            else:
                stop(placement)
                return True
            finally:
                _forget(directory)


def stop_server(directory: Path) -> bool:
    """Stop the server whoever uses it. Answers whether one was running."""
    directory = directory.absolute()
    placement = place(directory)
    with _uses_lock, _exclusive(placement):
        stopped = stop(placement)
        _forget(directory)
        return stopped


def delete_server(directory: Path) -> None:
    """Stop the server and delete its database, wherever that is kept."""
    directory = directory.absolute()
    placement = place(directory)
    stop_server(directory)
    shutil.rmtree(placement.pgdata.parent if placement.sheltered else placement.pgdata)


@atexit.register
def release_all() -> None:
    """End every use of this process; runs at exit."""
    for directory in list(_uses):
        release_server(directory)


def _forget(directory: Path) -> None:
    """Drop this process's record of a use; closing the file gives its shared lock back."""
    use = _uses.pop(directory, None)
    if use is None:
        return
    use.users.close()
    if use.process is not None:
        # It may run on for other users; we are its parent and do not wait for it.
        use.process.returncode = use.process.poll() or 0


@contextlib.contextmanager
def _exclusive(placement: Placement) -> Iterator[None]:
    """Hold the lock under which servers are started and stopped."""
    with _open_lock(placement.directory / "postgres.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_lock(path: Path) -> IO[bytes]:
    """Open a lock file that nobody else can: who holds it decides about the server."""
    file = path.open("ab")
    path.chmod(0o600)
    return file


def _ensure_database(placement: Placement) -> None:
    """Create the database `tidemill` when the server has none yet."""
    with psycopg.connect(
        host=str(placement.socket_directory),
        user=SUPERUSER,
        dbname="postgres",
        autocommit=True,
        connect_timeout=10,
    ) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
        ).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
