"""A daemon that takes off the marks of its task goes all the same, and takes nobody with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from instances.runners.base import ExitStatus, Launch, Mode
from instances.runners.spawner.client import Running, SpawnerClient
from tests.instances.runners.processes import unique_seconds, with_argument
from tests.support.waiting import wait_for

# Its limits, its parents, its session: all that tells whose it is.
_DAEMON = """
import os, resource, sys
for limit in map(int, sys.argv[2].split(",")):
    resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.execv("/bin/sleep", ["sleep", sys.argv[1]])
    os._exit(0)
os.wait()
"""
_RTTIME, _LOCKS = "15", "10"

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux keeps the orphans of a task together"
)


@pytest.fixture
def own_client() -> Iterator[SpawnerClient]:
    client = SpawnerClient()
    yield client
    client.close()


def start(client: SpawnerClient, code: str, *arguments: str) -> Running:
    return client.start(
        Launch(
            mode=Mode.EXEC,
            argv=("/bin/sh", "/dev/fd/3", *arguments),
            payload=code.encode(),
            environment={"PATH": "/usr/bin:/bin"},
            working_directory=Path("/"),
        )
    )


def daemonise(client: SpawnerClient, seconds: str, limits: str, end: Path) -> Running:
    """Start a task that leaves a daemon, and ends when there is a file `end`."""
    code = f'{sys.executable} -c "$1" {seconds} {limits}\nuntil [ -e {end} ]; do sleep 0.02; done'
    return start(client, code, _DAEMON)


def test_one_that_resets_its_real_time_limit_goes_with_its_task(
    own_client: SpawnerClient, tmp_path: Path
) -> None:
    seconds, other = unique_seconds(), unique_seconds()
    with (
        start(own_client, f"exec sleep {other}") as beside,
        daemonise(own_client, seconds, _RTTIME, tmp_path / "end") as running,
    ):
        wait_for(lambda: with_argument(seconds) and with_argument(other))
        (tmp_path / "end").touch()
        assert running.wait(60) == ExitStatus(exit_code=0)
        # Dead before the end is told, and the neighbour is alive.
        assert with_argument(seconds) == set()
        assert with_argument(other) != set()
        assert beside.wait(0) is None


def test_one_that_resets_all_limits_goes_with_the_last_task_that_it_can_be_of(
    own_client: SpawnerClient, tmp_path: Path
) -> None:
    seconds, later = unique_seconds(), unique_seconds()
    limits = f"{_RTTIME},{_LOCKS}"
    with (
        start(own_client, f"until [ -e {tmp_path}/end-beside ]; do sleep 0.02; done") as beside,
        daemonise(own_client, seconds, limits, tmp_path / "end") as running,
    ):
        wait_for(lambda: with_argument(seconds))
        (tmp_path / "end").touch()
        assert running.wait(60) == ExitStatus(exit_code=0)
        with start(own_client, f"exec sleep {later}") as after:
            wait_for(lambda: with_argument(later))
            # Whose it is nobody can tell: it may be the neighbour's, which must not lose it.
            assert with_argument(seconds) != set()
            (tmp_path / "end-beside").touch()
            assert beside.wait(60) == ExitStatus(exit_code=0)
            assert with_argument(seconds) == set()
            assert after.wait(0) is None
