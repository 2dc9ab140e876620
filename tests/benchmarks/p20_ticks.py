"""P20: the sweep's rhythm while large plans are made."""

from __future__ import annotations

import sys
from itertools import pairwise

from backfill.models import Plan
from backfill.verbs.submit import submit_plans
from config.celery import app
from config.models import Tick
from config.watching.ticks import SWEEP
from projects.ground import clock
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.processes import celery_worker, running, wait_until
from tests.benchmarks.world import World

PLANS = 6
DAYS = 365
TASKS = 20  # hourly: 175,200 cells a plan
SECONDS = 1_200.0
TARGET = Target(most=10)


def measure(world: World, *, repeats: int) -> list[Figure]:
    """Six plans at once, two processes for the system queue, beat as shipped. Once."""
    graph: dict[str, list[str]] = {f"h{number:02d}x": [] for number in range(TASKS)}
    hourly = {"cycle": "hour", "every": 1}
    tasks = world.tasks(graph, "shell", group=world.closed, schedule=hourly)
    spec = world.spec(graph, tasks, days=world.scaled(DAYS))
    drafts = [world.draft(spec) for _ in range(PLANS)]
    cells = world.scaled(DAYS) * TASKS * 24
    beat = [sys.executable, "-m", "celery", "-A", "config", "beat", "-l", "WARNING"]
    swept = []
    with (
        celery_worker(app, "config", queues=[world.system_queue]),
        running([*beat, "--pidfile", ""], name="beat"),
    ):
        ticks = Tick.objects.filter(job=SWEEP)
        wait_until(ticks.exists, seconds=60, what="the first sweep")
        began = clock.now()
        for draft in drafts:
            submit_plans.one(actor=None, pk=draft.pk)
        left = Plan.objects.filter(pk__in=[draft.pk for draft in drafts], state="expanding")

        def all_made() -> bool:
            swept.append(ticks.get().ended_at)
            return not left.exists()

        seconds = wait_until(all_made, seconds=SECONDS, what="the plans", poll_seconds=0.2)
    times = [began, *sorted(set(swept) - {min(swept)}), clock.now()]
    gap = max((after - before).total_seconds() for before, after in pairwise(times))
    return [
        Figure(
            "P20",
            f"{PLANS} plans of {cells:,} instances submitted at once, two system processes:"
            " longest gap between two sweeps",
            gap,
            "s",
            TARGET,
            note=f"all made after {seconds:.0f} s",
        )
    ]
