"""P9: terminating a plan whose instances wait."""

from __future__ import annotations

import threading
import time

from django.db import connection

from backfill.models import Plan
from backfill.verbs.control import terminate_plans
from instances.models import Batch, Instance
from instances.states import UNFINISHED
from tests.benchmarks.figures import Figure, Target, median, spread
from tests.benchmarks.processes import wait_until
from tests.benchmarks.world import World, tidy_up

STOPPED, ENDED = Target(most=0.5), Target(most=10)


def measure(world: World, *, repeats: int) -> list[Figure]:
    """100,000 waiting instances; the time is taken from the call on, by somebody else."""
    stopped, ended = [], []
    for _ in range(min(repeats, 3)):
        plan = world.waiting_plan(days=world.scaled(100))
        count = Instance.objects.filter(batch=plan.batch_id, state__in=UNFINISHED).count()
        tidy_up()
        times = _terminate(plan)
        stopped.append(times[0])
        ended.append(times[1])
    return [
        Figure(
            "P9",
            f"Terminating a plan of {count:,} waiting instances: until nothing of it can start",
            median(stopped),
            "s",
            STOPPED,
            note=spread(stopped),
        ),
        Figure("P9", "… until all are terminal", median(ended), "s", ENDED, note=spread(ended)),
    ]


def _terminate(plan: Plan) -> tuple[float, float]:
    def terminate() -> None:
        terminate_plans.one(actor=None, pk=plan.pk)
        connection.close()

    thread = threading.Thread(target=terminate, name="terminate")
    began = time.perf_counter()
    thread.start()
    stopped = Batch.objects.filter(pk=plan.batch_id, stopped_at__isnull=False)
    wait_until(stopped.exists, seconds=60, what="the stop")
    nothing_starts = time.perf_counter() - began
    left = Instance.objects.filter(batch=plan.batch_id, state__in=UNFINISHED)
    wait_until(lambda: not left.exists(), seconds=300, what="the end", poll_seconds=0.1)
    all_ended = time.perf_counter() - began
    thread.join()
    return nothing_starts, all_ended
