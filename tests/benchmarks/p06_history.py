"""P6: P1's figure with a long history in the tables, beside the one with none."""

from __future__ import annotations

from config.celery import app
from tests.benchmarks.figures import Figure, Target, median, spread
from tests.benchmarks.filling import fill
from tests.benchmarks.p01_shell import COUNT, plan_spec
from tests.benchmarks.processes import celery_worker
from tests.benchmarks.rates import run_plan
from tests.benchmarks.world import World, empty

TARGET = Target(least_ratio=0.9)


def measure(world: World, *, repeats: int) -> list[Figure]:
    """The same plans by the same workers, before and after the history is filled in."""
    spec = plan_spec(world)

    def rates() -> list[float]:
        return [COUNT / run_plan(world, spec, COUNT)[1] for _ in range(repeats)]

    empty(["instances_instance"])
    with celery_worker(app, "config", queues=world.queues):
        run_plan(world, spec, COUNT)  # warm
        before = rates()
        count = fill(world)
        after = rates()
    return [
        Figure(
            "P6",
            f"P1 with {count:,} finished instances in the tables, beside empty tables",
            median(after),
            "instances/s",
            TARGET,
            limit=median(before),
            note=spread(after),
        )
    ]
