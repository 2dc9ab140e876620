"""P10: P1's figure while expired instances are deleted, and the longest lock of that."""

from __future__ import annotations

import re
import subprocess
import sys

from config.celery import app
from instances.retention.instances import count_expired
from projects.ground import clock
from tests.benchmarks.figures import Figure, Target, median, spread
from tests.benchmarks.filling import fill
from tests.benchmarks.p01_shell import COUNT, plan_spec
from tests.benchmarks.processes import DidNotHappen, celery_worker, log_of, running
from tests.benchmarks.rates import run_plan
from tests.benchmarks.world import World

BESIDE, LOCK = Target(least_ratio=0.7), Target(most=200)
SECONDS = 3_600
COMMAND = "cleanup_instances"


def measure(world: World, *, repeats: int) -> list[Figure]:
    """`manage.py cleanup_instances` as shipped, in a process of its own."""
    fill(world)
    expired = count_expired(clock.now())[world.project.name]
    spec = plan_spec(world)

    def rates() -> list[float]:
        return [COUNT / run_plan(world, spec, COUNT)[1] for _ in range(repeats)]

    with celery_worker(app, "config", queues=world.queues):
        run_plan(world, spec, COUNT)  # warm
        alone = rates()
        with running([sys.executable, "manage.py", COMMAND], name=COMMAND) as process:
            beside = rates()
            if process.poll() is not None:
                raise DidNotHappen("The deletion was over before P1 was.")
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired as error:
                raise DidNotHappen("The deletion does not end.") from error
        alone += rates()
    said = log_of(COMMAND).read_text()
    longest = re.search(r"longest transaction took (\d+) ms", said)
    if longest is None:
        raise DidNotHappen(f"The deletion said: {said[-2000:]}")
    return [
        Figure(
            "P10",
            f"P1 while {expired:,} expired instances with edges, executions and logs are deleted",
            median(beside),
            "instances/s",
            BESIDE,
            limit=median(alone),
            note=spread(beside),
        ),
        Figure("P10", "… its longest transaction", float(longest[1]), "ms", LOCK),
    ]
