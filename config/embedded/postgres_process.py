"""The process of the embedded PostgreSQL: created, started, found and stopped.

Who may do this when is decided in `embedded_postgres`, which calls everything here under its lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from config.embedded.postgres_placement import (
    POSTGRES_MAJOR,
    EmbeddedPostgresError,
    Placement,
    ServerUser,
    make_private_directory,
    make_shelter,
    programs,
)

SUPERUSER = "postgres"
START_TIMEOUT_SECONDS = 120.0  # crash recovery may have a lot to replay
STOP_TIMEOUT_SECONDS = 30.0
LOG_LIMIT_BYTES = 10 * 1024 * 1024
POLL_SECONDS = 0.01

# Given on the command line, so that a later version changes them for databases that exist.
# fsync, synchronous_commit and full_page_writes keep their safe defaults.
SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def start(placement: Placement, user: ServerUser) -> subprocess.Popen[bytes]:
    """Start the server, creating the database files first when there are none."""
    binaries = programs(user)
    if not (placement.pgdata / "PG_VERSION").exists():
        _create_files(placement, user, binaries)
    _check_version(placement)
    _clear_stale_server(placement)
    if placement.socket_directory != placement.pgdata:
        make_private_directory(placement.socket_directory, user)
    settings = SERVER_SETTINGS | {"unix_socket_directories": str(placement.socket_directory)}
    log_path = _log_path(placement)
    command = [str(binaries / "postgres"), "-D", str(placement.pgdata)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with log_path.open("ab") as log:
        # A session of its own: Ctrl-C in a terminal is for Tidemill, which stops its server last.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            user=user.uid,
            group=user.gid,
            extra_groups=None if user.uid is None else [],
            umask=0o077,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while (lines := _pid_file(placement)) is None or not (
        lines[0] == str(process.pid) and lines[-1].strip() == "ready"
    ):
        if process.poll() is not None:
            raise EmbeddedPostgresError(
                f"PostgreSQL did not start; the end of {log_path}:\n{_tail(log_path)}"
            )
        if time.monotonic() > deadline:
            process.send_signal(signal.SIGQUIT)
            process.wait()
            raise EmbeddedPostgresError(
                f"PostgreSQL was not ready after {START_TIMEOUT_SECONDS:.0f} s; "
                f"the end of {log_path}:\n{_tail(log_path)}"
            )
        time.sleep(POLL_SECONDS)
    return process


def _create_files(placement: Placement, user: ServerUser, binaries: Path) -> None:
    """Run initdb beside the final place and rename: a kill half way leaves nothing half made."""
    if placement.sheltered:
        make_shelter()
        if not placement.pgdata.parent.is_dir():
            placement.pgdata.parent.mkdir(mode=0o711)
            placement.pgdata.parent.chmod(0o711)
        origin = placement.pgdata.parent / "origin"
        origin.write_text(f"{placement.directory}\n", encoding="utf-8")
    scratch = placement.pgdata.with_name("postgres.new")
    if scratch.exists():
        shutil.rmtree(scratch)
    make_private_directory(scratch, user)
    command = [
        str(binaries / "initdb"),
        f"--pgdata={scratch}",
        f"--username={SUPERUSER}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    ]
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        cwd="/",
        env=_environment(),
        user=user.uid,
        group=user.gid,
        extra_groups=None if user.uid is None else [],
    )
    if result.returncode != 0:
        detail = (result.stderr or result.stdout).decode(errors="replace").strip()
        raise EmbeddedPostgresError(f"The database cannot be created (initdb): {detail}")
    if placement.pgdata.exists():  # left empty by something else: initdb made nothing here
        placement.pgdata.rmdir()
    scratch.rename(placement.pgdata)


def _check_version(placement: Placement) -> None:
    found = (placement.pgdata / "PG_VERSION").read_text(encoding="utf-8").strip()
    if found != str(POSTGRES_MAJOR):
        raise EmbeddedPostgresError(
            f"The database in {placement.pgdata} was made by PostgreSQL {found}, this is "
            f"{POSTGRES_MAJOR}: dump it with the old version and load it into a new directory."
        )


def _clear_stale_server(placement: Placement) -> None:
    """Clear what a killed server left: its backends first, then a pid file that would mislead.

    PostgreSQL recovers from a stale pid file by itself, with two exceptions that end in a refusal:
    backends that have not noticed yet that their postmaster died, and a pid that now belongs to
    another process. We are called when no postmaster of ours is alive, under the lock.
    """
    lines = _pid_file(placement)
    if lines is None:
        return
    orphans = _processes_in(placement.pgdata)
    for process in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)  # as a postmaster does before crash recovery
    _, alive = psutil.wait_procs(orphans, timeout=5)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    (placement.pgdata / "postmaster.pid").unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether the process exists and has not ended; a zombie has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def postmaster(placement: Placement) -> int | None:
    """The pid of the running server of this placement, or None.

    The pid file alone does not tell: after a kill its number may belong to any other process.
    """
    lines = _pid_file(placement)
    if lines is None or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    try:
        arguments = psutil.Process(pid).cmdline()
    except psutil.Error:
        return None
    if not arguments or Path(arguments[0]).name != "postgres":
        return None
    return pid if str(placement.pgdata) in arguments else None


def stop(placement: Placement) -> bool:
    """Stop the server of this placement, if one runs; its socket folder goes with it."""
    pid = postmaster(placement)
    if pid is not None:
        shut_down(pid, signal.SIGINT)
    if placement.socket_directory != placement.pgdata:
        shutil.rmtree(placement.socket_directory, ignore_errors=True)
    return pid is not None


def shut_down(pid: int, first: signal.Signals) -> None:
    """Ask the postmaster to stop (SIGINT: clients are cut off, everything is flushed), insist."""
    for number in (first, signal.SIGQUIT, signal.SIGKILL):
        try:
            process = psutil.Process(pid)
            process.send_signal(number)
            process.wait(timeout=STOP_TIMEOUT_SECONDS)
        except psutil.TimeoutExpired:
            continue
        except psutil.NoSuchProcess:
            return
        return


def _processes_in(pgdata: Path) -> list[psutil.Process]:
    """The PostgreSQL processes that work in this directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cwd() == str(pgdata):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _pid_file(placement: Placement) -> list[str] | None:
    try:
        text = (placement.pgdata / "postmaster.pid").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return text.splitlines() or [""]


def _log_path(placement: Placement) -> Path:
    """The server's log in the data directory; a long one is set aside at start, one is kept."""
    path = placement.directory / "postgres.log"
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name("postgres.log.1"))
    path.touch(mode=0o600)
    return path


def _tail(path: Path, characters: int = 2000) -> str:
    return path.read_text(encoding="utf-8", errors="replace")[-characters:].strip()


def _environment() -> dict[str, str]:
    """A clean environment: PG* variables of ours would change what the server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
