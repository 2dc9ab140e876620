"""P4: making 100,000 instances with their edges, beside COPY of the same rows."""

from __future__ import annotations

import time

from django.db import connection, transaction

from backfill.models import Plan
from backfill.verbs.submit import submit_plans
from config.celery import app
from tests.benchmarks.figures import Figure, Target, median, spread
from tests.benchmarks.graphs import layered
from tests.benchmarks.processes import celery_worker, wait_until
from tests.benchmarks.world import World, empty, tidy_up

DAYS = 100
COUNT = 1_000 * DAYS
TARGET = Target(most_ratio=2.0)
TABLES = ("instances_instance", "instances_edge")


def measure(world: World, *, repeats: int) -> list[Figure]:
    """W3: 1,000 tasks in 10 layers, 100 days; nobody runs them meanwhile."""
    graph = layered(10, 100)
    spec = world.spec(graph, world.tasks(graph, "shell"), days=DAYS)
    limits, figures = [], []
    with celery_worker(app, "config", queues=[world.system_queue]):
        for _ in range(repeats):
            empty(TABLES)
            figures.append(_make(world.draft(spec)))
            rows = {table: _copy_out(table) for table in TABLES}
            edges = rows["instances_edge"].count(b"\n")
            empty(TABLES)
            limits.append(_copy_in(rows))
    empty(TABLES)
    tidy_up()
    return [
        Figure(
            "P4",
            f"Planning {COUNT:,} instances and {edges:,} edges, from submission to the last one",
            median(figures),
            "s",
            TARGET,
            limit=median(limits),
            note=spread(figures),
        )
    ]


def _make(plan: Plan) -> float:
    """Submit the plan; return the seconds until its last chunk is committed."""
    began = time.perf_counter()
    submit_plans.one(actor=None, pk=plan.pk)
    plans = Plan.objects.filter(pk=plan.pk, expanded_count=COUNT)
    wait_until(plans.exists, seconds=300, what="the instances", poll_seconds=0.02)
    seconds = time.perf_counter() - began
    # The rest of the last chunk's work; then the rows are still.
    wait_until(lambda: not _count_new(), seconds=60, what="the last instances to be looked at")
    return seconds


def _count_new() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM instances_instance WHERE state = 'NOT_RUN'")
        return int(cursor.fetchone()[0])


def _copy_out(table: str) -> bytes:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT") as copy:
        return b"".join(copy)


def _copy_in(rows: dict[str, bytes]) -> float:
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        for table, data in rows.items():
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                copy.write(data)
    return time.perf_counter() - began
