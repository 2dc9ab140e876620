"""P22: P1's figure beside ready work of tasks that may not run more often."""

from __future__ import annotations

from datetime import timedelta

from backfill.running.expanding import expand_plan
from backfill.spec import PlanSpec
from backfill.verbs.submit import submit_plans
from config.celery import app
from instances.models import Instance
from instances.states import State
from tests.benchmarks.figures import Figure, Target, median, spread
from tests.benchmarks.p01_shell import COUNT, plan_spec
from tests.benchmarks.processes import celery_worker
from tests.benchmarks.rates import run_plan
from tests.benchmarks.world import FIRST_DATE, World, tidy_up
from tests.factories import make_submitted_tasks, make_workflow

TARGET = Target(least_ratio=0.8)
TASKS = 5
# 24 a day of each: 87,600.
DAYS = 730


def measure(world: World, *, repeats: int) -> list[Figure]:
    """The same plans by the same workers, before and after a large plan of limited tasks is made.

    One instance of each of its tasks runs on and on; all others are ready and wait for it.
    """
    spec = plan_spec(world)

    def rates() -> list[float]:
        return [COUNT / run_plan(world, spec, COUNT)[1] for _ in range(repeats)]

    with celery_worker(app, "config", queues=world.queues):
        run_plan(world, spec, COUNT)  # warm
        before = rates()
        _make_crowd(world)
        crowd = Instance.objects.filter(
            state=State.WAITING_EXECUTION, task__max_parallel__isnull=False
        )
        ready = crowd.count()
        tidy_up()
        after = rates()
    return [
        Figure(
            "P22",
            f"P1 with {ready:,} ready instances of {TASKS} limited tasks, beside none",
            median(after),
            "instances/s",
            TARGET,
            limit=median(before),
            note=spread(after),
        )
    ]


def _make_crowd(world: World) -> None:
    definitions = {
        f"limited{number}": {
            "type": "shell",
            "code": "sleep 3600",
            "resource_group": world.group.name,
            "schedule": {"cycle": "hour", "every": 1},
            "max_parallel": 1,
        }
        for number in range(TASKS)
    }
    tasks = make_submitted_tasks(definitions, workflow=make_workflow(project=world.project))
    last = FIRST_DATE + timedelta(days=world.scaled(DAYS) - 1)
    spec = PlanSpec.from_mapping(
        {
            "entry": {"kind": "tasks", "ids": [task.pk for task in tasks.values()]},
            "scope": "selected",
            "periods": [{"first": FIRST_DATE.isoformat(), "last": last.isoformat()}],
        }
    )
    plan = world.draft(spec)
    submit_plans.one(actor=None, pk=plan.pk)
    while expand_plan(plan.pk):
        pass
