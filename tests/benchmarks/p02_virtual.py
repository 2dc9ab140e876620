"""P2: virtual tasks a second, beside Celery tasks that do nothing."""

from __future__ import annotations

from config.celery import app
from tests.benchmarks import bare
from tests.benchmarks.figures import Figure, Target, interleaved, median, spread
from tests.benchmarks.graphs import layered
from tests.benchmarks.processes import celery_worker
from tests.benchmarks.rates import bare_rate, make_bare_table, run_plan
from tests.benchmarks.world import World

DAYS = 10
COUNT = 100 * DAYS
TARGET = Target(least_ratio=1.5)


def measure(world: World, *, repeats: int) -> list[Figure]:
    """W1 with tasks that only hold others together, from submit to all SUCCESS."""
    graph = layered(10, 10)
    spec = world.spec(graph, world.tasks(graph, "virtual"), days=DAYS)
    make_bare_table()
    with (
        celery_worker(bare.app, "tests.benchmarks.bare", queues=[bare.QUEUE]),
        celery_worker(app, "config", queues=world.queues),
    ):
        bare_rate(bare.nothing, 100)  # warm
        run_plan(world, spec, COUNT)
        limits, rates = interleaved(
            lambda: bare_rate(bare.nothing, COUNT),
            lambda: COUNT / run_plan(world, spec, COUNT)[1],
            repeats=repeats,
        )
    return [
        Figure(
            "P2",
            "Virtual instances a second: 100 tasks × 10 days, from submission to the last success",
            median(rates),
            "instances/s",
            TARGET,
            limit=median(limits),
            note=spread(rates),
        )
    ]
