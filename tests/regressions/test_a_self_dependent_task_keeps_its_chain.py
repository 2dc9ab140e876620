"""Each instance of a self-dependent task builds on the one before, whatever became of the task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from instances.engine.generation import generate
from instances.models import Instance
from instances.states import State
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.factories.definitions import mapping
from tests.instances.engine.test_generation import scheduled_since, upstream_slots
from tests.support.engine import Engine, state_of
from workflows.models import Task
from workflows.verbs.submit import submit_tasks
from workflows.verbs.task_status import pause, start, take_offline

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
AT_MIDNIGHT, AT_TEN = {"cycle": "day", "at": "00:00"}, {"cycle": "day", "at": "10:00"}


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    return lambda now: monkeypatch.setattr(clock, "now", lambda: now)


@pytest.fixture
def task(engine: Engine, at: Callable[[datetime], None]) -> Task:
    """Daily at 00:00; Monday's instance has failed. It is Monday afternoon."""
    found = make_submitted_task("t", schedule=AT_MIDNIGHT, self_dependent=True)
    scheduled_since(MONDAY - HOUR, found)
    at(MONDAY + 15 * HOUR)
    with engine.committing():
        generate(now=clock.now())
    engine.run(Instance.objects.get(task=found), error_code="EXIT_NONZERO")
    return found


def resubmit(task: Task, schedule: dict[str, object] | None = None) -> None:
    if schedule is not None:
        task.draft = mapping(schedule=schedule, self_dependent=True)
        task.save(update_fields=["draft"])
    submit_tasks(actor=None, ids=[task.pk])


def offline_and_back(task: Task) -> None:
    take_offline(actor=None, ids=[task.pk])
    resubmit(task)


def offline_and_back_at_ten(task: Task) -> None:
    take_offline(actor=None, ids=[task.pk])
    resubmit(task, AT_TEN)


def moved_while_paused(task: Task) -> None:
    pause(actor=None, ids=[task.pk])
    resubmit(task, AT_TEN)
    start(actor=None, ids=[task.pk])


@pytest.mark.feature("T12")
@pytest.mark.parametrize(
    ("change", "fire"),
    [
        (lambda task: resubmit(task, AT_TEN), MONDAY + DAY + 10 * HOUR),
        (offline_and_back, MONDAY + DAY),
        (offline_and_back_at_ten, MONDAY + DAY + 10 * HOUR),
        (moved_while_paused, MONDAY + DAY + 10 * HOUR),
    ],
)
def test_the_first_instance_after_a_change_waits_for_the_last_one_before(
    engine: Engine,
    task: Task,
    at: Callable[[datetime], None],
    change: Callable[[Task], None],
    fire: datetime,
) -> None:
    change(task)
    at(MONDAY + 2 * DAY + 11 * HOUR)
    with engine.committing():
        generate(now=clock.now())
    assert upstream_slots(task, fire) == [("t", MONDAY)]
    assert upstream_slots(task, fire + DAY) == [("t", fire)]
    tuesday = Instance.objects.get(task=task, scheduled_at=fire)
    assert state_of(tuesday) == State.WAITING_UPSTREAM


@pytest.mark.feature("T11", "T12")
def test_catching_up_with_the_latest_goes_on_from_the_last_one_made(engine: Engine) -> None:
    task = make_submitted_task(
        "t", schedule={"cycle": "hour", "every": 1}, self_dependent=True, catch_up="latest"
    )
    scheduled_since(MONDAY, task)
    for hour in (1, 5, 6):
        with engine.committing():
            generate(now=MONDAY + hour * HOUR)
    assert upstream_slots(task, MONDAY + 1 * HOUR) == []
    assert upstream_slots(task, MONDAY + 5 * HOUR) == [("t", MONDAY + 1 * HOUR)]
    assert upstream_slots(task, MONDAY + 6 * HOUR) == [("t", MONDAY + 5 * HOUR)]


@pytest.mark.feature("T2", "T12")
def test_what_a_pause_left_out_stands_between(
    engine: Engine, task: Task, at: Callable[[datetime], None]
) -> None:
    pause(actor=None, ids=[task.pk])
    at(MONDAY + DAY + 15 * HOUR)
    start(actor=None, ids=[task.pk])
    with engine.committing():
        generate(now=MONDAY + 2 * DAY)
    assert upstream_slots(task, MONDAY + 2 * DAY) == [("t", MONDAY + DAY)]
