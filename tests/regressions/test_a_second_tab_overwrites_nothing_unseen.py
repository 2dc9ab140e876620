"""Who saves what somebody else has changed meanwhile is refused, and shown what differs."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from backfill.models import Plan
from projects.models import Operation
from tests.admin.browsing import Browser, Page
from tests.api.caller import Caller
from tests.api.world import World
from workflows.models import Folder, Task, Workflow

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T9", "W1", "B6")]


@pytest.fixture
def root(world: World) -> Browser:
    client = Client()
    client.force_login(world.superuser)
    return Browser(client)


def code_of(task: Task) -> str:
    return Task.objects.get(pk=task.pk).draft["code"]


@pytest.mark.item("U7.2")
def test_the_second_of_two_tabs_sees_what_differs_and_may_save_then(
    world: World, root: Browser
) -> None:
    task, page = world.place.draft, "workflows_task_edit"
    first = root.form(page, task.pk)
    second = dict(first)
    root.post(page, task.pk, data={**first, "code": "echo A"})
    assert code_of(task) == "echo A"
    before = Operation.objects.count()
    shown = root.post(page, task.pk, data={**second, "code": "echo B", "timeout": "60"})
    assert code_of(task) == "echo A" and Operation.objects.count() == before
    faults = shown.form_faults
    assert "Somebody changed it since you opened it" in faults["__all__"][0]
    assert faults["code"] == ["@@ -1 +1 @@", "-echo A", "+echo B"]
    assert "timeout" in faults
    assert "echo B</textarea>" in shown.html  # what was typed is still there
    again = {
        **second,
        "code": "echo B",
        "revision": shown.context["adminform"].form["revision"].value(),
    }
    root.post(page, task.pk, data=again)
    assert code_of(task) == "echo B"


def test_saving_twice_in_one_tab_is_no_conflict(world: World, root: Browser) -> None:
    page, pk = "workflows_task_edit", world.place.draft.pk
    for code in ("echo A", "echo B"):
        root.post(page, pk, data={**root.form(page, pk), "code": code})
        assert code_of(world.place.draft) == code


def test_owners_are_named_in_what_differs(world: World, root: Browser) -> None:
    page, pk = "workflows_workflow_edit", world.place.workflow.pk
    first = root.form(page, pk)
    ada, bob = world.users["developer"], world.users["operator"]
    root.post(page, pk, data={**first, "owners": [ada.pk]})
    shown = root.post(page, pk, data={**first, "owners": [bob.pk]})
    assert {"-developer", "+operator"} <= set(shown.form_faults["owners"])


@pytest.mark.parametrize("noun", ["workflow", "folder"])
def test_settings_of_workflows_and_folders_too(world: World, root: Browser, noun: str) -> None:
    place = world.place
    model, pk = (Workflow, place.workflow.pk) if noun == "workflow" else (Folder, place.folder.pk)
    page = "workflows_workflow_edit" if noun == "workflow" else "workflows_folder_change"
    first = root.form(page, pk)
    root.post(page, pk, data={**first, "name": "theirs"})
    shown = root.post(page, pk, data={**first, "name": "mine"})
    assert shown.form_faults["name"] == ["@@ -1 +1 @@", "-theirs", "+mine"]
    assert model.objects.get(pk=pk).name == "theirs"


def test_the_api_takes_the_revision_that_it_gave(world: World) -> None:
    caller, place = Caller(world.superuser), world.place
    changes: dict[str, dict[str, Any]] = {
        f"tasks/{place.draft.pk}/": {
            "definition": {
                "type": "shell",
                "code": "B",
                "schedule": {"cycle": "day", "at": "00:00"},
            }
        },
        f"workflows/{place.workflow.pk}/": {"description": "B"},
        f"folders/{place.folder.pk}/": {"name": "B"},
        f"backfills/{place.plan.pk}/": {"spec": {**place.plan.spec, "run_mode": "day_by_day"}},
    }
    for address, change in changes.items():
        seen = caller.get(address)["revision"]
        theirs = caller.call("PATCH", address, {"name": "theirs", "revision": seen}).json()
        assert theirs["revision"] != seen
        refused = caller.call("PATCH", address, {**change, "revision": seen})
        assert (refused.status_code, refused.json()["code"]) == (409, "changed_meanwhile")
        assert refused.json()["fields"]
        if "definition" in change:
            assert "+B" in refused.json()["fields"]["definition.code"]
        if "spec" in change:
            assert "+day_by_day" in refused.json()["fields"]["spec.run_mode"]
        done = caller.call("PATCH", address, {**change, "revision": theirs["revision"]})
        assert done.status_code == 200, done.content
        # Who asks for none overwrites, as before.
        assert caller.call("PATCH", address, {"name": "last"}).status_code == 200
    assert [row["revision"] for row in caller.all("workflows/")] == [
        caller.get(f"workflows/{row['id']}/")["revision"] for row in caller.all("workflows/")
    ]


def test_drafts_of_plans_too(world: World, root: Browser) -> None:
    plan = world.place.plan
    address = reverse("admin:backfill_plan_edit", args=[plan.pk])
    first, second = (root.client.get(address).headers["Location"] for _ in range(2))
    seen = Page(root.client.get(first)).context["wanted"].revision
    typed = {
        "project": world.place.project.pk,
        "kind": "tasks",
        "ids_tasks": [world.place.up.pk],
        "period_first": "2024-05-01",
        "period_last": "2024-05-03",
        "name": "theirs",
        "revision": seen,
        "go": "save",
    }
    assert (
        reverse("admin:backfill_plan_change", args=[plan.pk])
        in (root.client.post(first, typed).headers["Location"])
    )
    mine = {**typed, "name": "mine", "period_last": "2024-05-04"}
    shown = Page(root.client.post(second, mine, follow=True))
    wanted = shown.context["wanted"]
    assert Plan.objects.get(pk=plan.pk).name == "theirs"
    # All that differs at once, on the step where it is saved.
    assert wanted.step_at_fault() == 3
    told = wanted.other_errors()
    assert {"name: -theirs", "name: +mine"} <= set(told)
    assert any(line.startswith("periods: +") for line in told)
    assert "name: -theirs" in shown.text
    assert "Somebody changed it since you opened it" in shown.text
    assert f'name="revision" value="{wanted.revision}"' in shown.html
    root.client.post(second, {**mine, "revision": wanted.revision})
    saved = Plan.objects.get(pk=plan.pk)
    assert (saved.name, str(saved.last_data_date)) == ("mine", "2024-05-04")
    # Sent twice: nothing differs from what is saved.
    again = root.client.post(second, {**mine, "revision": wanted.revision})
    assert again.headers["Location"] == reverse("admin:backfill_plan_change", args=[plan.pk])
