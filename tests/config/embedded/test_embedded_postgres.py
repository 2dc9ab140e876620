"""The embedded server: starting, sharing, stopping, and coming back from every kind of kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from config.embedded import postgres_process
from config.embedded.data_directory import PROJECT_DIRECTORY, ensure_data_directory
from config.embedded.postgres import (
    database_url,
    delete_server,
    ensure_server,
    release_server,
    stop_server,
)
from config.embedded.postgres_placement import EmbeddedPostgresError
from config.embedded.postgres_process import is_alive

# Uses the server until a line or the end of standard input comes.
_USER_PROCESS = """
import sys
from pathlib import Path
from config.embedded.postgres import ensure_server
info = ensure_server(Path(sys.argv[1]))
print(info.pid, info.started, flush=True)
sys.stdin.readline()
"""

UserProcess = subprocess.Popen[str]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A data directory that the server's user can reach (pytest's own are private)."""
    parent = Path(tempfile.mkdtemp(prefix="tidemill-test-", dir="/tmp"))
    parent.chmod(0o711)
    directory = ensure_data_directory(parent / "data")
    yield directory
    if directory.exists():
        stop_server(directory)
    shutil.rmtree(parent)


@pytest.fixture
def other_process(directory: Path) -> Iterator[Callable[[], UserProcess]]:
    """Starts a process that uses the server of the directory."""
    started: list[UserProcess] = []

    def start() -> UserProcess:
        process = subprocess.Popen(
            [sys.executable, "-c", _USER_PROCESS, str(directory)],
            cwd=PROJECT_DIRECTORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: UserProcess) -> tuple[int, bool]:
    """The pid of the server that the other process uses, and whether it started it."""
    assert process.stdout is not None
    pid, started = process.stdout.readline().split()
    return int(pid), started == "True"


def finish(process: UserProcess) -> None:
    process.communicate(timeout=60)
    assert process.returncode == 0


def ask(directory: Path, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url(directory), autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def test_the_first_start_makes_a_database_and_the_next_one_finds_it(directory: Path) -> None:
    first = ensure_server(directory)
    ask(directory, "CREATE TABLE kept AS SELECT 7 AS number")
    assert first.started
    assert first.url == database_url(directory)
    assert release_server(directory)
    assert not psutil.pid_exists(first.pid)

    second = ensure_server(directory)
    assert second.pid != first.pid
    assert ask(directory, "SELECT number FROM kept") == [(7,)]


def test_the_server_listens_on_no_port_and_its_socket_is_private(directory: Path) -> None:
    info = ensure_server(directory)
    assert ask(directory, "SHOW listen_addresses") == [("",)]
    assert info.socket_directory.stat().st_mode & 0o077 == 0
    assert [c for c in psutil.Process(info.pid).net_connections("inet") if c.status] == []


def test_commits_are_durable(directory: Path) -> None:
    ensure_server(directory)
    names = ("fsync", "synchronous_commit", "full_page_writes")
    assert [ask(directory, f"SHOW {name}") for name in names] == [[("on",)]] * 3


def test_a_second_use_in_the_same_process_is_the_same_server(directory: Path) -> None:
    assert ensure_server(directory) == ensure_server(directory)


def test_releasing_twice_or_without_a_use_does_nothing(directory: Path) -> None:
    assert not release_server(directory)
    ensure_server(directory)
    assert release_server(directory)
    assert not release_server(directory)


def test_processes_that_start_at_once_share_one_server_and_the_last_one_stops_it(
    directory: Path, other_process: Callable[[], UserProcess]
) -> None:
    processes = [other_process() for _ in range(3)]
    answers = [said(process) for process in processes]
    [pid] = {pid for pid, _ in answers}
    assert sorted(started for _, started in answers) == [False, False, True]
    for process in processes[:2]:
        finish(process)
        assert psutil.pid_exists(pid)
    finish(processes[2])
    assert not psutil.pid_exists(pid)


def test_threads_that_start_at_once_share_one_server(directory: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        infos = set(pool.map(ensure_server, [directory] * 4))
    assert len(infos) == 1


def test_a_server_that_outlived_its_killed_process_is_adopted(
    directory: Path, other_process: Callable[[], UserProcess]
) -> None:
    process = other_process()
    pid, _ = said(process)
    process.kill()
    process.wait()
    info = ensure_server(directory)
    assert (info.pid, info.started) == (pid, False)
    assert release_server(directory)
    assert not psutil.pid_exists(pid)


def test_a_killed_server_comes_back_with_what_was_committed(directory: Path) -> None:
    info = ensure_server(directory)
    ask(directory, "CREATE TABLE kept AS SELECT 7 AS number")
    busy = psycopg.connect(database_url(directory))  # its backend outlives the postmaster
    os.kill(info.pid, signal.SIGKILL)
    while is_alive(info.pid):
        pass

    again = ensure_server(directory)
    assert again.started
    assert again.pid != info.pid
    assert ask(directory, "SELECT number FROM kept") == [(7,)]
    busy.close()


def test_a_pid_file_that_names_another_living_process_is_seen_through(directory: Path) -> None:
    info = ensure_server(directory)
    pid_file = info.pgdata / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    os.kill(info.pid, signal.SIGKILL)
    psutil.Process(info.pid).wait(60)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))

    assert ensure_server(directory).started


def test_a_start_that_was_killed_half_way_leaves_nothing_half_made(directory: Path) -> None:
    half = directory / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    info = ensure_server(directory)
    assert info.started
    assert not half.exists()


def test_a_path_too_long_for_a_socket_has_its_socket_elsewhere(directory: Path) -> None:
    deep = directory / ("long-" * 30)
    deep.mkdir(mode=0o711)
    try:
        info = ensure_server(deep)
        assert ask(deep, "SELECT 1") == [(1,)]
        assert info.socket_directory.parent == Path("/tmp")
        assert info.socket_directory.stat().st_mode & 0o077 == 0
        assert release_server(deep)
        assert not info.socket_directory.exists()
    finally:
        stop_server(deep)


def test_a_database_of_another_version_is_refused(directory: Path) -> None:
    info = ensure_server(directory)
    release_server(directory)
    (info.pgdata / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 17"):
        ensure_server(directory)


def test_a_server_that_cannot_start_says_why(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres_process.SERVER_SETTINGS, "max_connections", "many")
    with pytest.raises(EmbeddedPostgresError, match=r'invalid value .*"max_connections": "many"'):
        ensure_server(directory)


def test_deleting_the_server_deletes_its_files(directory: Path) -> None:
    info = ensure_server(directory)
    delete_server(directory)
    assert not info.pgdata.exists()
    assert not psutil.pid_exists(info.pid)


def test_a_data_directory_deleted_under_its_server_ends_the_server(directory: Path) -> None:
    info = ensure_server(directory)
    shutil.rmtree(directory)
    assert release_server(directory)
    assert not psutil.pid_exists(info.pid)
