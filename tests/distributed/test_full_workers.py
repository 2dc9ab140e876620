"""Workers that are full: system work goes on beside them, and other workers take what is new."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from config.models import Tick
from config.watching.ticks import SWEEP
from instances.models import Instance
from instances.worker.crew import LOOK_SECONDS
from projects.models import ResourceGroup
from tests.distributed.workers import START_SECONDS, Worker, consumers_of, running, states
from tests.factories import make_resource_group, make_submitted_task
from tests.support.engine import Engine, new_instance
from tests.support.waiting import wait_for
from workflows.models import Task

ROOM = 2
ROUNDS = 5  # enough for a message to go to the worker that is full


@pytest.fixture(autouse=True)
def small_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTIONS_PER_PROCESS", str(ROOM))


@pytest.fixture
def group() -> ResourceGroup:
    return make_resource_group(f"group-{secrets.token_hex(4)}", slots=100)


@pytest.fixture
def long(group: ResourceGroup) -> Task:
    return make_submitted_task("long", resource_group=group.name, code="sleep 600")


@pytest.fixture
def short(group: ResourceGroup) -> Task:
    return make_submitted_task("short", resource_group=group.name, code="true")


def fill(engine: Engine, task: Task) -> list[Instance]:
    """Let instances run that take all the room of one process."""
    filling = engine.make(*[new_instance(task, day=day) for day in range(ROOM)])
    wait_for(lambda: states(filling) == {"RUNNING"})
    return filling


@pytest.fixture
def system_queue(broker: str) -> Iterator[str]:
    name = f"tidemill.system.{secrets.token_hex(4)}"
    yield name
    with Celery(broker=broker, set_as_current=False) as app, app.connection_for_write() as link:
        bound = app.amqp.queues[name](link.default_channel)
        bound.declare()
        bound.delete()


def test_system_work_goes_on_in_a_process_that_is_full(
    told_engine: Engine,
    broker: str,
    system_queue: str,
    group: ResourceGroup,
    long: Task,
    short: Task,
    tmp_path: Path,
) -> None:
    worker = Worker(broker, [group.queue, system_queue], tmp_path)
    try:
        wait_for(lambda: bool(consumers_of(worker)), START_SECONDS)
        fill(told_engine, long)
        waiting = told_engine.make(*[new_instance(short, day=day) for day in range(5)])
        for _ in range(3):
            Tick.objects.all().delete()
            with Celery(broker=broker, set_as_current=False) as app:
                app.send_task(SWEEP, queue=system_queue)
            wait_for(Tick.objects.filter(job=SWEEP).exists)
        assert states(waiting) == {"WAITING_EXECUTION"}
    finally:
        worker.stop_at_once()


def test_what_is_sent_while_a_worker_is_full_starts_on_another_at_once(
    told_engine: Engine,
    broker: str,
    group: ResourceGroup,
    long: Task,
    short: Task,
    tmp_path: Path,
) -> None:
    with running(broker, [group], tmp_path) as (full,):
        fill(told_engine, long)
        (tmp_path / "other").mkdir()
        other = Worker(broker, [group.queue], tmp_path / "other")
        try:
            wait_for(lambda: bool(consumers_of(other)), START_SECONDS)
            waits = []
            for day in range(ROUNDS):
                (instance,) = told_engine.make(new_instance(short, day=day))
                wait_for(lambda one=instance: states([one]) == {"SUCCESS"})
                execution = instance.executions.get()
                assert execution.started_at is not None
                waits.append((execution.started_at - execution.dispatched_at).total_seconds())
            print(f"seconds from dispatch to start: {[round(one, 2) for one in waits]}")
            # Where the message went to the full worker the other one finds it at its next look; it
            # was found when it was told again, after a minute.
            assert max(waits) < LOOK_SECONDS + 20
        finally:
            other.stop()
            full.stop_at_once()
