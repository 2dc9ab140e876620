"""P23: generation of what is overdue after an outage, and what it does to others meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import psutil
from django.db import connection

from instances.engine.completion import Result, complete
from instances.engine.dispatch import dispatch
from instances.models import Instance
from instances.worker.execution import claim
from projects.ground import clock
from projects.models import ResourceGroup
from tests.benchmarks.figures import Figure, Target, median
from tests.benchmarks.generating import NAME
from tests.benchmarks.processes import DidNotHappen, running
from tests.benchmarks.world import World, empty, tidy_up
from tests.factories import make_submitted_tasks, make_workflow
from workflows.models import Task

TRANSACTION_SECONDS, MEMORY_MIB, DISPATCH_MS = 2, 300, 200
TASKS = 500
MINUTES = 1_000
SLOTS = 16
SECONDS = 3_600.0
# How often the longest transaction is looked for, and executions of the tasks end.
LOOK_SECONDS = 0.02


@dataclass
class _Seen:
    """The longest transaction (seconds) and the largest memory (bytes) of the process so far."""

    longest: float = 0.0
    memory: int = 0


def measure(world: World, *, repeats: int) -> list[Figure]:
    """500 minutely tasks, each with a limit and waiting for itself, a thousand minutes behind."""
    empty(["instances_instance"])
    minutes = world.scaled(MINUTES)
    group = ResourceGroup.objects.create(name=f"{world.group.name}_overdue", slots=SLOTS)
    until = clock.now().replace(second=0, microsecond=0)
    _submit(world, group, since=until - timedelta(minutes=minutes))
    tidy_up()
    reports: list[float] = []
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.benchmarks.generating", until.isoformat()]
    with running(command, name=NAME) as process, _watching(process) as seen:
        while process.poll() is None:
            if time.perf_counter() - began > SECONDS:
                raise DidNotHappen("Generation does not end.")
            ended = claim([group.queue], room=SLOTS, worker=NAME)
            start = time.perf_counter()
            if ended:
                complete([Result(pk) for pk in ended], now=clock.now())
            else:
                dispatch([group.pk], now=clock.now())
            reports.append((time.perf_counter() - start) * 1000)
            time.sleep(LOOK_SECONDS)
    took = time.perf_counter() - began
    made = Instance.objects.filter(resource_group=group).count()
    if made != TASKS * minutes:
        raise DidNotHappen(f"{made:,} instances were made.")
    return [
        Figure(
            "P23",
            f"Generation of {made:,} overdue instances: its longest transaction",
            seen.longest,
            "s",
            Target(most=TRANSACTION_SECONDS),
            note=f"all of it took {took:.0f} s",
        ),
        Figure(
            "P23",
            "… its process at most, RSS",
            seen.memory / 2**20,
            "MiB",
            Target(most=MEMORY_MIB),
        ),
        Figure(
            "P23",
            f"… a report of {SLOTS} executions beside it and the dispatch after it, the slowest",
            # The first one connects to the broker.
            max(reports[1:]),
            "ms",
            Target(most=DISPATCH_MS),
            note=f"{len(reports)} of them, median {median(reports):.3g}",
        ),
    ]


def _submit(world: World, group: ResourceGroup, *, since: datetime) -> None:
    """Submit the tasks, and let generation have been down since then."""
    definition = {
        "type": "shell",
        "code": "true",
        "schedule": {"cycle": "minute", "every": 1},
        "self_dependent": True,
        "max_parallel": 2,
        "resource_group": group.name,
    }
    workflow = make_workflow(project=world.project)
    tasks = make_submitted_tasks(
        {f"m{number:03d}": definition for number in range(TASKS)}, workflow=workflow
    )
    Task.objects.filter(pk__in=[task.pk for task in tasks.values()]).update(
        scheduling_since=since,
        generated_until=since,
        next_fire_at=since + timedelta(minutes=1),
    )


@contextmanager
def _watching(process: psutil.Popen) -> Iterator[_Seen]:
    """Watch the process, by another connection, until the end of the block."""
    seen, over = _Seen(), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)"
                    " FROM pg_stat_activity WHERE application_name = %s",
                    [NAME],
                )
                seen.longest = max(seen.longest, float(cursor.fetchone()[0]))
            try:
                seen.memory = max(seen.memory, process.memory_info().rss)
            except psutil.Error:  # it has just ended
                continue
        connection.close()

    thread = threading.Thread(target=watch, name="watch")
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
