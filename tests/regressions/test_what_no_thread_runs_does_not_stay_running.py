"""An execution that a crew claims and cannot run is reported or given back; the crew goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError

from instances.engine.completion import Result
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from instances.worker import crew as crew_module
from instances.worker.crew import Crew
from instances.worker.execution import Attempt
from instances.worker.life import Life
from tests.factories import make_submitted_task
from tests.instances.conftest import live_engine, sent  # noqa: F401
from tests.instances.worker.test_crew import QUEUE, instant  # noqa: F401
from tests.support.engine import Engine, new_instance, states_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.usefixtures("instant")


@pytest.fixture
def life() -> Life:
    return Life("host:1:a-life-of-its-own")


@pytest.fixture
def crew(
    live_engine: Engine,  # noqa: F811
    life: Life,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Crew]:
    """A crew that looks often, and ends before its database does."""
    settings.EXHAUSTED_REST_SECONDS = 0.05
    monkeypatch.setattr("instances.engine.retries.EXHAUSTED_WAIT", timedelta(), raising=False)
    monkeypatch.setattr("instances.worker.crew.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("instances.worker.crew.AGAIN_SECONDS", 0.01)
    crew = Crew(life, room=4)
    yield crew
    life.pulse.shutting_down.set()
    assert crew.drain(timeout=60)


def make(engine: Engine, number: int) -> list[Instance]:
    task = make_submitted_task()
    return engine.make(*[new_instance(task, day=day) for day in range(number)])


def test_what_cannot_be_handed_on_is_lost_at_once_and_runs_when_there_is_memory_again(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest, scarce = crew._hands.submit, threading.Event()
    scarce.set()

    def submit(job: Callable[[], object]) -> None:
        if scarce.is_set():
            raise MemoryError("no room in the queue")
        honest(job)

    monkeypatch.setattr(crew._hands, "submit", submit)
    instances = make(live_engine, 4)
    crew.serve([QUEUE])
    wait_for(lambda: Execution.objects.filter(error_code="WORKER_EXHAUSTED").count() >= 4)
    scarce.clear()
    wait_for(lambda: set(states_of(instances)) == {State.SUCCESS})
    lost = Execution.objects.filter(error_code="WORKER_EXHAUSTED")
    assert set(lost.values_list("state", flat=True)) == {ExecutionState.LOST}
    assert "no room in the queue" in lost[0].error_message
    assert set(Instance.objects.values_list("retry_count", flat=True)) == {0}


def test_a_crew_without_memory_leaves_the_work_to_others_for_a_while(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.EXHAUSTED_REST_SECONDS = 3600.0
    honest, looks = crew._take, iter(range(10**6))

    def take() -> None:
        honest()
        next(looks)

    monkeypatch.setattr(crew, "_take", take)
    monkeypatch.setattr(crew._hands, "submit", _no_memory)
    make(live_engine, 4)
    crew.serve([QUEUE])
    wait_for(lambda: Execution.objects.filter(error_code="WORKER_EXHAUSTED").count() == 4)
    before = next(looks)
    wait_for(lambda: next(looks) > before + 50)
    assert Execution.objects.filter(state=ExecutionState.LOST).count() == 4


def _no_memory(*_: Any) -> None:
    raise MemoryError("no room in the queue")


def test_what_could_not_be_watched_is_not_kept(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    life: Life,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest, failures = life.pulse.watch, iter([True])

    def watch(*given: Any, **named: Any) -> None:
        honest(*given, **named)
        if next(failures, False):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(life.pulse, "watch", watch)
    instances = make(live_engine, 2)
    crew.serve([QUEUE])
    wait_for(lambda: set(states_of(instances)) == {State.SUCCESS})
    assert Execution.objects.filter(error_code="WORKER_EXHAUSTED").count() == 2


def test_rows_that_vanish_between_claim_and_start_take_no_place(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    life: Life,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = crew_module.begin
    gone, kept = make(live_engine, 2)

    def begin(ids: list[int], **named: Any) -> list[Attempt]:
        Instance.objects.filter(pk=gone.pk).delete()
        return honest(ids, **named)

    monkeypatch.setattr(crew_module, "begin", begin)
    crew.serve([QUEUE])
    wait_for(lambda: states_of([kept]) == [State.SUCCESS])
    assert crew.drain(timeout=60)
    assert (crew._running, life.pulse._stops, life.pulse._leases) == (set(), {}, {})


def test_what_was_claimed_is_given_back_when_the_worker_ends_before_it_could_begin(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    life: Life,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = threading.Event()

    def begin(ids: list[int], **named: Any) -> list[Attempt]:
        tried.set()
        raise OperationalError("the database is away")

    monkeypatch.setattr(crew_module, "begin", begin)
    instances = make(live_engine, 2)
    crew.serve([QUEUE])
    assert tried.wait(60)
    life.pulse.shutting_down.set()
    assert crew.drain(timeout=60)
    assert states_of(instances) == [State.WAITING_EXECUTION] * 2
    given_back = Execution.objects.filter(error_code="WORKER_STOPPED")
    assert given_back.count() == 2


def test_a_drain_ends_though_the_database_never_comes_back(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.EXECUTION_LEASE_SECONDS = 0.2
    tried = threading.Event()

    def complete(results: list[Result], **named: Any) -> list[int]:
        tried.set()
        raise OperationalError("the database is away")

    monkeypatch.setattr(crew_module, "complete", complete)
    make(live_engine, 2)
    crew.serve([QUEUE])
    assert tried.wait(60)
    assert crew.drain(timeout=60)


def test_an_end_comes_in_when_there_is_memory_for_it(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Scarce:
        """An inbox that has no room for the first results."""

        def __init__(self) -> None:
            self.honest, self.refused = crew._inbox, 0

        def put(self, result: Result | None) -> None:
            if result is not None and self.refused < 5:
                self.refused += 1
                raise MemoryError
            self.honest.put(result)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.honest, name)

    inbox = Scarce()
    monkeypatch.setattr(crew, "_inbox", inbox)
    monkeypatch.setattr("projects.ground.threads.AGAIN_SECONDS", 0.01)
    instances = make(live_engine, 2)
    crew.serve([QUEUE])
    wait_for(lambda: set(states_of(instances)) == {State.SUCCESS})
    assert inbox.refused == 5
