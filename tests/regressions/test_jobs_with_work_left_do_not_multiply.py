"""However long there is work: a job of the system queue has one message besides the timetable's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import Task

from backfill.running.nudging import nudge_expansion
from backfill.tasks import expand_plans
from instances.engine import announcing
from instances.engine.sweep import Swept
from instances.models import Nudge
from instances.tasks import generate_instances, sweep_instances
from projects.ground import clock
from tests.support.engine import Engine

pytestmark = pytest.mark.django_db

Queue = deque[tuple[str, str]]  # (job, id of the message)


@pytest.fixture
def queue(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """The system queue, and jobs that always have more to do."""
    queue: Queue = deque()

    def send_task(name: str, *, task_id: str = "", **options: Any) -> None:
        queue.append((name, task_id))

    def sweep(**_: Any) -> Swept:
        for _step in range(3):  # plans that are paused, days, chains
            announcing.nudge_sweep()
        return Swept(0, 0, 0, 0)

    monkeypatch.setattr(announcing.current_app, "send_task", send_task)
    monkeypatch.setattr(announcing, "reaches_workers", lambda: True)
    monkeypatch.setattr(announcing, "_rest_until", 0.0)
    monkeypatch.setattr("backfill.running.nudging.nudge", announcing.nudge)
    monkeypatch.setattr("backfill.tasks.expand_in_turn", lambda *, seconds: True)
    monkeypatch.setattr("instances.tasks.generate_for", lambda *, now, seconds: (1, True))
    monkeypatch.setattr("instances.tasks.sweep", sweep)
    return queue


@pytest.mark.parametrize("job", [expand_plans, generate_instances, sweep_instances])
def test_one_process_and_the_timetable_do_not_fill_the_queue(queue: Queue, job: Task) -> None:
    for tick in range(6):
        queue.append((job.name, f"beat {tick}"))
        for _ in range(3):  # what the one process has done by the next tick
            job.apply(task_id=queue.popleft()[1], throw=True)
            assert 0 < len(queue) <= 2


@pytest.mark.parametrize("verb", [announcing.nudge_sweep, nudge_expansion])
def test_who_nudges_again_sends_nothing_until_the_job_begins(
    queue: Queue, verb: Callable[[], None]
) -> None:
    for _ in range(5):
        verb()
    ((_, message),) = queue
    announcing.begin_job("another message")
    verb()
    assert len(queue) == 1
    announcing.begin_job(message)
    verb()
    assert len(queue) == 2


def test_a_message_that_is_lost_is_sent_again_when_it_would_have_expired(queue: Queue) -> None:
    announcing.nudge_sweep()
    queue.clear()
    Nudge.objects.update(expires_at=clock.now() + timedelta(seconds=5))
    announcing.nudge_sweep()
    assert not queue
    Nudge.objects.update(expires_at=clock.now())
    announcing.nudge_sweep()
    assert len(queue) == 1


def test_a_message_that_could_not_be_sent_does_not_count(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, **options: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(announcing.current_app, "send_task", fail)
        announcing.nudge_sweep()
    assert announcing._rest_until > 0
    monkeypatch.setattr(announcing, "_rest_until", 0.0)
    announcing.nudge_sweep()
    assert len(queue) == 1
