"""A worker that has nothing left to start a task with loses it; the task has not failed."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instances.engine.retries import LOST_LIMIT, RetryPolicy, retry_at
from instances.error_codes import ErrorCode
from instances.logs.collecting import LogCollector
from instances.runners.base import Launch, Mode
from instances.runners.running import run_launch
from instances.runners.spawner import client as spawner_client
from instances.runners.spawner.client import SpawnerClient
from instances.worker import process as worker_process
from instances.worker.process import WorkerProcess
from tests.instances.runners.conftest import client  # noqa: F401


def run_true(client: SpawnerClient, folder: Path) -> str | None:  # noqa: F811
    launch = Launch(
        mode=Mode.EXEC, argv=("/bin/true",), environment={}, working_directory=folder / "own"
    )
    collector = LogCollector(lambda sequence, text: None)
    return run_launch(launch, client=client, collector=collector).error_code


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM])
@pytest.mark.parametrize("where", ["spawner.client.os.pipe", "running._make_directory"])
def test_what_the_worker_has_no_means_for_is_its_loss(
    client: SpawnerClient,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    where: str,
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    assert run_true(client, tmp_path) is None
    with monkeypatch.context() as patched:
        patched.setattr(f"instances.runners.{where}", refuse)
        assert run_true(client, tmp_path) == ErrorCode.WORKER_EXHAUSTED
    assert run_true(client, tmp_path) is None


def test_a_loss_uses_up_no_retry_and_waits_a_little() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    policy = RetryPolicy(limit=0, interval=60)

    def again(losses: int) -> datetime | None:
        return retry_at(
            policy,
            error_code=ErrorCode.WORKER_EXHAUSTED,
            retries_so_far=0,
            losses_so_far=losses,
            now=now,
        )

    due = again(0)
    assert due is not None
    assert now < due <= now + timedelta(minutes=1)
    assert again(LOST_LIMIT) is None


@pytest.fixture
def low_limit() -> Iterator[int]:
    """This process may have few files open, and may raise that itself; the limit it may reach."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_may_have_as_many_files_as_the_machine_lets_it(low_limit: int) -> None:
    most = worker_process.raise_open_files()
    assert most == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert most == min(low_limit, worker_process.MOST_FILES)


def test_a_worker_takes_no_more_than_it_has_descriptors_for(
    low_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("guard_memory", "remove_old_scratch"):
        monkeypatch.setattr(worker_process, name, lambda: None)
    monkeypatch.setattr(worker_process, "WARM_MODULES", ())
    monkeypatch.setattr(worker_process, "raise_open_files", lambda: 400)
    for room, had in (1_000, 100), (16, 16):
        with WorkerProcess(room=room) as worker:
            assert worker.crew._room == had
            worker.drain()


def test_a_task_may_open_what_it_could_before_the_worker_raised_its_own_limit(
    client: SpawnerClient,  # noqa: F811
    low_limit: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spawner_client, "_OPEN_FILES", 300)
    written: list[str] = []
    launch = Launch(
        mode=Mode.EXEC,
        argv=("/bin/sh", "-c", "ulimit -n"),
        environment={},
        working_directory=tmp_path,
    )
    collector = LogCollector(lambda sequence, text: written.append(text))
    worker_process.raise_open_files()
    run_launch(launch, client=client, collector=collector)
    assert "".join(written) == "300\n"
