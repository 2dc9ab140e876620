"""P3: how soon the next task of a chain starts, beside one message of bare Celery."""

from __future__ import annotations

from django.db import connection

from config.celery import app
from tests.benchmarks import bare
from tests.benchmarks.figures import Figure, Target, interleaved, median, spread
from tests.benchmarks.graphs import chain
from tests.benchmarks.processes import celery_worker
from tests.benchmarks.rates import bare_latency, make_bare_table, run_plan
from tests.benchmarks.world import World

LENGTH = 50
TARGET = Target(most_ratio=4, most=20)


def measure(world: World, *, repeats: int) -> list[Figure]:
    """W2: 50 shell tasks, each waiting for the one before."""
    graph = chain(LENGTH)
    spec = world.spec(graph, world.tasks(graph, "shell"), days=1)
    make_bare_table()
    gaps: list[float] = []

    def run_chain() -> float:
        plan, _ = run_plan(world, spec, LENGTH)
        found = gaps_of(plan.batch_id)
        gaps.extend(found)
        return median(found)

    with (
        celery_worker(bare.app, "tests.benchmarks.bare", queues=[bare.QUEUE]),
        celery_worker(app, "config", queues=world.queues),
    ):
        bare_latency(10)  # warm
        run_plan(world, spec, LENGTH)
        limits, figures = interleaved(
            lambda: median(bare_latency(LENGTH)) * 1000, run_chain, repeats=repeats
        )
    return [
        Figure(
            "P3",
            "From one instance's end to the next one's start in a chain of 50 shell tasks, median",
            median(figures),
            "ms",
            TARGET,
            limit=median(limits),
            note=f"{spread(figures)}; longest gap {max(gaps):.0f} ms",
        )
    ]


def gaps_of(batch_id: int | None) -> list[float]:
    """Milliseconds between the end of each instance and the start of the one after it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM started_at - lag(ended_at) OVER (ORDER BY started_at))"
            " FROM instances_instance WHERE batch_id = %s ORDER BY started_at",
            [batch_id],
        )
        return [float(row[0]) * 1000 for row in cursor.fetchall()[1:]]
