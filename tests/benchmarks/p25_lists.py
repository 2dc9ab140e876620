"""P25: lists of 20,000 rows by each of their orders, and the page of a workflow of 300 tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from backfill.models import Plan
from backfill.models.plan_task import PlanTask
from backfill.states import PlanState
from config.embedded.application import load_application
from instances.engine.creation import create_instances
from instances.models import Batch, Execution, Instance
from instances.states import State
from projects.models import Operation
from projects.roles import Role
from tests.api.routes import operations_of_schema
from tests.benchmarks.figures import Figure, Target, median
from tests.benchmarks.graphs import layered
from tests.benchmarks.world import World, tidy_up
from tests.factories import (
    make_folder,
    make_member,
    make_submitted_task,
    make_workflow,
)
from tests.factories.plans import make_plan, make_spec
from tests.support.engine import new_instance
from workflows.models import Folder, Task, Workflow

ROWS = 20_000
TASKS = 300
TARGET = Target(most=300)
LISTS = (Instance, Task, Workflow, Plan, Folder, Operation)
NOUNS = ("instances", "executions", "tasks", "workflows", "backfills", "folders", "operations")


def measure(world: World, *, repeats: int) -> list[Figure]:
    """Each list's slowest order, both ways; then the page of a workflow."""
    rows = world.scaled(ROWS)
    _fill(world, rows)
    tidy_up()
    load_application()
    admin.autodiscover()
    client = Client()
    user = make_member(world.project, Role.ADMINISTRATOR)
    client.force_login(user)
    lists = [(model._meta.verbose_name_plural, _of_page(model, user)) for model in LISTS]
    lists += [(f"{noun}, API", _of_api(noun)) for noun in NOUNS]
    figures = [_slowest(client, f"{rows:,} {name}", orders, repeats) for name, orders in lists]
    return [*figures, _page_of_a_workflow(world, client, repeats)]


def _slowest(client: Client, name: str, orders: dict[str, str], repeats: int) -> Figure:
    found = {
        order: median([_timed(client, address) for _ in range(repeats + 1)][1:])
        for order, address in orders.items()
    }
    slowest, *_ = worst = sorted(found, key=lambda order: -found[order])
    note = ", ".join(f"{order} {found[order]:.0f}" for order in islice(worst, 4))
    title = f"First page of {name} by the slowest of {len(orders)} orders"
    return Figure("P25", title, found[slowest], "ms", TARGET, note=note)


def _timed(client: Client, address: str) -> float:
    began = time.perf_counter()
    response = client.get(address)
    assert response.status_code == 200, response.content
    return (time.perf_counter() - began) * 1000


def _of_page(model: type[Model], user: User) -> dict[str, str]:
    """The addresses of a change list by every column that it sorts by."""
    page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    request = RequestFactory().get(page)
    request.user = user
    changes = admin.site.get_model_admin(model).get_changelist_instance(request)
    asked = {"as it opens": page}
    for number, column in enumerate(changes.list_display):
        if changes.get_ordering_field(column) and column in changes.sortable_by:
            name = getattr(column, "__name__", column)
            asked |= {f"{sign}{name}": f"{page}?o={sign}{number}" for sign in ("", "-")}
    return asked


def _of_api(noun: str) -> dict[str, str]:
    """The addresses of a list by every order that the schema names."""
    asked = next(
        parameter["schema"]["enum"]
        for method, path, operation in operations_of_schema()
        if (method, path) == ("GET", f"{noun}/")
        for parameter in operation["parameters"]
        if parameter["name"] == "ordering"
    )
    return {order: f"/api/v1/{noun}/?ordering={order}" for order in asked}


def _page_of_a_workflow(world: World, client: Client, repeats: int) -> Figure:
    tasks = world.tasks(layered(10, TASKS // 10), "shell")
    workflow = next(iter(tasks.values())).workflow_id
    page = reverse("admin:workflows_workflow_change", args=[workflow])
    times = [_timed(client, page) for _ in range(repeats + 1)][1:]
    return Figure("P25", f"Page of a workflow of {TASKS} tasks", median(times), "ms", TARGET)


# --- rows --------------------------------------------------------------------------------------


def _fill(world: World, count: int) -> None:
    """Of each noun so many, like one that the product made; half of the plans are drafts."""
    now = timezone.now()
    owner = make_member(world.project)
    root = make_folder(world.project)
    one = make_workflow("one", project=world.project, folder=root, created_by=owner)
    task = make_submitted_task("one", workflow=one, resource_group=world.group.name)
    [made] = create_instances([new_instance(task)], now=now, batch_id=None)
    draft = make_plan(make_spec([task]))
    instance = Instance.objects.get(pk=made)
    numbers = range(count)
    ago = [now - timedelta(seconds=17 * (number * 7919 % count)) for number in numbers]

    folders = _copied(
        root,
        lambda n: {"name": f"f{n}", "path": f"f{n}", "parent_id": root.pk if n % 2 else None},
        count,
    )
    workflows = _copied(
        one, lambda n: {"name": f"w{n * 31 % count}", "folder_id": folders[n].pk}, count
    )
    tasks = _copied(
        task,
        lambda n: {
            "workflow_id": workflows[n].pk,
            "name": f"t{n * 17 % count}",
            "version_id": None,
            "status": "DRAFT",
            "next_fire_at": ago[n],
            "last_submitted_at": ago[n],
        },
        count,
    )
    versions = _copied(task.version, lambda n: {"task_id": tasks[n].pk}, count)
    for row, version in zip(tasks, versions, strict=True):
        row.version, row.status = version, "PAUSED" if row.pk % 2 else "SCHEDULING"
    Task.objects.bulk_update(tasks, ["version", "status"], batch_size=1_000)
    for rows in (Workflow, Task):
        through: Any = rows.owners.through
        field = f"{rows.__name__.lower()}_id"
        ids = rows.objects.values_list("pk", flat=True)
        through.objects.bulk_create(through(**{field: pk}, user_id=owner.pk) for pk in ids)

    batches = [Batch(project=world.project, name=f"p{n}") for n in range(count // 2)]
    Batch.objects.bulk_create(batches)
    plans = _copied(draft, lambda n: {"name": f"p{n}", "created_at": ago[n]}, count)
    over = plans[: len(batches)]
    for plan, batch in zip(over, batches, strict=True):
        plan.batch, plan.state, plan.submitted_at = batch, PlanState.COMPLETED, now
        plan.ended_at, plan.succeeded_count, plan.failed_count = now, 1, 0
    changed = ["batch", "state", "submitted_at", "ended_at", "succeeded_count", "failed_count"]
    Plan.objects.bulk_update(over, changed, batch_size=1_000)
    PlanTask.objects.bulk_create(
        PlanTask(plan=plan, task=task, version=task.version, position=0, cell_count=1)
        for plan in over
    )
    instances = _copied(
        instance,
        lambda n: {
            "task_id": tasks[n].pk,
            "version_id": versions[n].pk,
            "batch_id": batches[n].pk if n < len(batches) else None,
            "kind": "BACKFILL" if n < len(batches) else "PERIODIC",
            "sort_key": int(n < len(batches)),
            "state": State.SUCCESS if n % 20 else State.FAILED,
            "scheduled_at": ago[n],
            "data_date": ago[n].date(),
            "ready_at": ago[n],
            "dispatched_at": ago[n],
            "started_at": ago[n],
            "ended_at": ago[n] + timedelta(seconds=n % 60),
        },
        count,
    )
    Execution.objects.bulk_create(
        Execution(
            instance=row,
            task_id=row.task_id,
            number=1,
            cause="FIRST",
            state=row.state,
            resource_group=world.group,
            worker="history:1:1",
            waiting_since=row.ready_at,
            ready_at=row.ready_at,
            dispatched_at=row.ready_at,
            announced_at=row.ready_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
        )
        for row in instances
    )
    Operation.objects.bulk_create(
        Operation(project=world.project, verb="submit_tasks", actor=owner, ended_at=now)
        for _ in numbers
    )


def _copied(row: Any, changes: Callable[[int], dict[str, Any]], count: int) -> list[Any]:
    """Store so many rows like one."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}

    def copies() -> Iterator[Any]:
        for number in range(count):
            yield type(row)(**{**values, "id": None, **changes(number)})

    return type(row).objects.bulk_create(list(copies()), batch_size=1_000)
