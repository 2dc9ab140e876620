"""The work of a resource group goes to its workers and to no others."""

from __future__ import annotations

import secrets
from pathlib import Path

from instances.models import Execution
from tests.distributed.workers import running, states
from tests.factories import make_resource_group, make_submitted_task
from tests.support.engine import Engine, new_instance
from tests.support.waiting import wait_for


def test_each_groups_work_runs_on_its_own_workers_and_waits_without_one(
    told_engine: Engine, broker: str, tmp_path: Path
) -> None:
    mark = secrets.token_hex(4)  # queues live in a broker that others use too
    groups = [make_resource_group(f"{name}-{mark}") for name in ("left", "right", "nobody")]
    tasks = [make_submitted_task(resource_group=group.name) for group in groups]
    left, right, nobody = (
        told_engine.make(*(new_instance(task, day=day) for day in range(12))) for task in tasks
    )
    with running(broker, groups[:2], tmp_path) as workers:
        later = told_engine.make(*(new_instance(tasks[0], day=day) for day in range(12, 24)))
        wait_for(lambda: states([*left, *right, *later]) == {"SUCCESS"})
        own = [worker.pids() for worker in workers]

    for group, pids in zip(groups[:2], own, strict=True):
        names = Execution.objects.filter(resource_group=group).values_list("worker", flat=True)
        assert {int(name.split(":")[1]) for name in names} <= pids
    assert states(nobody) == {"WAITING_EXECUTION"}
    ran = Execution.objects.filter(resource_group=groups[2], started_at__isnull=False)
    assert list(ran) == []
