"""P1: shell tasks a second, beside Celery that commits, runs `sh -c true`, and commits."""

from __future__ import annotations

from backfill.spec import PlanSpec
from config.celery import app
from tests.benchmarks import bare
from tests.benchmarks.figures import Figure, Target, interleaved, median, spread
from tests.benchmarks.graphs import layered
from tests.benchmarks.processes import celery_worker
from tests.benchmarks.rates import bare_rate, make_bare_table, run_plan
from tests.benchmarks.world import World

DAYS = 10
COUNT = 100 * DAYS
TARGET = Target(least_ratio=0.7)


def plan_spec(world: World) -> PlanSpec:
    """W1: 100 tasks in 10 layers, 10 days in parallel."""
    graph = layered(10, 10)
    return world.spec(graph, world.tasks(graph, "shell"), days=DAYS)


def measure(world: World, *, repeats: int) -> list[Figure]:
    """W1 with `true`, from submit to all SUCCESS."""
    spec = plan_spec(world)
    make_bare_table()
    with (
        celery_worker(bare.app, "tests.benchmarks.bare", queues=[bare.QUEUE]),
        celery_worker(app, "config", queues=world.queues),
    ):
        bare_rate(bare.two_commits, 100)  # warm
        run_plan(world, spec, COUNT)
        limits, rates = interleaved(
            lambda: bare_rate(bare.two_commits, COUNT),
            lambda: COUNT / run_plan(world, spec, COUNT)[1],
            repeats=repeats,
        )
    return [
        Figure(
            "P1",
            "Shell instances a second: 100 tasks × 10 days, from submission to the last success",
            median(rates),
            "instances/s",
            TARGET,
            limit=median(limits),
            note=spread(rates),
        )
    ]
