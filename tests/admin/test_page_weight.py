"""Pages stay light: what is sent is bounded, however many rows there are (before compression)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Model
from django.utils import timezone

from instances.engine.creation import create_instances
from instances.models import Instance
from instances.states import State
from tests.admin.browsing import Browser, Page
from tests.api.world import World
from tests.factories import make_folder, make_submitted_tasks, make_user, make_workflow
from tests.support.engine import new_instance
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

LIST_BYTES = 150 * 1024
ROWS = 50


def weight(page: Page) -> int:
    assert page.status == 200
    return len(page.response.content)


def copied(row: Model, **changes: object) -> None:
    """Store another row like one."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    type(row)._default_manager.create(**{**values, "id": None, **changes})


@pytest.fixture
def large(world: World) -> Workflow:
    """A workflow of 300 tasks, ten deep, whose rows have a value in every column of every list."""
    project = world.place.project
    workflow = make_workflow(
        name="nightly-warehouse-refresh",
        project=project,
        folder=make_folder(project, "finance-reports"),
        created_by=world.users["administrator"],
    )
    tasks = make_submitted_tasks(
        {
            f"layer-{layer}-table-{place:02d}": {
                "depends_on": [
                    f"layer-{layer - 1}-table-{(place + step) % 30:02d}" for step in range(3)
                ]
                if layer
                else []
            }
            for layer in range(10)
            for place in range(30)
        },
        workflow=workflow,
    )
    owner = make_user("somebody.with.a.long.name")
    for task in tasks.values():
        task.owners.add(owner)
    ids = create_instances(
        [new_instance(task) for task in list(tasks.values())[: 2 * ROWS]],
        now=timezone.now(),
        batch_id=None,
    )
    now = timezone.now()
    Instance.objects.filter(pk__in=ids).update(
        state=State.FAILED,
        ready_at=now - timedelta(minutes=2),
        dispatched_at=now - timedelta(minutes=2),
        started_at=now - timedelta(minutes=1),
        ended_at=now,
        error_code="PYTHON_ERROR",
        error_message="ValueError: the source has no such column: amount_in_local_currency",
    )
    return workflow


@pytest.mark.feature("I2", "T1", "W1", "B21")
def test_fifty_rows_of_any_list_are_light(world: World, operator: Browser, large: Workflow) -> None:
    place = world.place
    for number in range(ROWS):
        name = f"{large.name}-{number}"
        copied(place.workflow, name=name)
        copied(place.plan, name=name)
    lists = {
        "instances_instance_changelist": {"workflow": large.pk},
        "workflows_task_changelist": {"workflow": large.pk},
        "workflows_workflow_changelist": {},
        "backfill_plan_changelist": {},
    }
    for name, query in lists.items():
        page = operator.get(name, **query)
        assert len(page.ids) == ROWS
        assert weight(page) <= LIST_BYTES, name


@pytest.mark.feature("W7")
def test_a_workflow_of_300_tasks_shows_a_page_of_them_under_all_in_the_picture(
    world: World, operator: Browser, large: Workflow
) -> None:
    page = operator.get("workflows_workflow_change", large.pk)
    assert weight(page) <= 500 * 1024
    assert len(page.context["rows"]) == ROWS
    assert page.html.count('<rect class="tm-stripe') == 300
    assert "Page 1 of 6" in page.text
    last = operator.get("workflows_workflow_change", large.pk, page=6)
    listed = {task.pk for task, _ in page.context["rows"]}
    assert len(last.context["rows"]) == ROWS
    assert not listed & {task.pk for task, _ in last.context["rows"]}


@pytest.mark.feature("W7")
def test_the_picture_says_where_it_begins(world: World, operator: Browser, large: Workflow) -> None:
    page = operator.get("workflows_workflow_change", large.pk)
    start = page.html.split('data-start="')[1].split('"')[0]
    x, _ = (int(part) for part in start.split(","))
    assert x < 244  # the first layer
