"""What is given back may start elsewhere at once: nothing of it may live here then."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import pytest
from django.db import OperationalError

from instances.runners.spawner.client import SpawnerClient
from instances.worker import process as worker_process
from instances.worker.crew import Crew
from instances.worker.process import WorkerProcess


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """The steps of the end in their order, of a crew whose time has run out."""
    steps = Mock()
    steps.drain.return_value = False
    for name in ("guard_memory", "remove_old_scratch"):
        monkeypatch.setattr(worker_process, name, lambda: None)
    monkeypatch.setattr(worker_process, "WARM_MODULES", ())
    monkeypatch.setattr(worker_process, "release_executions_of", steps.give_back)
    return steps


@pytest.fixture
def worker(steps: Mock, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerProcess]:
    with WorkerProcess(room=1) as worker, monkeypatch.context() as ending:
        ending.setattr(worker, "crew", Mock(Crew, drain=steps.drain))
        ending.setattr(worker, "client", Mock(SpawnerClient, close=steps.kill))
        yield worker


def order(steps: Mock) -> list[str]:
    return [call[0] for call in steps.mock_calls]


def test_a_worker_that_ends_kills_before_it_gives_back(steps: Mock, worker: WorkerProcess) -> None:
    assert worker.end(0.1) is False
    assert order(steps) == ["drain", "kill", "give_back"]


def test_it_kills_though_nothing_can_be_given_back(steps: Mock, worker: WorkerProcess) -> None:
    steps.drain.return_value = True
    steps.give_back.side_effect = OperationalError("the database is away")
    assert worker.end(0.1) is False
    assert order(steps) == ["drain", "kill", "give_back"]


def test_it_kills_though_it_is_told_to_hurry(steps: Mock, worker: WorkerProcess) -> None:
    steps.drain.side_effect = SystemExit
    with pytest.raises(SystemExit):
        worker.end(0.1)
    assert order(steps)[:2] == ["drain", "kill"]


def test_a_drain_that_breaks_kills(steps: Mock, worker: WorkerProcess) -> None:
    steps.drain.side_effect = RuntimeError
    with pytest.raises(RuntimeError):
        worker.drain()
    assert order(steps) == ["drain", "kill"]
