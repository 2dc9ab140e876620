"""Whoever is killed with -9: nothing of a task is left."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from instances.runners.base import ExitStatus, Launch, Limits, Mode
from instances.runners.spawner import client as spawner_client
from instances.runners.spawner import process_tree
from instances.runners.spawner.client import SpawnerClient, SpawnerUnavailable
from tests.instances.runners.processes import unique_seconds, with_argument
from tests.support.waiting import takes_less_than, wait_for

_ROOT = Path(__file__).resolve().parents[3]
# In the group, in a session of its own, and without environment: two processes each.
_TREE = "sleep {0} & setsid sh -c 'sleep {0}; :' & env -i setsid sh -c 'sleep {0}; :' & wait"
_WORKER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from instances.runners.base import Launch, Mode
from instances.runners.spawner.client import SpawnerClient
client = SpawnerClient()
for code in sys.argv[2:]:
    client.start(Launch(
        mode=Mode.EXEC, argv=("/bin/sh", "/dev/fd/3"), payload=code.encode(),
        environment={"PATH": "/usr/bin:/bin"}, working_directory=Path("/")))
client.start(Launch(
    mode=Mode.CALL, target="time:sleep", payload=b"", environment={}, working_directory=Path("/")))
print(*client.spawner_pids().values(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def own_client() -> Iterator[SpawnerClient]:
    client = SpawnerClient()
    yield client
    client.close()


def _start(
    client: SpawnerClient, code: str, limits: Limits | None = None, *, lease_until: float = 0
) -> spawner_client.Running:
    return client.start(
        Launch(
            mode=Mode.EXEC,
            argv=("/bin/sh", "/dev/fd/3"),
            payload=code.encode(),
            environment={"PATH": "/usr/bin:/bin"},
            working_directory=Path("/"),
            limits=limits or Limits(),
        ),
        lease_until=lease_until,
    )


def _spawner_of(guardian: int) -> int:
    path = Path(f"/proc/{guardian}/task/{guardian}/children")
    wait_for(path.read_text)
    return int(path.read_text().split()[0])


@pytest.mark.feature("I4")
def test_kill_9_of_a_worker_leaves_nothing() -> None:
    seconds = unique_seconds()
    with _worker(_TREE.format(seconds), "trap '' TERM; " + _TREE.format(seconds)) as worker:
        assert worker.stdout is not None
        guardians = [int(pid) for pid in worker.stdout.readline().split()]
        wait_for(lambda: len(with_argument(seconds)) == 6)
        worker.kill()
        wait_for(lambda: not with_argument(seconds))
        wait_for(lambda: not any(_runs(pid) for pid in guardians))


@pytest.mark.feature("I4")
def test_kill_9_of_a_worker_and_everything_below_it_leaves_nothing() -> None:
    seconds = unique_seconds()
    with _worker(_TREE.format(seconds)) as worker:
        assert worker.stdout is not None
        guardians = [int(pid) for pid in worker.stdout.readline().split()]
        wait_for(lambda: len(with_argument(seconds)) == 3)
        for pid in (worker.pid, *guardians):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not with_argument(seconds))


def _worker(*codes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(_ROOT), *codes],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _runs(pid: int) -> bool:
    process = process_tree.read_process(pid)
    return process is not None and process.state != "Z"


def test_a_task_is_killed_before_its_lease_ends_unless_that_is_renewed(
    own_client: SpawnerClient,
) -> None:
    own_client.warm_up()

    def lose_one() -> float:
        began, seconds = time.time(), unique_seconds()
        with (
            _start(own_client, _TREE.format(seconds), lease_until=began + 2) as left_alone,
            _start(own_client, "sleep 3", lease_until=began + 2) as renewed,
            _start(own_client, "sleep 3") as without,
        ):
            renewed.renew(time.time() + 60)
            assert left_alone.wait(60) == ExitStatus(lost=True)
            took = time.time() - began
            assert not with_argument(seconds)
            assert renewed.wait(60) == without.wait(60) == ExitStatus(exit_code=0)
        return took

    assert takes_less_than(2, lose_one)


def test_a_task_whose_lease_has_ended_does_not_run(own_client: SpawnerClient) -> None:
    with _start(own_client, "sleep 10", lease_until=time.time() - 1) as running:
        assert running.wait(60) == ExitStatus(lost=True)


@pytest.mark.parametrize("victims", [("spawner",), ("guardian",), ("guardian", "spawner")])
def test_kill_9_of_a_spawner_leaves_nothing_and_reports_its_tasks_lost(
    own_client: SpawnerClient, victims: tuple[str, ...]
) -> None:
    seconds = unique_seconds()
    with _start(own_client, _TREE.format(seconds)) as running:
        wait_for(lambda: len(with_argument(seconds)) == 3)
        guardian = own_client.spawner_pids()[""]
        pids = {"guardian": guardian, "spawner": _spawner_of(guardian)}
        for victim in victims:
            os.kill(pids[victim], signal.SIGKILL)
        assert running.wait(60) == ExitStatus(lost=True)
        # Dead before it is reported, not soon after.
        assert with_argument(seconds) == set()
    # The next start has a new spawner.
    with _start(own_client, "exit 7") as running:
        assert running.wait(60) == ExitStatus(exit_code=7)
    assert own_client.spawner_pids()[""] != guardian


def test_closing_the_client_kills_what_runs(own_client: SpawnerClient) -> None:
    seconds = unique_seconds()
    running = _start(own_client, _TREE.format(seconds))
    wait_for(lambda: len(with_argument(seconds)) == 3)
    own_client.close()
    assert with_argument(seconds) == set()
    assert running.wait(60) == ExitStatus(lost=True)
    running.close()
    with pytest.raises(SpawnerUnavailable):
        _start(own_client, "true")


def test_letting_go_of_a_running_process_kills_it(own_client: SpawnerClient) -> None:
    seconds = unique_seconds()
    with _start(own_client, _TREE.format(seconds)):
        wait_for(lambda: len(with_argument(seconds)) == 3)
    wait_for(lambda: not with_argument(seconds))


def test_a_task_kills_only_its_own_processes(own_client: SpawnerClient) -> None:
    first, second = unique_seconds(), unique_seconds()
    with (
        _start(own_client, _TREE.format(first)) as one,
        _start(own_client, _TREE.format(second)) as other,
    ):
        wait_for(lambda: len(with_argument(first) | with_argument(second)) == 6)
        one.kill(grace=0)
        assert one.wait(60) == ExitStatus(signal=signal.SIGKILL)
        assert with_argument(first) == set()
        assert len(with_argument(second)) == 3
        assert other.wait(0) is None


def test_a_fork_has_no_spawner_of_its_parents(own_client: SpawnerClient) -> None:
    own_client.warm_up()
    pid = os.fork()
    if pid == 0:
        inherited = own_client.spawner_pids()
        with _start(own_client, "exit 5") as running:
            status = running.wait(60)
        own_client.close()
        os._exit(0 if not inherited and status == ExitStatus(exit_code=5) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    # The parent's spawner has not noticed anything.
    with _start(own_client, "exit 6") as running:
        assert running.wait(60) == ExitStatus(exit_code=6)


def test_a_task_has_no_descriptor_but_its_own(own_client: SpawnerClient) -> None:
    with _start(own_client, "sleep 1000"), _start(own_client, "ls /proc/self/fd") as running:
        assert running.wait(60) == ExitStatus(exit_code=0)
        # Its input, outputs and script; the last is the folder that ls itself opened.
        assert os.read(running.stdout_fd, 1000).split() == [b"0", b"1", b"2", b"3", b"4"]


def test_a_target_that_cannot_be_imported_fails_its_task_only(own_client: SpawnerClient) -> None:
    launch = Launch(
        mode=Mode.CALL, target="no_such_module:main", environment={}, working_directory=Path("/")
    )
    for _ in range(2):
        with own_client.start(launch) as running:
            assert running.wait(60) == ExitStatus(exit_code=70)
            assert b"No module named 'no_such_module'" in os.read(running.stdout_fd, 10_000)


def test_a_task_may_have_fewer_descriptors_than_the_spawner_uses(
    own_client: SpawnerClient,
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(_start(own_client, "sleep 1000"))
        few = stack.enter_context(_start(own_client, "ulimit -n", Limits(open_files=20)))
        assert few.wait(60) == ExitStatus(exit_code=0)
        assert os.read(few.stdout_fd, 100) == b"20\n"


def test_a_spawner_without_free_descriptors_refuses_a_start_and_lives_on(
    own_client: SpawnerClient,
) -> None:
    own_client.warm_up()
    spawner = _spawner_of(own_client.spawner_pids()[""])
    with _start(own_client, "true") as running:
        running.wait(60)  # it is up, and has raised its own limit
    _, hard = resource.prlimit(spawner, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{spawner}/fd").iterdir()))
    resource.prlimit(spawner, resource.RLIMIT_NOFILE, (used + 3, hard))
    with _start(own_client, "true") as running:
        refused = ExitStatus(start_error="Too many open files", exhausted=True)
        assert running.wait(60) == refused
    resource.prlimit(spawner, resource.RLIMIT_NOFILE, (hard, hard))
    with _start(own_client, "exit 4") as running:
        assert running.wait(60) == ExitStatus(exit_code=4)
