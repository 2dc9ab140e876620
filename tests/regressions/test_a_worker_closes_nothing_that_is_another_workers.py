"""A failover that loses a claim gives an execution to a second worker: the first one is out."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from instances.engine.completion import Result, complete
from instances.logs.reading import read_log
from instances.logs.writing import store_chunks
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from instances.worker import crew as crew_module
from instances.worker.crew import Crew
from instances.worker.execution import Attempt, begin
from instances.worker.life import Life
from instances.worker.pulse import Stop
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.instances.conftest import engine, live_engine, sent  # noqa: F401
from tests.instances.worker.test_crew import QUEUE
from tests.support.engine import Engine, new_instance, state_of
from tests.support.waiting import wait_for


def lose_the_claim(instance: Instance) -> None:
    """Put the rows back to where they were before the claim, as a replica may have them."""
    Execution.objects.filter(instance=instance).update(
        state=ExecutionState.SENT, worker="", started_at=None, lease_until=None
    )
    Instance.objects.filter(pk=instance.pk).update(
        state=State.WAITING_EXECUTION, started_at=None, total_runs=0
    )


@pytest.fixture
def taken_over(engine: Engine) -> tuple[Instance, int]:  # noqa: F811
    """An instance that the second worker runs, and the execution that the first one still has."""
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution = engine.start(instance, worker="first")
    lose_the_claim(instance)
    assert engine.start(instance, worker="second") == execution
    assert execution is not None
    return instance, execution


def test_a_result_counts_for_who_holds_the_execution_only(
    engine: Engine,  # noqa: F811
    taken_over: tuple[Instance, int],
) -> None:
    instance, execution = taken_over
    late = Result(execution, log=((0, "of the first\n"),))
    with engine.committing():
        assert complete([late], now=clock.now(), worker="first") == []
    assert state_of(instance) == State.RUNNING
    assert read_log(execution).text == ""
    with engine.committing():
        assert complete([Result(execution)], now=clock.now(), worker="second") == [execution]
    assert state_of(instance) == State.SUCCESS


def test_neither_log_nor_code_is_written_by_another_worker(
    taken_over: tuple[Instance, int],
) -> None:
    _, execution = taken_over
    assert store_chunks([(execution, 0, "of the first\n")], worker="first") == set()
    assert store_chunks([(execution, 0, "of the second\n")], worker="second") == {execution}
    assert read_log(execution).text == "of the second\n"
    begin([execution], worker="first")
    assert Execution.objects.get(pk=execution).code == ""
    begin([execution], worker="second")
    assert Execution.objects.get(pk=execution).code != ""


def test_every_life_of_a_process_has_a_name_of_its_own() -> None:
    assert Life().name != Life().name


@pytest.fixture
def first_crew(
    live_engine: Engine,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Crew]:
    crew = Crew(Life("first"), room=1)
    yield crew
    assert crew.drain(timeout=60)


def test_an_end_is_not_reported_by_who_was_shut_out_meanwhile(
    live_engine: Engine,  # noqa: F811
    first_crew: Crew,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[Result] = []
    go_on = threading.Event()

    def run(attempt: Attempt, life: Life) -> Result:
        wait_for(lambda: life.pulse.stop_of(attempt.execution_id) is Stop.FENCED)
        go_on.wait(60)
        return Result(attempt.execution_id, "TERMINATED")

    monkeypatch.setattr(crew_module, "run", run)
    honest = crew_module.complete

    def watched(results: list[Result], **named: object) -> list[int]:
        reported.extend(results)
        return honest(results, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(crew_module, "complete", watched)
    (instance,) = live_engine.make(new_instance(make_submitted_task()))
    first_crew.serve([QUEUE])
    wait_for(lambda: state_of(instance) == State.RUNNING)
    Execution.objects.filter(instance=instance).update(worker="second")
    go_on.set()
    assert first_crew.drain(timeout=60)
    assert reported == []
    assert state_of(instance) == State.RUNNING
