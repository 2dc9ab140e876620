"""P24: executions lost while the database is away for less than a lease."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from backfill.verbs.submit import submit_plans
from config.celery import app
from instances.engine.rescue import rescue
from instances.models import Execution, LogChunk
from instances.states import ExecutionState
from projects.ground import clock
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.processes import celery_worker, wait_until
from tests.benchmarks.world import World, empty, successes_of, tidy_up
from tests.factories import make_submitted_tasks, make_workflow
from tests.support.proxy import Mood, database_proxy

TARGET = Target(most=0)
AWAY_SECONDS = 18
# A lease of 30 seconds ends while they run.
TASK_SECONDS = 34
TASKS = 24
WORDS = {Mood.REFUSING: "refusing connections", Mood.SILENT: "saying nothing"}


def measure(world: World, *, repeats: int) -> list[Figure]:
    """24 tasks of 34 seconds on two processes; the database goes away once all of them run."""
    return [_measure(world, mood) for mood in WORDS]


def _measure(world: World, mood: Mood) -> Figure:
    graph: dict[str, list[str]] = {f"task_{number}": [] for number in range(TASKS)}
    definition = {
        "type": "shell",
        "code": f"echo begun; sleep {TASK_SECONDS}",
        "resource_group": world.group.name,
    }
    tasks = make_submitted_tasks(
        {name: {**definition} for name in graph}, workflow=make_workflow(project=world.project)
    )
    spec = world.spec(graph, tasks, days=1)
    empty(["instances_instance"])
    with (
        database_proxy(os.environ["DATABASE_URL"]) as (proxy, url),
        _through(url),
        celery_worker(app, "config", queues=world.queues),
    ):
        plan = submit_plans.one(actor=None, pk=world.draft(spec).pk)
        # Each says something when it has begun.
        begun = LogChunk.objects.values("execution").distinct()
        wait_until(lambda: begun.count() == TASKS, seconds=30, what="the start of all")
        proxy.set(mood)
        time.sleep(AWAY_SECONDS)
        proxy.set(Mood.OPEN)
        back = time.monotonic()

        def are_done() -> bool:
            rescue(now=clock.now())  # as beat has it done
            return successes_of(plan.batch_id) == TASKS

        wait_until(are_done, seconds=180, what="the end of all", poll_seconds=0.5)
        took = time.monotonic() - back
    lost = Execution.objects.filter(state=ExecutionState.LOST).count()
    tidy_up()
    return Figure(
        "P24",
        f"Database {WORDS[mood]} for {AWAY_SECONDS} s under leases of 30 s, {TASKS} running:"
        " executions lost",
        lost,
        "executions",
        TARGET,
        note=f"all done {took:.0f} s after it was back",
    )


@contextmanager
def _through(url: str) -> Iterator[None]:
    """What is started in the block has its database at the URL."""
    before = os.environ["DATABASE_URL"]
    os.environ["DATABASE_URL"] = url
    try:
        yield
    finally:
        os.environ["DATABASE_URL"] = before
