"""P5: previewing 730,000 instances, beside making them."""

from __future__ import annotations

import time

from backfill.planning.preview import preview
from backfill.running.expanding import expand_plan
from backfill.verbs.submit import submit_plans
from projects.ground import clock
from tests.benchmarks.figures import Figure, Target, median, spread
from tests.benchmarks.graphs import layered
from tests.benchmarks.world import World, empty, tidy_up

DAYS = 365
COUNT = 2_000 * DAYS
TARGET = Target(most_ratio=0.01, most=0.5)


def measure(world: World, *, repeats: int) -> list[Figure]:
    """2,000 tasks over a year. They are made once, in this process; nobody runs them."""
    graph = layered(20, 100)
    spec = world.spec(graph, world.tasks(graph, "shell"), days=DAYS)
    plan = world.draft(spec)

    def look() -> float:
        began = time.perf_counter()
        found = preview(actor=None, project_id=world.project.pk, spec=spec, now=clock.now())
        assert found.instance_count == COUNT
        return time.perf_counter() - began

    first = look()
    figures = [look() for _ in range(repeats)]
    began = time.perf_counter()
    submit_plans.one(actor=None, pk=plan.pk)
    while expand_plan(plan.pk):
        pass
    limit = time.perf_counter() - began
    figures += [look() for _ in range(repeats)]
    empty(["instances_instance"])
    tidy_up()
    return [
        Figure(
            "P5",
            f"Preview of a plan of {COUNT:,} instances, beside making them",
            median(figures),
            "s",
            TARGET,
            limit=limit,
            note=f"{spread(figures)}; the first in its process {first:.2f} s",
        )
    ]
