"""Workflows and folders: list, page, settings, import and export."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.admin.browsing import Browser
from tests.api.world import World
from tests.factories import make_folder, make_submitted_tasks, make_workflow
from workflows.bundles.exporting import export_workflow
from workflows.models import Folder, Task, Workflow

pytestmark = pytest.mark.django_db

LIST = "workflows_workflow_changelist"
BUNDLE = """\
tidemill: 1
workflow: imported
folder: a/b
tasks:
  - name: one
    type: virtual
    schedule: {cycle: day, at: "00:00"}
  - name: two
    type: shell
    schedule: {cycle: day, at: "01:00"}
    depends_on: [one]
    code: "true"
"""


@pytest.mark.feature("W1")
@pytest.mark.item("3.4", "3.5", "3.11")
def test_the_list_tells_name_folder_owners_tasks_and_submissions(
    world: World, operator: Browser
) -> None:
    page = operator.get(LIST)
    assert page.columns[1:] == [
        "Name",
        "ID",
        "Project",
        "Folder",
        "Owners",
        "Tasks",
        "First submission",
        "Last submission",
    ]
    assert page.ids == [world.place.workflow.pk]
    for text in (world.place.folder.path, "2 scheduling", "1 draft"):
        assert text in page.text


@pytest.mark.feature("W8")
def test_the_list_filters(world: World, operator: Browser) -> None:
    other = make_workflow("other", project=world.place.project)
    # A name without a number: it might have the id in it that is looked for.
    Workflow.objects.filter(pk=world.place.workflow.pk).update(name="first")
    for query, expected in (
        ({"folder": world.place.folder.pk}, [world.place.workflow.pk]),
        ({"q": "oth|nothing"}, [other.pk]),
        ({"q": str(other.pk)}, [other.pk]),
        ({"owner": "nobody"}, []),
    ):
        assert operator.get(LIST, **query).ids == expected, query


@pytest.mark.feature("W7")
@pytest.mark.item("3.8")
def test_the_page_draws_the_tasks_as_links_and_lists_them(world: World, operator: Browser) -> None:
    page = operator.get("workflows_workflow_change", world.place.workflow.pk)
    assert 'class="tm-dag"' in page.html
    for task in (world.place.up, world.place.down, world.place.draft):
        assert f"/admin/workflows/task/{task.pk}/change/" in page.html


@pytest.mark.feature("P2")
def test_a_foreign_neighbour_is_a_closed_box(world: World, operator: Browser) -> None:
    theirs = world.elsewhere.workflow
    (foreign,) = make_submitted_tasks(
        {"foreign": {"depends_on": [f"here/{world.place.workflow.name}/up"]}}, workflow=theirs
    ).values()
    page = operator.get("workflows_workflow_change", world.place.workflow.pk)
    assert f"task {foreign.pk}" in page.text
    assert f"/admin/workflows/task/{foreign.pk}/change/" not in page.html
    assert theirs.name not in page.text


def test_a_workflow_is_made_and_changed(world: World, operator: Browser) -> None:
    form = operator.form("workflows_workflow_add")
    data = {**form, "project": world.place.project.pk, "name": "fresh", "time_zone": "Mars/Base"}
    page = operator.post("workflows_workflow_add", data=data)
    assert list(page.form_faults) == ["time_zone"]
    operator.post("workflows_workflow_add", data={**data, "time_zone": "Europe/Berlin"})
    fresh = Workflow.objects.get(name="fresh")
    assert [user.username for user in fresh.owners.all()] == ["operator"]

    changed = {**operator.form("workflows_workflow_edit", fresh.pk)}
    changed |= {"name": "renamed", "folder": world.place.folder.pk}
    operator.post("workflows_workflow_edit", fresh.pk, data=changed)
    fresh.refresh_from_db()
    assert (fresh.name, fresh.folder, fresh.time_zone) == (
        "renamed",
        world.place.folder,
        "Europe/Berlin",
    )


def test_a_workflow_does_not_go_into_a_foreign_folder(world: World, operator: Browser) -> None:
    data = {**operator.form("workflows_workflow_edit", world.place.workflow.pk)}
    data["folder"] = world.elsewhere.folder.pk
    page = operator.post("workflows_workflow_edit", world.place.workflow.pk, data=data)
    assert list(page.form_faults) == ["folder"]


@pytest.mark.feature("W3")
def test_pausing_a_workflow_pauses_its_tasks_and_leaves_drafts_alone(
    world: World, operator: Browser
) -> None:
    page = operator.act(LIST, "pause_chosen", world.place.workflow.pk)
    assert "Pause 2 tasks" in page.text
    operator.post(
        "workflows_task_operate", "pause", data={"ids": page.context["ids"], "confirmed": "1"}
    )
    statuses = dict(world.place.workflow.tasks.values_list("name", "status"))
    assert statuses == {"up": "PAUSED", "down": "PAUSED", "draft": "DRAFT"}


@pytest.mark.feature("T9")
def test_all_tasks_are_submitted_as_one_batch(world: World, operator: Browser) -> None:
    page = operator.post(
        "workflows_workflow_submit", world.place.workflow.pk, data={"comment": "all"}
    )
    assert page.messages[0].startswith("3 tasks submitted")
    assert Task.objects.get(pk=world.place.draft.pk).version.comment == "all"


@pytest.mark.feature("B2", "W9")
@pytest.mark.item("0.1", "3.17")
def test_chosen_workflows_go_to_the_backfill_wizard(world: World, operator: Browser) -> None:
    wanted = operator.act(LIST, "backfill_chosen", world.place.workflow.pk).context["wanted"]
    assert (wanted.kind, wanted.ids) == ("workflows", [world.place.workflow.pk])


def test_a_workflow_is_exported_as_its_file(world: World, operator: Browser) -> None:
    page = operator.get("workflows_workflow_export", world.place.workflow.pk)
    assert page.html == export_workflow(world.place.workflow, actor=None)
    name = world.place.workflow.name
    assert page.response.headers["Content-Disposition"] == f'attachment; filename="{name}.yaml"'
    chosen = operator.act(LIST, "export_chosen", world.place.workflow.pk)
    assert chosen.html == page.html


def test_a_file_is_imported_and_submitted(world: World, operator: Browser) -> None:
    file = SimpleUploadedFile("w.yaml", BUNDLE.encode())
    data = {"project": world.place.project.pk, "file": file, "submit": "on"}
    page = operator.post("workflows_workflow_import", data=data)
    assert page.messages[0] == "Workflow imported was created."
    imported = Workflow.objects.get(name="imported")
    assert dict(imported.tasks.values_list("name", "status")) == {
        "one": "SCHEDULING",
        "two": "SCHEDULING",
    }


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (BUNDLE.replace("type: shell", "type: shel"), 9, "There is no task type “shel”"),
        (BUNDLE.replace('"01:00"', '"25:00"'), 10, "is not a time of day"),
        (BUNDLE.replace("[one]", "[three]"), 11, "three"),
        ("tidemill: 1\nworkflow: [", 3, ""),
        (BUNDLE.replace("depends_on: [one]", "depends_on: [two]"), 11, "self"),
    ],
)
def test_what_is_wrong_with_a_file_stands_at_its_line_and_nothing_is_saved(
    world: World, operator: Browser, text: str, line: int, message: str
) -> None:
    data = {"project": world.place.project.pk, "text": text, "submit": "on"}
    page = operator.post("workflows_workflow_import", data=data)
    found = [(problem.line, str(problem)) for problem in page.context["problems"]]
    assert any(at == line and message in spelled for at, spelled in found), found
    assert not Workflow.objects.filter(name="imported").exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"text": " "}, "text"),
        ({"project": ""}, "project"),
        ({"file": SimpleUploadedFile("w.yaml", b"\xff\xfe")}, "file"),
    ],
)
def test_a_form_without_a_file_is_refused_at_its_field(
    world: World, operator: Browser, changes: dict[str, Any], field: str
) -> None:
    data = {"project": world.place.project.pk, "text": BUNDLE, **changes}
    page = operator.post("workflows_workflow_import", data=data)
    assert list(page.context["form"].errors) == [field]


def test_a_workflow_is_not_imported_into_a_foreign_project(world: World, operator: Browser) -> None:
    data = {"project": world.elsewhere.project.pk, "text": BUNDLE}
    page = operator.post("workflows_workflow_import", data=data)
    assert list(page.context["form"].errors) == ["project"]
    assert not Workflow.objects.filter(name="imported").exists()


def test_folders_are_made_renamed_moved_and_deleted_when_empty(
    world: World, operator: Browser
) -> None:
    outer = make_folder(world.place.project, "outer")
    data = {"project": world.place.project.pk, "parent": outer.pk, "name": "inner"}
    operator.post("workflows_folder_add", data=data)
    inner = Folder.objects.get(path="outer/inner")
    again = operator.post("workflows_folder_add", data=data)
    assert list(again.form_faults) == ["name"]
    operator.post("workflows_folder_change", inner.pk, data={"parent": "", "name": "moved"})
    assert Folder.objects.get(pk=inner.pk).path == "moved"
    operator.post("workflows_folder_change", outer.pk, data={"parent": inner.pk, "name": "outer"})
    assert Folder.objects.get(pk=outer.pk).path == "moved/outer"
    ring = operator.post(
        "workflows_folder_change", inner.pk, data={"parent": outer.pk, "name": "moved"}
    )
    assert list(ring.form_faults) == ["parent"]
    kept = operator.post("workflows_folder_delete", inner.pk, data={"post": "yes"})
    assert "not empty" in kept.messages[0]
    operator.post("workflows_folder_delete", outer.pk, data={"post": "yes"})
    assert not Folder.objects.filter(pk=outer.pk).exists()
