"""Tasks with users of their own: all that holds for tasks holds for them, and more is closed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from django.conf import LazySettings

from instances.runners.base import Confinement, ExitStatus, Launch, Limits, Mode
from instances.runners.spawner import client as spawner_client
from instances.runners.spawner import process_tree
from instances.runners.spawner.client import Running, SpawnerClient
from instances.runners.users import FIRST_USER, code_folders, why_not
from tests.instances.runners.processes import unique_seconds, with_argument
from tests.instances.runners.test_spawner_client import _TREE, _spawner_of
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.feature("P5"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not sys.platform.startswith("linux"),
        reason="only root can give tasks users of their own",
    ),
]

USER, NEIGHBOUR = FIRST_USER + 39_999_001, FIRST_USER + 39_999_002
# Leaves its session and its parents, takes off its marks, closes its files, ignores signals.
_DAEMON = """
import os, resource, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for limit in (resource.RLIMIT_RTTIME, 10):
            resource.setrlimit(limit, (0, 0))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.closerange(0, 100)
        os.execve("/bin/sleep", ["sleep", "{0}"], {{}})
    os._exit(0)
time.sleep(0.2)
"""


def confined(**changes: object) -> SpawnerClient:
    values = {
        "users": True,
        "ways": tuple(map(str, code_folders())),
        "memory_bytes": 1 << 30,
        "processes": 40,
        "new_privileges": False,
    }
    return SpawnerClient(Confinement(**{**values, **changes}))


@pytest.fixture
def client() -> Iterator[SpawnerClient]:
    client = confined()
    yield client
    client.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user reaches."""
    with tempfile.TemporaryDirectory(prefix="tidemill-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def start(
    client: SpawnerClient, code: str, user: int | None = USER, limits: Limits | None = None
) -> Running:
    return client.start(
        Launch(
            mode=Mode.EXEC,
            argv=("/bin/sh", "/dev/fd/3"),
            payload=code.encode(),
            environment={"PATH": "/usr/bin:/bin", "MARK": "here"},
            working_directory=Path("/"),
            limits=limits or Limits(),
            user=user,
        )
    )


def start_python(client: SpawnerClient, code: str, user: int | None = USER) -> Running:
    return client.start(
        Launch(
            mode=Mode.CALL,
            target="instances.runners.python.child:main",
            payload=json.dumps({"name": "task", "code": code, "arguments": []}).encode(),
            environment={"PATH": "/usr/bin:/bin"},
            working_directory=Path("/"),
            user=user,
        )
    )


def told(running: Running, exit_code: int | None = 0) -> str:
    """What a task writes until its end."""
    text = b""
    deadline = time.monotonic() + 30
    while (status := running.wait(0.01)) is None:
        assert time.monotonic() < deadline, text
        text += read(running)
    text += read(running)
    assert exit_code is None or status.exit_code == exit_code, (status, text)
    return text.decode()


def read(running: Running) -> bytes:
    try:
        return os.read(running.stdout_fd, 1 << 20)
    except BlockingIOError:
        return b""


def test_a_task_is_its_user_and_nothing_else(client: SpawnerClient) -> None:
    code = "id -u; id -g; id -G; umask; grep -E 'Cap|NoNewPrivs' /proc/self/status"
    with start(client, code) as running:
        user, group, groups, umask, *status = told(running).splitlines()
    assert [user, group, groups, umask] == [str(USER)] * 3 + ["0077"]
    values = dict(line.split(":\t") for line in status)
    assert values.pop("NoNewPrivs") == "1"
    assert set(values.values()) == {"0000000000000000"} and len(values) == 5
    look = "import os; print(os.getresuid(), os.getresgid(), os.getgroups())"
    with start_python(client, look) as running:
        assert told(running) == f"{(USER,) * 3} {(USER,) * 3} []\n"


def test_it_has_its_own_descriptors_environment_and_script_alone(client: SpawnerClient) -> None:
    with start(client, "sleep 1000"), start(client, "ls /proc/self/fd; env") as running:
        words = told(running).split()
    # The fifth is the folder that ls itself opened; PWD is the shell's.
    assert words[:5] == ["0", "1", "2", "3", "4"]
    assert {word for word in words[5:] if not word.startswith("PWD=")} == {
        "PATH=/usr/bin:/bin",
        "MARK=here",
    }
    code = "tr '\\0' ' ' </proc/$$/cmdline; echo not-an-argument"
    with start(client, code) as running:
        assert told(running) == "/bin/sh /dev/fd/3 not-an-argument\n"


def test_it_may_open_its_own_outputs(client: SpawnerClient) -> None:
    with start(client, "echo one >/dev/stdout; echo two >/dev/stderr; cat </dev/stdin") as running:
        assert told(running) == "one\ntwo\n"
    code = "print('one', file=open('/dev/stdout', 'w')); print(open('/dev/fd/0').read() == '')"
    with start_python(client, code) as running:
        assert told(running) == "one\nTrue\n"


def test_why_a_program_does_not_start_is_told(client: SpawnerClient, folder: Path) -> None:
    def status(*argv: str, working_directory: Path = Path("/")) -> ExitStatus | None:
        launch = Launch(
            mode=Mode.EXEC,
            argv=argv,
            environment={},
            working_directory=working_directory,
            user=USER,
        )
        with client.start(launch) as running:
            return running.wait(60)

    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    missing = ExitStatus(start_error="No such file or directory: /no/such/program")
    assert status("/no/such/program") == missing
    relative = ExitStatus(start_error="the program 'sleep' is not an absolute path")
    assert status("sleep") == relative
    denied = ExitStatus(start_error=f"Permission denied: {closed}")
    assert status("/bin/true", working_directory=closed) == denied
    assert status("/bin/true") == ExitStatus(exit_code=0)


@pytest.mark.feature("I4")
def test_everything_of_it_is_gone_at_its_end(client: SpawnerClient) -> None:
    seconds = unique_seconds()
    with start(client, _TREE.format(seconds).replace("wait", "sleep 0.3")) as running:
        assert running.wait(60) == ExitStatus(exit_code=0)
        assert with_argument(seconds) == set()
    with start_python(client, _DAEMON.format(seconds)) as running:
        assert told(running) == ""
    wait_for(lambda: not with_argument(seconds))


@pytest.mark.feature("I4")
def test_everything_of_it_is_gone_when_it_is_killed(client: SpawnerClient) -> None:
    seconds, other = unique_seconds(), unique_seconds()
    stubborn = "trap '' TERM; " + _TREE.format(seconds)
    with start(client, stubborn) as running, start(client, f"sleep {other}") as neighbour:
        wait_for(lambda: len(with_argument(seconds)) == 3 and with_argument(other))
        running.kill(grace=0.1)
        assert running.wait(60) == ExitStatus(signal=signal.SIGKILL)
        assert with_argument(seconds) == set()
        assert neighbour.wait(0) is None


@pytest.mark.parametrize("victims", [("spawner",), ("guardian",), ("guardian", "spawner")])
def test_kill_9_of_its_spawner_leaves_nothing(
    client: SpawnerClient, victims: tuple[str, ...]
) -> None:
    seconds = unique_seconds()
    with start(client, _TREE.format(seconds)) as running:
        wait_for(lambda: len(with_argument(seconds)) == 3)
        guardian = client.spawner_pids()[""]
        pids = {"guardian": guardian, "spawner": _spawner_of(guardian)}
        for victim in victims:
            os.kill(pids[victim], signal.SIGKILL)
        assert running.wait(60) == ExitStatus(lost=True)
        assert with_argument(seconds) == set()


def test_it_can_harm_neither_its_spawner_nor_a_neighbour(client: SpawnerClient) -> None:
    held = "held = 'what-only-i-know'; import time; print('ready', flush=True); time.sleep(600)"
    attack = """
        for pid in {0}; do
            kill -9 $pid && echo "KILLED $pid"
            cat /proc/$pid/environ && echo "READ $pid"
            head -c 1 /proc/$pid/mem && echo "OPENED $pid"
            ls /proc/$pid/fd/ && echo "LISTED $pid"
        done 2>/dev/null
        echo done
    """
    with (
        start(client, "echo $$; exec sleep 600", NEIGHBOUR) as other,
        start_python(client, "import os; print(os.getpid(), flush=True);" + held, USER) as same,
    ):
        wait_for(lambda: other.stdout_fd and client.spawner_pids())
        first, second = _line(other), _line(same)
        guardian = client.spawner_pids()[""]
        pids = [guardian, _spawner_of(guardian), int(first)]
        with start(client, attack.format(" ".join(map(str, pids)))) as running:
            assert told(running) == "done\n"
        # Its own project's, while it runs Python: it may be killed, and not be read.
        without_kill = attack.format(second).replace("kill -9", "false")
        with start(client, without_kill) as running:
            assert told(running) == "done\n"
        assert (other.wait(0), same.wait(0)) == (None, None)


def _line(running: Running) -> str:
    text = b""

    def whole() -> bool:
        nonlocal text
        text += read(running)
        return b"\n" in text

    wait_for(whole)
    return text.split()[0].decode()


def test_memory_is_bounded_for_good(client: SpawnerClient) -> None:
    take = "bytearray(2 << 30)"
    with start_python(client, take) as running:
        assert "MemoryError" in told(running, exit_code=1)
    with start(client, "ulimit -d; ulimit -d unlimited || echo refused") as running:
        lines = told(running, exit_code=None).splitlines()
    assert lines[0] == str(1 << 20)
    assert "unlimited" not in lines
    less = Limits(memory_bytes=200 << 20)
    with start(client, "ulimit -d", limits=less) as running:
        assert told(running) == f"{200 << 10}\n"


def test_a_fork_bomb_ends_at_the_limit_and_harms_nobody_else(client: SpawnerClient) -> None:
    seconds = unique_seconds()
    bomb = f"i=0; while [ $i -lt 100 ]; do sleep {seconds} & i=$((i + 1)); done; wait"
    with start(client, bomb) as running:
        wait_for(lambda: b"fork" in read(running) or running.wait(0) is not None)
        assert len(with_argument(seconds)) <= 40
        with start(client, "echo fine | cat", NEIGHBOUR) as other:
            assert told(other) == "fine\n"
    assert with_argument(seconds) == set()


def test_as_root_without_users_a_task_has_no_capability() -> None:
    client = confined(users=False, ways=())
    try:
        code = "id -u; grep -E 'Cap(Eff|Prm|Bnd)|NoNewPrivs' /proc/self/status"
        with start(client, code, user=None) as running:
            user, *status = told(running).split()
            assert user == "0"
        assert status[1::2] == ["0" * 16] * 3 + ["1"]
        seconds = unique_seconds()
        with start(client, _TREE.format(seconds), user=None) as running:
            wait_for(lambda: len(with_argument(seconds)) == 3)
            running.kill(grace=0)
            assert running.wait(60) == ExitStatus(signal=signal.SIGKILL)
            assert with_argument(seconds) == set()
    finally:
        client.close()


def test_a_closed_folder_opens_for_what_tasks_need_and_for_nobody_else(folder: Path) -> None:
    closed = folder / "closed"
    way = closed / "private" / "way"
    way.mkdir(parents=True)
    (way / "open").write_text("may be read")
    (closed / "beside").write_text("may not")
    closed.chmod(0o700)
    client = confined(ways=(*map(str, code_folders()), str(way)))
    try:
        code = f"cat {way}/open; ls {closed}; cat {closed}/beside || echo; echo x >{closed}/new"
        with start(client, code) as running:
            text = told(running, exit_code=None)
        assert "may be read" in text and "private" in text
        assert "may not" not in text and "beside\n" not in text.splitlines()
        # Out here nothing has changed.
        assert closed.stat().st_mode & 0o777 == 0o700
        assert sorted(path.name for path in closed.iterdir()) == ["beside", "private"]
    finally:
        client.close()


def test_the_code_of_the_product_may_lie_in_a_closed_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    source = closed / "tidemill"
    shutil.copytree(
        Path(spawner_client._SOURCE_ROOT) / "instances",
        source / "instances",
        ignore=shutil.ignore_patterns("__pycache__"),  # others may be writing there
    )
    (source / "secrets").write_text("nobody's business")
    closed.chmod(0o700)
    monkeypatch.setattr(spawner_client, "_SOURCE_ROOT", str(source))
    client = confined(ways=(*map(str, code_folders()), str(source / "instances")))
    try:
        code = f"import os, decimal, http.client; print(os.listdir({str(source)!r}))"
        with start_python(client, code) as running:
            assert told(running) == "['instances']\n"
    finally:
        client.close()


@pytest.fixture
def tried(folder: Path, settings: LazySettings) -> Iterator[Path]:
    """Settings under which users of their own are tried anew; the folder of executions."""
    settings.TASK_USERS, settings.DATA_DIRECTORY = True, folder / "data"
    why_not.cache_clear()
    yield folder / "data" / "work"
    why_not.cache_clear()


def test_a_strict_umask_does_not_close_the_folder_of_executions(tried: Path) -> None:
    before = os.umask(0o077)
    try:
        assert why_not() is None
    finally:
        os.umask(before)
    assert tried.stat().st_mode & 0o777 == 0o711
    assert list(tried.iterdir()) == []


@pytest.mark.parametrize(
    ("capability", "reason"),
    [(0, "trial-"), (5, "what runs as them cannot be killed"), (7, "Operation not permitted")],
    ids=["CHOWN", "KILL", "SETUID"],
)
def test_users_are_not_given_where_their_folders_or_ends_cannot_be(
    tried: Path, capability: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = partial(process_tree.prctl, 24, capability)  # PR_CAPBSET_DROP, undone by nothing
    monkeypatch.setattr("subprocess.run", partial(subprocess.run, preexec_fn=drop))
    said = why_not() or ""
    assert said.startswith("users of their own cannot be used here (") and reason in said
    assert list(tried.iterdir()) == []


def test_a_closed_folder_of_executions_is_told(tried: Path) -> None:
    tried.mkdir(parents=True, mode=0o700)
    assert "Permission denied" in (why_not() or "")
