"""What an app adds to the pages of another is one declaration: a list column, a page panel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.db.models import Count
from django.test import Client
from django.urls import reverse

from projects.console import extensions
from projects.console.extensions import Column, Panel, add_column, add_panel
from tests.admin.browsing import Browser
from tests.api.world import World, make_world
from workflows.models import Task, Workflow

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> World:
    made = make_world()
    get_user_model().objects.update(is_staff=True)
    return made


@pytest.fixture
def operator(world: World) -> Browser:
    client = Client()
    client.force_login(world.users["operator"])
    return Browser(client)


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test adds is gone after it."""
    monkeypatch.setattr(extensions, "_columns", {})
    listed = {model: list(panels) for model, panels in extensions._panels.items()}
    monkeypatch.setattr(extensions, "_panels", listed)
    yield


def test_a_list_column_is_one_declaration(world: World, operator: Browser) -> None:
    add_column(
        Workflow,
        Column(
            key="size",
            title="Size",
            show=lambda workflow: f"{workflow.size} in all",
            order_by="size",
            load=lambda rows: rows.annotate(size=Count("tasks", distinct=True)),
        ),
    )
    page = operator.get("workflows_workflow_changelist")
    assert page.columns[-1].startswith("Size")
    size = Task.objects.filter(workflow=world.place.workflow).count()
    assert f"{size} in all" in page.text
    by_size = len(page.columns) - 1
    assert operator.get("workflows_workflow_changelist", o=f"-{by_size}").status == 200


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("workflows_workflow_change", "workflow"),
        ("workflows_task_change", "up"),
        ("instances_instance_change", "instance"),
        ("backfill_plan_change", "expanded"),
    ],
)
def test_a_page_panel_is_one_declaration(
    world: World, operator: Browser, name: str, attribute: str
) -> None:
    shown = getattr(world.place, attribute)
    add_panel(type(shown), Panel("toy", "A toy panel", "admin:instances_task_curve"))
    page = operator.get(name, shown.pk)
    assert "A toy panel" in page.text
    assert reverse("admin:instances_task_curve", args=[shown.pk]) in page.html
