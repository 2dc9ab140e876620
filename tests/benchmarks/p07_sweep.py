"""P7: a sweep that finds nothing to do."""

from __future__ import annotations

import time
from datetime import timedelta

from instances.engine.sweep import sweep
from instances.models import Instance
from instances.states import UNFINISHED
from projects.ground import clock
from tests.benchmarks.figures import Figure, Target, median, spread
from tests.benchmarks.filling import fill
from tests.benchmarks.world import World, tidy_up

TARGET = Target(most=20)
LOOKS = 10


def measure(world: World, *, repeats: int) -> list[Figure]:
    """1,000,000 finished instances and 100,000 that wait, for upstreams and for slots."""
    finished = fill(world)
    world.waiting_plan(days=world.scaled(100))
    waiting = Instance.objects.filter(state__in=UNFINISHED).count()
    tidy_up()
    # What succeeded in the last minutes is looked at: be where nothing has.
    now = clock.now() + timedelta(minutes=10)
    sweep(now=now)  # warm
    figures = []
    for _ in range(repeats * LOOKS):
        began = time.perf_counter()
        sweep(now=now)
        figures.append((time.perf_counter() - began) * 1000)
    return [
        Figure(
            "P7",
            f"One sweep with nothing to do, {finished:,} finished and {waiting:,} waiting",
            median(figures),
            "ms",
            TARGET,
            note=spread(figures),
        )
    ]
