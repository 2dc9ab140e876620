"""Folders: paths that follow, and what is refused."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.ground.refusals import Conflict, Forbidden, Invalid, NotFound
from projects.roles import Role
from tests.factories import make_folder, make_member, make_project, make_user, make_workflow
from workflows.editing.folders import (
    create_folder,
    delete_folder,
    ensure_folders,
    move_folder,
    rename_folder,
)
from workflows.models import Folder

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T6")]


def paths() -> set[str]:
    return set(Folder.objects.values_list("path", flat=True))


def test_a_rename_carries_the_whole_subtree_and_nothing_else() -> None:
    project = make_project()
    root = make_folder(project, "a")
    make_folder(project, "c", parent=make_folder(project, "b", parent=root))
    make_folder(project, "ab")
    rename_folder(actor=None, folder_id=root.pk, name="x_%")
    assert paths() == {"x_%", "x_%/b", "x_%/b/c", "ab"}
    rename_folder(actor=None, folder_id=root.pk, name="a")
    assert paths() == {"a", "a/b", "a/b/c", "ab"}


def test_a_move_carries_the_whole_subtree() -> None:
    project = make_project()
    a, b = make_folder(project, "a"), make_folder(project, "b")
    make_folder(project, "inner", parent=a)
    move_folder(actor=None, folder_id=a.pk, parent_id=b.pk)
    assert paths() == {"b", "b/a", "b/a/inner"}
    move_folder(actor=None, folder_id=a.pk, parent_id=None)
    assert paths() == {"b", "a", "a/inner"}
    a.refresh_from_db()
    assert a.parent is None


def test_a_folder_never_moves_into_itself() -> None:
    project = make_project()
    a = make_folder(project, "a")
    below = make_folder(project, "c", parent=make_folder(project, "b", parent=a))
    for target in (a, below):
        with pytest.raises(Invalid) as caught:
            move_folder(actor=None, folder_id=a.pk, parent_id=target.pk)
        assert (caught.value.code, list(caught.value.fields)) == ("cycle", ["parent"])
    assert paths() == {"a", "a/b", "a/b/c"}


def test_names_are_free_and_good() -> None:
    project = make_project()
    a = make_folder(project, "a")
    b = make_folder(project, "b")
    make_folder(project, "a", parent=b)
    for call, arguments in (
        (create_folder, {"project_id": project.pk, "name": "a"}),
        (create_folder, {"project_id": project.pk, "name": "a/b"}),
        (rename_folder, {"folder_id": a.pk, "name": "b"}),
        (move_folder, {"folder_id": a.pk, "parent_id": b.pk}),
    ):
        with pytest.raises(Invalid) as caught:
            call(actor=None, **arguments)
        assert list(caught.value.fields) == ["name"]
    assert paths() == {"a", "b", "b/a"}


def test_a_parent_is_of_the_same_project() -> None:
    folder, elsewhere = make_folder(make_project(), "a"), make_folder(make_project(), "b")
    for call, arguments in (
        (create_folder, {"project_id": folder.project_id, "name": "c"}),
        (move_folder, {"folder_id": folder.pk}),
    ):
        with pytest.raises(Invalid) as caught:
            call(actor=None, parent_id=elsewhere.pk, **arguments)
        assert list(caught.value.fields) == ["parent"]


def test_only_an_empty_folder_is_deleted() -> None:
    project = make_project()
    parent = make_folder(project, "parent")
    child = make_folder(project, "child", parent=parent)
    used = make_folder(project, "used")
    make_workflow(project=project, folder=used)
    for folder in (parent, used):
        with pytest.raises(Conflict) as caught:
            delete_folder(actor=None, folder_id=folder.pk)
        assert caught.value.code == "not_empty"
    delete_folder(actor=None, folder_id=child.pk)
    delete_folder(actor=None, folder_id=parent.pk)
    assert paths() == {"used"}


def test_missing_folders_are_made_with_all_above_them() -> None:
    project = make_project()
    kept = make_folder(project, "a")
    found = ensure_folders(project.pk, ["a/b/c", "d", "a"])
    assert {path: folder.path for path, folder in found.items()} == {
        "a/b/c": "a/b/c",
        "d": "d",
        "a": "a",
    }
    assert found["a"] == kept
    assert found["a/b/c"].parent.parent == kept
    assert paths() == {"a", "a/b", "a/b/c", "d"}


def test_depth_is_bounded() -> None:
    project = make_project()
    deep = ensure_folders(project.pk, ["/".join("abcdefghijklmnopqrst")])
    [deepest] = deep.values()
    with pytest.raises(Invalid):
        create_folder(actor=None, project_id=project.pk, name="x", parent_id=deepest.pk)
    top = make_folder(project, "top")
    with pytest.raises(Invalid):
        move_folder(actor=None, folder_id=Folder.objects.get(path="a").pk, parent_id=top.pk)


@pytest.mark.feature("P1", "P2")
def test_folders_are_for_developers() -> None:
    folder = make_folder(make_project(), "a")
    viewer, stranger = make_member(folder.project, Role.VIEWER), make_user()
    for call, arguments in (
        (create_folder, {"project_id": folder.project_id, "name": "b"}),
        (rename_folder, {"folder_id": folder.pk, "name": "b"}),
        (move_folder, {"folder_id": folder.pk, "parent_id": None}),
        (delete_folder, {"folder_id": folder.pk}),
    ):
        with pytest.raises(Forbidden):
            call(actor=viewer, **arguments)
        with pytest.raises(NotFound):
            call(actor=stranger, **arguments)
    assert paths() == {"a"}


def test_a_rename_costs_the_same_for_a_large_subtree() -> None:
    counts = []
    for size in (2, 20):
        project = make_project()
        root = make_folder(project, "a")
        for _ in range(size):
            make_folder(project, parent=root)
        with CaptureQueriesContext(connection) as queries:
            rename_folder(actor=None, folder_id=root.pk, name="b")
        counts.append(len(queries))
    assert counts[0] == counts[1]
