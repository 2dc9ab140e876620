"""Drafts and workflows: making, changing, renaming and deleting them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.ground.refusals import Conflict, Forbidden, Invalid, NotFound
from projects.models import Operation
from projects.roles import Role
from tests.factories import (
    make_folder,
    make_member,
    make_project,
    make_submitted_task,
    make_task,
    make_user,
    make_workflow,
    mapping,
)
from workflows.editing.drafts import (
    NewTask,
    create_task,
    create_tasks,
    delete_draft_task,
    rename_task,
    save_draft,
)
from workflows.editing.workflows import create_workflow, update_workflow
from workflows.models import Task, Workflow

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T9")]


def fields_of(call: Any, **arguments: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        call(actor=None, **arguments)
    return list(caught.value.fields)


def test_a_draft_is_kept_in_its_normal_form() -> None:
    workflow = make_workflow()
    draft = mapping(priority=5, depends_on=[{"task": "a", "offset": "same"}], retries={})
    task = create_task(actor=None, workflow_id=workflow.pk, name="load", draft=draft)
    assert task.draft == mapping(depends_on=["a"])
    assert (task.status, task.type, task.project) == ("DRAFT", "shell", workflow.project)


def test_new_tasks_come_after_the_others() -> None:
    workflow = make_workflow()
    make_task("b", workflow=workflow)
    make_task("a", workflow=workflow)
    assert [task.name for task in workflow.tasks.all()] == ["b", "a"]


@pytest.mark.item("1.13", "3.30")
def test_who_makes_a_task_owns_it_unless_others_are_named() -> None:
    project = make_project()
    ada, bob = make_member(project), make_member(project)
    workflow = make_workflow(project=project)
    workflow.owners.set([bob])
    options: dict[str, Any] = {"workflow_id": workflow.pk, "draft": mapping()}
    assert set(create_task(actor=ada, name="a", **options).owners.all()) == {ada}
    one = create_task(actor=ada, name="b", owner_ids=[bob.pk], **options)
    assert set(one.owners.all()) == {bob}
    assert set(create_task(actor=None, name="system", **options).owners.all()) == {bob}
    stranger = make_user()
    assert fields_of(
        create_task,
        workflow_id=workflow.pk,
        name="c",
        draft=mapping(),
        owner_ids=[bob.pk, stranger.pk],
    ) == ["owners.1"]


@pytest.mark.parametrize(
    ("name", "draft", "fields"),
    [
        ("", mapping(), ["name"]),
        ("a/b", mapping(), ["name"]),
        (" a", mapping(), ["name"]),
        ("a\n", mapping(), ["name"]),
        ("\x00", mapping(), ["name"]),
        ("x" * 101, mapping(), ["name"]),
        ("taken", mapping(), ["name"]),
        ("free", mapping(timeout=0, priority=2), ["timeout", "priority"]),
        ("free", {"type": "shell"}, ["code", "schedule"]),
        ("free", [], [""]),
    ],
)
def test_a_bad_name_or_draft_is_refused_at_its_field(
    name: str, draft: Any, fields: list[str]
) -> None:
    workflow = make_workflow()
    make_task("taken", workflow=workflow)
    found = fields_of(create_task, workflow_id=workflow.pk, name=name, draft=draft)
    assert [field for field in found if field in fields] == fields
    assert list(Task.objects.values_list("name", flat=True)) == ["taken"]


def test_several_tasks_are_made_together_or_not_at_all() -> None:
    workflow = make_workflow()
    tasks = [NewTask("a", mapping()), NewTask("a", mapping()), NewTask("b", mapping(timeout=0))]
    assert fields_of(create_tasks, workflow_id=workflow.pk, tasks=tasks) == ["a.name", "b.timeout"]
    assert not Task.objects.exists()


def test_saving_a_draft_leaves_operations_alone() -> None:
    task = make_submitted_task("load")
    save_draft(actor=None, task_id=task.pk, draft=mapping(type="python", code="x"))
    task.refresh_from_db()
    assert task.draft["type"] == "python"
    assert (task.type, task.version.definition["type"]) == ("shell", "shell")


def test_a_task_never_submitted_has_the_type_of_its_draft() -> None:
    task = make_task("load")
    save_draft(actor=None, task_id=task.pk, draft=mapping(type="virtual"))
    task.refresh_from_db()
    assert task.type == "virtual"


def test_a_refused_draft_changes_nothing() -> None:
    task = make_task("load", code="one")
    assert fields_of(save_draft, task_id=task.pk, draft=mapping(schedule={"cycle": "never"})) == [
        "schedule.cycle"
    ]
    task.refresh_from_db()
    assert task.draft["code"] == "one"


@pytest.mark.feature("T12")
def test_drafts_that_name_a_task_follow_its_new_name() -> None:
    project = make_project("p")
    here, there = make_workflow("here", project=project), make_workflow("there", project=project)
    load = make_task("load", workflow=here)
    near = make_task("near", workflow=here, depends_on=["load", {"task": "x", "scope": "latest"}])
    make_task("load", workflow=there)
    far = make_task(
        "far",
        workflow=there,
        depends_on=["load", {"task": "here/load", "offset": "previous"}, "p/here/load"],
    )
    foreign = make_task("foreign", depends_on=["p/here/load"])

    rename_task(actor=None, task_id=load.pk, name="fetch")

    for task in (near, far, foreign, load):
        task.refresh_from_db()
    assert load.name == "fetch"
    assert near.draft["depends_on"] == ["fetch", {"task": "x", "scope": "latest"}]
    assert far.draft["depends_on"] == [
        "load",
        {"task": "here/fetch", "offset": "previous"},
        "p/here/fetch",
    ]
    assert foreign.draft["depends_on"] == ["p/here/load"]


@pytest.mark.feature("T12")
def test_drafts_that_name_a_workflow_follow_its_new_name() -> None:
    project = make_project("p")
    here, there = make_workflow("here", project=project), make_workflow("there", project=project)
    make_task("load", workflow=here)
    far = make_task("far", workflow=there, depends_on=["here/load", "p/here/x", "here"])

    update_workflow(actor=None, workflow_id=here.pk, changes={"name": "raw"})

    far.refresh_from_db()
    assert far.draft["depends_on"] == ["raw/load", "p/raw/x", "here"]


def test_a_taken_name_is_refused() -> None:
    workflow = make_workflow()
    task = make_task("a", workflow=workflow)
    make_task("b", workflow=workflow)
    assert fields_of(rename_task, task_id=task.pk, name="b") == ["name"]
    assert rename_task(actor=None, task_id=task.pk, name="a").name == "a"


def test_only_what_was_never_submitted_is_deleted() -> None:
    draft, live = make_task("draft"), make_submitted_task("live")
    delete_draft_task(actor=None, task_id=draft.pk)
    with pytest.raises(Conflict) as caught:
        delete_draft_task(actor=None, task_id=live.pk)
    assert caught.value.code == "was_submitted"
    assert list(Task.objects.all()) == [live]


def test_a_workflow_belongs_to_who_made_it() -> None:
    project = make_project()
    ada = make_member(project)
    workflow = create_workflow(actor=ada, project_id=project.pk, name="flow")
    assert (workflow.created_by, list(workflow.owners.all())) == (ada, [ada])


def test_a_workflow_is_changed_field_by_field() -> None:
    project = make_project()
    ada = make_member(project)
    folder = make_folder(project)
    workflow = make_workflow("flow", project=project, description="old")
    update_workflow(
        actor=None,
        workflow_id=workflow.pk,
        changes={"folder_id": folder.pk, "time_zone": "Asia/Tokyo", "owner_ids": [ada.pk]},
    )
    workflow.refresh_from_db()
    assert (workflow.folder, workflow.time_zone) == (folder, "Asia/Tokyo")
    assert (workflow.name, workflow.description) == ("flow", "old")
    assert list(workflow.owners.all()) == [ada]
    update_workflow(actor=None, workflow_id=workflow.pk, changes={"folder_id": None})
    workflow.refresh_from_db()
    assert workflow.folder is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "taken"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"folder_id": 0}, "folder"),
        ({"time_zone": "Mars"}, "time_zone"),
        ({"description": "x" * 10_001}, "description"),
        ({"description": "\x00"}, "description"),
        ({"owner_ids": [0]}, "owners.0"),
    ],
)
def test_a_bad_change_of_a_workflow_is_refused_at_its_field(changes: Any, field: str) -> None:
    workflow = make_workflow("flow")
    make_workflow("taken", project=workflow.project)
    assert fields_of(update_workflow, workflow_id=workflow.pk, changes=changes) == [field]
    new = {"name": "new", **changes}
    assert fields_of(create_workflow, project_id=workflow.project_id, **new) == [field]
    assert set(Workflow.objects.values_list("name", flat=True)) == {"flow", "taken"}


@pytest.mark.feature("P1", "P2")
def test_developing_takes_the_right_to() -> None:
    task = make_task("a")
    workflow = task.workflow
    viewer = make_member(task.project, Role.VIEWER)
    calls: list[tuple[Any, dict[str, Any]]] = [
        (create_task, {"workflow_id": workflow.pk, "name": "b", "draft": mapping()}),
        (save_draft, {"task_id": task.pk, "draft": mapping()}),
        (rename_task, {"task_id": task.pk, "name": "b"}),
        (delete_draft_task, {"task_id": task.pk}),
        (create_workflow, {"project_id": task.project_id, "name": "b"}),
        (update_workflow, {"workflow_id": workflow.pk, "changes": {"name": "b"}}),
    ]
    for call, arguments in calls:
        with pytest.raises(Forbidden):
            call(actor=viewer, **arguments)
        with pytest.raises(NotFound):
            call(actor=make_user(), **arguments)
    assert not Operation.objects.exclude(verb="tasks.create").exists()


def test_the_number_of_queries_does_not_depend_on_the_number_of_tasks() -> None:
    counts = []
    for size in (2, 20):
        workflow = make_workflow()
        tasks = [NewTask(f"t{number}", mapping(depends_on=["first"])) for number in range(size)]
        with CaptureQueriesContext(connection) as creating:
            create_tasks(actor=None, workflow_id=workflow.pk, tasks=tasks)
        first = make_task("first", workflow=workflow)
        with CaptureQueriesContext(connection) as renaming:
            rename_task(actor=None, task_id=first.pk, name="renamed")
        counts.append((len(creating), len(renaming)))
    assert counts[0] == counts[1]
