"""`manage.py up` as a person meets it: one process, started and ended again and again."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from config.embedded.data_directory import PROJECT_DIRECTORY
from config.embedded.postgres import database_url, delete_server, place, stop_server
from tests.support.waiting import wait_for

Up = subprocess.Popen[str]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A data directory in a place that every user can reach."""
    parent = Path(tempfile.mkdtemp(prefix="tidemill-test-", dir="/tmp"))
    parent.chmod(0o711)
    directory = parent / "data"
    yield directory
    if directory.exists():
        stop_server(directory)
    shutil.rmtree(parent)


@pytest.fixture(scope="module")
def with_tables() -> Iterator[Path]:
    """A data directory with a database that has its tables, and no server: a first start's work."""
    parent = Path(tempfile.mkdtemp(prefix="tidemill-test-", dir="/tmp"))
    parent.chmod(0o711)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=PROJECT_DIRECTORY,
        env=environment(parent / "data"),
        check=True,
    )
    yield parent / "data"
    delete_server(parent / "data")
    shutil.rmtree(parent)


@pytest.fixture
def settled(with_tables: Path, directory: Path) -> Path:
    """The data directory of an installation that was started before."""
    assert not place(with_tables).sheltered
    subprocess.run(["cp", "-a", with_tables, directory], check=True)
    return directory


@pytest.fixture
def start(directory: Path) -> Iterator[Callable[..., Up]]:
    """Starts `manage.py up` on the data directory and a free port."""
    started: list[Up] = []

    def run(port: int = 0) -> Up:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=PROJECT_DIRECTORY,
            env=environment(directory),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def environment(directory: Path) -> dict[str, str]:
    """Ours, for the embedded default on the data directory."""
    dropped = {"DATABASE_URL", "BROKER_URL", "HOST", "PORT"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "config.settings.development",
        "TIDEMILL_DATA": str(directory),
    }


def greeting(process: Up) -> tuple[str, str]:
    """The address and the line about the login."""
    assert process.stdout is not None
    match = re.match(r"Tidemill is at (\S+) ", process.stdout.readline())
    assert match is not None
    return match[1], process.stdout.readline()


def end(process: Up, number: signal.Signals) -> tuple[str, str]:
    process.send_signal(number)
    output = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


def log_in(address: str, user_name: str, password: str) -> httpx.Response:
    with httpx.Client(base_url=address, follow_redirects=True) as client:
        page = client.get("/admin/login/")
        return client.post(
            page.url,
            data={
                "username": user_name,
                "password": password,
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
            },
            headers={"Referer": str(page.url)},
        )


def test_the_first_start_shows_a_login_that_works_and_later_starts_do_not_show_it(
    start: Callable[..., Up], directory: Path
) -> None:
    first = start()
    address, login = greeting(first)
    match = re.match(r"Log in as (\S+) with the password (\S+) ", login)
    assert match is not None
    user_name, password = match.groups()
    assert "Log out" in log_in(address, user_name, password).text
    assert "Log out" not in log_in(address, user_name, "guess").text

    output, errors = end(first, signal.SIGINT)
    assert "Stopped in" in output
    assert errors == ""
    assert not (place(directory).pgdata / "postmaster.pid").exists()

    second = start()
    address, login = greeting(second)
    assert password not in login
    assert "changepassword admin" in login
    assert "Log out" in log_in(address, user_name, password).text
    end(second, signal.SIGTERM)


@pytest.mark.usefixtures("settled")
def test_pages_come_with_their_style_from_this_server_alone(start: Callable[..., Up]) -> None:
    address, _ = greeting(start())
    page = httpx.get(f"{address}admin/login/")
    [*sheets] = re.findall(r'<link[^>]+href="([^"]+\.css)"', page.text)
    assert sheets
    assert [httpx.get(httpx.URL(address).join(sheet)).status_code for sheet in sheets] == [
        200 for _ in sheets
    ]
    assert not re.search(r'(src|href)="(https?:)?//', page.text)


@pytest.mark.usefixtures("settled")
def test_after_a_kill_the_next_start_goes_on_with_the_running_database(
    start: Callable[..., Up], directory: Path
) -> None:
    first = start()
    greeting(first)
    server = int((place(directory).pgdata / "postmaster.pid").read_text().split()[0])
    first.kill()
    first.wait()
    assert psutil.pid_exists(server)

    second = start()
    greeting(second)
    end(second, signal.SIGTERM)
    assert not psutil.pid_exists(server)


# Makes an instance that writes down its pid and sleeps.
_LONG_TASK = """
import sys
from contextlib import nullcontext
import django
django.setup()
from tests.factories.definitions import make_submitted_task
from tests.support.engine import Engine, new_instance
task = make_submitted_task(code=f"echo $$ >>{sys.argv[1]}; exec sleep 600")
Engine(nullcontext, []).make(new_instance(task))
"""


def executions(directory: Path) -> list[tuple[str, str]]:
    """State and error code of every execution, in their order."""
    with psycopg.connect(database_url(directory)) as connection:
        return connection.execute(
            "SELECT state, error_code FROM instances_execution ORDER BY id"
        ).fetchall()


def wait_for_pid(pids: Path, number: int) -> int:
    """The pid that the task's n-th run wrote down."""
    wait_for(lambda: len(pids.read_text().split()) >= number)
    return int(pids.read_text().split()[number - 1])


@pytest.mark.usefixtures("settled")
def test_running_work_is_ended_with_the_process_and_goes_on_at_the_next_start(
    start: Callable[..., Up], directory: Path
) -> None:
    pids = directory.parent / "pids"  # as root, tasks are users of their own
    pids.touch()
    pids.chmod(0o666)
    command = [sys.executable, "-c", _LONG_TASK, str(pids)]
    subprocess.run(command, cwd=PROJECT_DIRECTORY, env=environment(directory), check=True)

    first = start()
    greeting(first)
    task = wait_for_pid(pids, 1)
    _, errors = end(first, signal.SIGINT)
    assert errors == ""
    assert not psutil.pid_exists(task)

    second = start()
    greeting(second)
    task = wait_for_pid(pids, 2)
    assert executions(directory) == [("LOST", "WORKER_STOPPED"), ("RUNNING", "")]
    second.kill()
    wait_for(lambda: not psutil.pid_exists(task))

    third = start()
    greeting(third)
    wait_for_pid(pids, 3)
    lost = ("LOST", "WORKER_STOPPED")
    assert executions(directory) == [lost, lost, ("RUNNING", "")]
    end(third, signal.SIGTERM)


@pytest.mark.usefixtures("settled")
def test_a_second_ctrl_c_does_not_wait(start: Callable[..., Up]) -> None:
    process = start()
    greeting(process)
    # Nobody reads what it says any more: with its first words about it a stop in order waits for
    # ever, however fast or slow the machine is.
    output = os.open(f"/proc/{process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while os.write(output, b"x" * 512):
            pass
    os.close(output)

    def ended_by_ctrl_c() -> bool:
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    wait_for(ended_by_ctrl_c)
    assert process.returncode == 130


def test_a_port_in_use_ends_the_start_with_one_clear_line(
    start: Callable[..., Up], directory: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = start(port)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output == ""
    [line] = errors.splitlines()
    assert f"127.0.0.1:{port} cannot be used (Address already in use)" in line
    assert not (place(directory).pgdata).exists()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_no_port_is_refused(start: Callable[..., Up], port: int) -> None:
    process = start(port)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"127.0.0.1:{port}" in errors
