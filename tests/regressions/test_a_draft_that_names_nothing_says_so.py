"""A name that means nothing is told when a draft is saved, on its page and when it is submitted."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.admin.browsing import Browser
from tests.api.world import World
from tests.factories import make_task
from workflows.models import Task

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T9", "T12")]


@pytest.fixture
def root(world: World) -> Browser:
    client = Client()
    client.force_login(world.superuser)
    return Browser(client)


def depending_on(*names: str) -> dict[str, Any]:
    return {
        "depends_on__task": names,
        "depends_on__offset": ["same"] * len(names),
        "depends_on__scope": ["default"] * len(names),
    }


def test_saving_warns_the_page_shows_it_and_the_refusal_leads_to_the_field(
    world: World, root: Browser
) -> None:
    task = world.place.draft
    form = root.form("workflows_task_edit", task.pk)
    page = root.post("workflows_task_edit", task.pk, data={**form, **depending_on("up", "extrakt")})
    fault = "Depends on, row 2: There is no task “extrakt”."
    assert page.messages == [
        "The draft was saved; submit it to put it into force.",
        f"As it is, it would be refused: {fault}",
    ]
    address = f"{reverse('admin:workflows_task_edit', args=[task.pk])}#id_depends_on"
    shown = root.get("workflows_task_change", task.pk)
    assert fault in shown.text.replace(" :", ":") and f'href="{address}"' in shown.html
    assert 'id="id_depends_on"' in root.get("workflows_task_edit", task.pk).html
    refused = root.post("workflows_task_submit", task.pk)
    assert "Not submitted" in refused.text and fault in refused.text.replace(" :", ":")
    assert f'href="{address}"' in refused.html and "depends_on.1" not in refused.text


def test_what_can_be_submitted_together_is_no_fault(world: World, root: Browser) -> None:
    task = world.place.draft
    make_task("other", workflow=world.place.workflow)
    form = root.form("workflows_task_edit", task.pk)
    page = root.post("workflows_task_edit", task.pk, data={**form, **depending_on("up", "other")})
    assert len(page.messages) == 1
    assert "would be refused" not in root.get("workflows_task_change", task.pk).text


def test_the_first_saving_says_so_too(world: World, root: Browser) -> None:
    form = {**root.form("workflows_task_add"), "name": "fresh", "code": "true", "type": "shell"}
    form |= {"workflow": world.place.workflow.pk, "schedule_at": "00:00"}
    page = root.post("workflows_task_add", data={**form, **depending_on("extrakt")})
    assert Task.objects.filter(name="fresh").exists()
    assert page.messages[0] == "The draft was saved; submit it to put it into force."
    assert "no task “extrakt”" in page.messages[1]
