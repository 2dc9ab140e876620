"""The crew: many executions of one process, claimed and reported together."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.conf import LazySettings
from django.db import DataError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from instances.engine import announcing
from instances.engine.completion import Result
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from instances.tasks import run_execution
from instances.worker import crew as crew_module
from instances.worker import execution
from instances.worker.crew import Crew
from instances.worker.execution import Attempt
from instances.worker.life import Life
from tests.factories import make_resource_group, make_submitted_task, make_submitted_tasks
from tests.support.engine import Engine, new_instance, states_of
from tests.support.waiting import wait_for
from workflows.models import Task

QUEUE = "tidemill.group.default"


@pytest.fixture(autouse=True)
def work_directory(tmp_path: Path, settings: LazySettings) -> None:
    settings.DATA_DIRECTORY = tmp_path


@pytest.fixture
def life() -> Iterator[Life]:
    with Life() as life:
        yield life


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Executions that take no time and no process."""
    monkeypatch.setattr(
        "instances.worker.crew.run", lambda attempt, life: Result(attempt.execution_id)
    )


def test_it_claims_no_more_than_it_has_room_for(
    live_engine: Engine, instant: None, life: Life
) -> None:
    group = make_resource_group(slots=10)
    task = make_submitted_task(resource_group=group.name)
    live_engine.make(*[new_instance(task, day=day) for day in range(10)])
    held: list[int] = []

    class Watching(Crew):
        def _report(self, results: list[Result]) -> None:
            held.append(Execution.objects.filter(state=ExecutionState.RUNNING).count())
            super()._report(results)

    Watching(life, room=3).work(group.queue)
    assert max(held) == 3
    assert not Instance.objects.exclude(state=State.SUCCESS).exists()


def make_chain(**fields: Any) -> tuple[Task, Task]:
    tasks = make_submitted_tasks({"up": fields, "down": {**fields, "depends_on": ["up"]}})
    return tasks["up"], tasks["down"]


def test_it_goes_on_through_a_chain_without_a_message(
    live_engine: Engine, instant: None, sent: list[int], monkeypatch: pytest.MonkeyPatch, life: Life
) -> None:
    published: list[int] = []
    monkeypatch.setattr("instances.engine.dispatch.announce", announcing.announce)
    monkeypatch.setattr(
        "instances.engine.announcing.current_app.send_task",
        lambda name, arguments, **options: published.append(arguments[0]),
    )
    names = [f"t{number}" for number in range(5)]
    tasks = make_submitted_tasks(
        {name: {"depends_on": names[i - 1 : i] if i else []} for i, name in enumerate(names)}
    )
    chain = live_engine.make(
        *[
            new_instance(tasks[name], waits_for=[(tasks[names[i - 1]], 0)] if i else [])
            for i, name in enumerate(names)
        ]
    )
    first = list(published)
    Crew(life, room=2).work(QUEUE)
    assert set(states_of(chain)) == {State.SUCCESS}
    assert len(first) == 1
    assert published == first


def test_what_its_reports_make_ready_is_claimed_with_them(
    live_engine: Engine, instant: None, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims: list[list[int]] = []

    def claim(*arguments: Any, **options: Any) -> list[int]:
        claims.append(execution.claim(*arguments, **options))
        return claims[-1]

    monkeypatch.setattr("instances.worker.crew.claim", claim)
    up, down = make_chain()
    chain = live_engine.make(new_instance(up), new_instance(down, waits_for=[(up, 0)]))
    Crew(life, room=2).work(QUEUE)
    assert states_of(chain) == [State.SUCCESS, State.SUCCESS]
    # One for what had been sent, one that found nothing at the end.
    assert [len(ids) for ids in claims] == [1, 0]


def test_a_chain_leaves_room_for_what_was_sent_before_it(
    live_engine: Engine, instant: None, life: Life
) -> None:
    """One that is full hears no message: what waits elsewhere must not wait for the chain's end."""
    mine, other = make_resource_group(), make_resource_group()
    up, down = make_chain(resource_group=mine.name)
    ended: list[int] = []

    class Watching(Crew):
        def _report(self, results: list[Result]) -> None:
            ended.extend(
                Execution.objects.get(pk=one.execution_id).instance.task_id for one in results
            )
            super()._report(results)

    live_engine.make(new_instance(up), new_instance(down, waits_for=[(up, 0)]))
    waiting = make_submitted_task(resource_group=other.name)
    live_engine.make(new_instance(waiting))
    crew = Watching(life, room=1)
    crew.queues.add(other.queue)
    crew.work(mine.queue)
    assert ended == [up.pk, waiting.pk, down.pk]


def test_what_it_has_room_for_needs_no_message_in_a_full_group_either(
    live_engine: Engine, instant: None, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[int] = []
    monkeypatch.setattr("instances.engine.dispatch.announce", announcing.announce)
    monkeypatch.setattr(
        "instances.engine.announcing.current_app.send_task",
        lambda name, arguments, **options: published.append(arguments[0]),
    )
    mine, full = make_resource_group(), make_resource_group(slots=1)
    up, down = make_chain(resource_group=mine.name)
    backlog = make_submitted_task(resource_group=full.name)
    instances = live_engine.make(
        new_instance(up),
        new_instance(down, waits_for=[(up, 0)]),
        *[new_instance(backlog, day=day) for day in range(3)],
    )
    first = list(published)
    crew = Crew(life, room=4)
    crew.queues.add(full.queue)
    crew.work(mine.queue)
    assert set(states_of(instances)) == {State.SUCCESS}
    assert len(first) == 2
    assert published == first


def test_it_leaves_the_work_of_other_groups_alone(
    live_engine: Engine, instant: None, life: Life
) -> None:
    mine, other = make_resource_group(), make_resource_group()
    tasks = [make_submitted_task(resource_group=group.name) for group in (mine, other)]
    instances = live_engine.make(*[new_instance(task) for task in tasks])
    Crew(life, room=4).work(mine.queue)
    assert states_of(instances) == [State.SUCCESS, State.WAITING_EXECUTION]


def test_many_executions_share_their_queries(
    live_engine: Engine, instant: None, life: Life
) -> None:
    group = make_resource_group(slots=40)
    task = make_submitted_task(resource_group=group.name)
    live_engine.make(*[new_instance(task, day=day) for day in range(40)])
    with CaptureQueriesContext(connection) as captured:
        Crew(life, room=40).work(group.queue)
    assert len(captured) < 40 * 10


def test_one_that_cannot_be_prepared_does_not_stop_the_others(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch, life: Life
) -> None:
    honest = execution.prepare
    task = make_submitted_task(retries={"limit": 0})
    bad, good = live_engine.make(new_instance(task, day=0), new_instance(task, day=1))

    def prepare(one: Execution) -> Any:
        if one.instance_id == bad.pk:
            raise RuntimeError("a bug")
        return honest(one)

    monkeypatch.setattr("instances.worker.execution.prepare", prepare)
    Crew(life, room=4).work(QUEUE)
    assert states_of([bad, good]) == [State.FAILED, State.SUCCESS]


def test_a_report_waits_until_the_database_is_back(
    live_engine: Engine, instant: None, monkeypatch: pytest.MonkeyPatch, life: Life
) -> None:
    honest, failures = crew_module.complete, iter([True, True])
    (instance,) = live_engine.make(new_instance(make_submitted_task()))

    def complete(*args: Any, **kwargs: Any) -> list[int]:
        if next(failures, False):
            raise OperationalError("the database is away")
        return honest(*args, **kwargs)

    monkeypatch.setattr("instances.worker.crew.complete", complete)
    monkeypatch.setattr("instances.worker.crew.AGAIN_SECONDS", 0.01)
    Crew(life, room=1).work(QUEUE)
    assert states_of([instance]) == [State.SUCCESS]


@pytest.mark.parametrize(
    ("report", "code"),
    [
        ({"error_code": "X" * 100, "message": "half a \0 and \ud800"}, "X" * 64),
        ({"error_code": "\0"}, "␀"),
    ],
)
def test_what_a_task_reports_can_be_stored_whatever_it_is(
    live_engine: Engine, report: dict[str, str], code: str, life: Life
) -> None:
    script = f"import os, sys; os.pwrite(4, {json.dumps(report)!r}.encode(), 0); sys.exit(1)"
    tasks = [
        make_submitted_task(type="python", code=text, retries={"limit": 0})
        for text in (script, "pass")
    ]
    bad, good = live_engine.make(*[new_instance(task) for task in tasks])
    Crew(life, room=4).work("tidemill.group.default")
    assert states_of([bad, good]) == [State.FAILED, State.SUCCESS]
    assert Instance.objects.get(pk=bad.pk).error_code == code


@pytest.mark.parametrize("step", ["begin", "complete"])
def test_one_that_the_database_refuses_does_not_hold_up_the_others(
    live_engine: Engine, instant: None, monkeypatch: pytest.MonkeyPatch, step: str, life: Life
) -> None:
    honest = getattr(crew_module, step)
    task = make_submitted_task(retries={"limit": 0})
    bad, good = live_engine.make(new_instance(task, day=0), new_instance(task, day=1))
    execution_id = Execution.objects.get(instance=bad).pk

    def refuse(these: list[Any], **options: Any) -> Any:
        if execution_id in these or Result(execution_id) in these:
            raise DataError("a text that PostgreSQL cannot hold")
        return honest(these, **options)

    monkeypatch.setattr(crew_module, step, refuse)
    Crew(life, room=4).work("tidemill.group.default")
    assert states_of([bad, good]) == [State.FAILED, State.SUCCESS]
    assert Instance.objects.get(pk=bad.pk).error_code == "INTERNAL_ERROR"


def test_a_nudge_wakes_it_and_draining_waits_for_what_runs(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch, life: Life
) -> None:
    go_on = threading.Event()

    def run(attempt: Attempt, life: Life) -> Result:
        go_on.wait(60)
        return Result(attempt.execution_id)

    monkeypatch.setattr("instances.worker.crew.run", run)
    task = make_submitted_task(max_parallel=1)
    first, second = live_engine.make(new_instance(task, day=0), new_instance(task, day=1))
    crew = Crew(life, room=4)
    crew.nudge(QUEUE)
    wait_for(lambda: states_of([first]) == [State.RUNNING])
    assert not crew.drain(timeout=0.05)
    go_on.set()
    assert crew.drain(timeout=60)
    assert states_of([first, second]) == [State.SUCCESS, State.WAITING_EXECUTION]


@pytest.fixture
def small_crew(live_engine: Engine, life: Life) -> Iterator[Crew]:
    """A crew with room for one, which ends before its database does."""
    crew = Crew(life, room=1)
    yield crew
    assert crew.drain(timeout=60)


def test_it_finds_work_that_nobody_told_it_of(
    live_engine: Engine, instant: None, small_crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.worker.crew.LOOK_SECONDS", 0.01)
    small_crew.serve([QUEUE])
    (instance,) = live_engine.make(new_instance(make_submitted_task()))
    wait_for(lambda: states_of([instance]) == [State.SUCCESS])


def test_a_message_to_a_full_crew_is_answered_at_once_and_its_work_taken_later(
    live_engine: Engine, small_crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def run(attempt: Attempt, life: Life) -> Result:
        go_on.wait(60)
        return Result(attempt.execution_id)

    monkeypatch.setattr("instances.worker.crew.run", run)
    monkeypatch.setattr("instances.tasks.worker_process.present", lambda: Mock(crew=small_crew))
    task = make_submitted_task()
    instances = live_engine.make(new_instance(task, day=0), new_instance(task, day=1))
    for execution_id in live_engine.sent:
        run_execution.apply((execution_id,), routing_key=QUEUE, throw=True)
    wait_for(lambda: states_of(instances) == [State.RUNNING, State.WAITING_EXECUTION])
    go_on.set()
    wait_for(lambda: states_of(instances) == [State.SUCCESS, State.SUCCESS])
