"""Filters: which rows they leave."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import django_filters
import pytest
from django.db.models import QuerySet

from projects.ground import clock
from tests.factories import (
    make_folder,
    make_project,
    make_resource_group,
    make_submitted_task,
    make_submitted_tasks,
    make_task,
    make_user,
    make_workflow,
)
from workflows.filters import (
    DependencyFilter,
    FolderFilter,
    TaskFilter,
    TaskVersionFilter,
    WorkflowFilter,
)
from workflows.models import Dependency, Folder, Task, TaskVersion, Workflow
from workflows.verbs.task_status import pause

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T6")]


def left(filters: type[django_filters.FilterSet], queryset: QuerySet, **data: Any) -> set[str]:
    found = filters(data, queryset=queryset)
    assert found.is_valid(), found.errors
    return {str(row) for row in found.qs}


def tasks(**data: Any) -> set[str]:
    return left(TaskFilter, Task.objects.all(), **data)


def workflows(**data: Any) -> set[str]:
    return left(WorkflowFilter, Workflow.objects.all(), **data)


@pytest.fixture
def tree() -> dict[str, Folder]:
    project, other = make_project(), make_project()
    root = make_folder(project, "root")
    below = make_folder(project, "below", parent=root)
    beside = make_folder(project, "root2")
    elsewhere = make_folder(other, "root")
    for folder in (root, below, beside, elsewhere):
        workflow = make_workflow(f"w_{folder.pk}", project=folder.project, folder=folder)
        make_task(f"t_{folder.pk}", workflow=workflow)
    make_task("t_outside", workflow=make_workflow("w_outside", project=project))
    return {"root": root, "below": below, "beside": beside, "elsewhere": elsewhere}


def test_by_name_or_id_with_alternatives() -> None:
    a, b = make_task("Load_orders"), make_task("load_users")
    make_task("report")
    assert tasks(search="LOAD") == {"Load_orders", "load_users"}
    assert tasks(search="orders | users") == {"Load_orders", "load_users"}
    assert tasks(search=f"{b.pk}") == {"load_users"}
    assert tasks(id=f"{a.pk},{b.pk}") == {"Load_orders", "load_users"}
    assert tasks(search="%") == set()
    assert tasks(search="9" * 40) == set()


@pytest.mark.feature("W8")
def test_by_folder_with_and_without_those_below(tree: dict[str, Folder]) -> None:
    root, below, beside = tree["root"].pk, tree["below"].pk, tree["beside"].pk
    assert tasks(folder=root) == {f"t_{root}", f"t_{below}"}
    assert tasks(folder=root, subfolders=False) == {f"t_{root}"}
    assert tasks(folder=f"{below},{beside}") == {f"t_{below}", f"t_{beside}"}
    assert workflows(folder=root) == {f"w_{root}", f"w_{below}"}
    assert workflows(folder=root, subfolders=False) == {f"w_{root}"}
    assert tasks(folder=10**15) == set()


@pytest.mark.feature("W8")
def test_by_project_workflow_and_owner() -> None:
    ada, bob = make_user(), make_user()
    first = make_task("first")
    second = make_task("second")
    first.owners.set([ada, bob])
    second.owners.set([bob])
    first.workflow.owners.set([ada])
    assert tasks(project=first.project_id) == {"first"}
    assert tasks(workflow=second.workflow_id) == {"second"}
    assert tasks(owner=ada.username) == {"first"}
    assert tasks(owner=[ada.username, bob.username]) == {"first", "second"}
    assert workflows(owner=ada.username) == {first.workflow.name}


def test_by_what_was_submitted() -> None:
    for name in ("big", "empty"):
        make_resource_group(name)
    make_submitted_task("a", type="virtual", resource_group="big", priority=8)
    make_submitted_task("b", schedule={"cycle": "hour", "every": 2})
    now = clock.now()
    assert tasks(type=["virtual"]) == {"a"}
    assert tasks(cycle=["hour", "week"]) == {"b"}
    assert tasks(priority=[8]) == {"a"}
    assert tasks(resource_group=["big", "empty"]) == {"a"}
    assert tasks(submitted_until=now.isoformat()) == {"a", "b"}
    assert tasks(submitted_from=(now + timedelta(hours=1)).isoformat()) == set()


@pytest.mark.feature("T2")
def test_by_status_as_the_clock_has_it() -> None:
    make_submitted_task("live")
    past = {"cycle": "day", "at": "00:00", "effective_until": "2020-01-01"}
    make_submitted_task("expired", schedule=past)
    pause(actor=None, ids=[make_submitted_task("paused").pk])
    make_task("draft")
    assert tasks(status=["SCHEDULING"]) == {"live"}
    assert tasks(status=["INVALID"]) == {"expired"}
    assert tasks(status=["PAUSED", "DRAFT"]) == {"paused", "draft"}
    assert tasks() == {"live", "expired", "paused", "draft"}


def test_folders_by_parent_and_path(tree: dict[str, Folder]) -> None:
    def folders(**data: Any) -> set[str]:
        rows = Folder.objects.filter(project=tree["root"].project)
        return left(FolderFilter, rows, **data)

    assert folders(parent=tree["root"].pk) == {"root/below"}
    assert folders(root=True) == {"root", "root2"}
    assert folders(id=tree["root"].pk) == {"root"}
    assert folders(project=tree["elsewhere"].project_id) == set()
    assert folders(search="below") == {"root/below"}


def test_versions_by_task_number_and_submitter() -> None:
    task, other = make_submitted_task("a"), make_submitted_task("b")
    user = make_user()
    TaskVersion.objects.filter(task=other).update(submitted_by=user)

    def versions(**data: Any) -> set[str]:
        return left(TaskVersionFilter, TaskVersion.objects.all(), **data)

    assert versions(task=task.pk) == {"a v1"}
    assert versions(id=[task.version_id, other.version_id]) == {"a v1", "b v1"}
    assert versions(project=task.project_id, workflow=task.workflow_id) == {"a v1"}
    assert versions(type="shell") == {"a v1", "b v1"}
    assert versions(number=1) == {"a v1", "b v1"}
    assert versions(submitted_by=user.username) == {"b v1"}
    assert versions(submitted_until="2020-01-01T00:00:00Z") == set()
    assert versions(submitted_from="2020-01-01T00:00:00Z") == {"a v1", "b v1"}


@pytest.mark.feature("T12")
def test_dependencies_by_their_ends() -> None:
    made = make_submitted_tasks(
        {
            "a": {},
            "b": {"depends_on": ["a"]},
            "c": {"depends_on": [{"task": "b", "offset": "previous"}]},
        }
    )
    a, b, c = (made[name] for name in "abc")

    def ends(**data: Any) -> set[str]:
        return left(DependencyFilter, Dependency.objects.all(), **data)

    assert ends(task=b.pk) == {"a → b", "b → c"}
    assert ends(upstream=a.pk) == {"a → b"}
    assert ends(downstream=c.pk) == {"b → c"}
    assert ends(offset="previous") == {"b → c"}
    assert ends(scope=["whole_period"]) == set()
    assert ends(project=a.project_id, workflow=a.workflow_id) == {"a → b", "b → c"}


@pytest.mark.parametrize("data", [{"id": "x"}, {"status": ["LOST"]}, {"submitted_from": "now"}])
def test_what_cannot_be_meant_is_a_fault_of_its_field(data: dict[str, Any]) -> None:
    found = TaskFilter(data, queryset=Task.objects.all())
    assert not found.is_valid()
    assert list(found.errors) == list(data)


@pytest.mark.parametrize(
    "filters",
    [
        TaskFilter,
        WorkflowFilter,
        FolderFilter,
        TaskVersionFilter,
        DependencyFilter,
    ],
)
def test_every_filter_is_tested_here(filters: type[django_filters.FilterSet]) -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in filters.base_filters if f"{name}=" not in text] == []
