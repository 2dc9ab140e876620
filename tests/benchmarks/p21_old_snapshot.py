"""P21: P1's figure under a transaction that was open while 50,000 executions went by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from config.celery import app
from tests.benchmarks.figures import Figure, Target, median, spread
from tests.benchmarks.p01_shell import COUNT, plan_spec
from tests.benchmarks.processes import celery_worker
from tests.benchmarks.rates import run_plan
from tests.benchmarks.world import World

TARGET = Target(least_ratio=0.7)
# P1's plan over and over.
EXECUTIONS = 50_000


def measure(world: World, *, repeats: int) -> list[Figure]:
    """The same plans by the same workers, before and after what went by under a snapshot."""
    spec = plan_spec(world)

    def rates() -> list[float]:
        return [COUNT / run_plan(world, spec, COUNT)[1] for _ in range(repeats)]

    with celery_worker(app, "config", queues=world.queues):
        run_plan(world, spec, COUNT)  # warm
        before = rates()
        with _snapshot():
            gone_by = world.scaled(EXECUTIONS)
            for _ in range(gone_by // COUNT):
                run_plan(world, spec, COUNT)
            after = rates()
    return [
        Figure(
            "P21",
            f"P1 with a transaction open since {gone_by:,} executions, beside none",
            median(after),
            "instances/s",
            TARGET,
            limit=median(before),
            note=spread(after),
        )
    ]


@contextmanager
def _snapshot() -> Iterator[None]:
    """Hold a transaction open as a dump does: it has a snapshot, and read locks on the tables."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("LOCK instances_instance, instances_execution IN ACCESS SHARE MODE")
            cursor.execute("SELECT count(*) FROM projects_resourcegroup")
            yield
            cursor.execute("ROLLBACK")
    finally:
        other.close()
