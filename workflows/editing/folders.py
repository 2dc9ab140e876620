"""Folders: making, renaming, moving and deleting them; `path` follows for the whole subtree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from projects.access import Actor, require, scope
from projects.ground.refusals import Coded, Conflict, Invalid, NotFound
from projects.roles import Right
from projects.verbs.recording import ItemOutcome, record
from workflows.editing.name_lock import lock_names
from workflows.editing.names import MAX_DEPTH, check_name, check_path
from workflows.editing.revisions import check_revision
from workflows.models import Folder


class FolderChanges(TypedDict, total=False):
    """What may change of a folder; a parent of None is the project's root."""

    name: str
    parent_id: int | None


def find_folder(actor: Actor, folder_id: int, right: Right) -> Folder:
    """Return a folder, locked; raise NotFound or Forbidden."""
    folder = scope(Folder.objects.filter(pk=folder_id), actor).select_for_update().first()
    if folder is None:
        raise NotFound(_("There is no folder {id} in your projects.").format(id=folder_id))
    require(actor, folder.project_id, right)
    return folder


@transaction.atomic
def create_folder(
    *, actor: Actor, project_id: int, name: str, parent_id: int | None = None
) -> Folder:
    """Make a folder in `parent_id`, or in the project's root."""
    require(actor, project_id, Right.DEVELOP)
    parent = _find_parent(actor, project_id, parent_id)
    path = _free_path(project_id, parent, name)
    folder = Folder.objects.create(project_id=project_id, parent=parent, name=name, path=path)
    _record(actor, "folders.create", folder)
    return folder


def ensure_folders(project_id: int, paths: Iterable[str]) -> dict[str, Folder]:
    """Return {path: folder}, making the folders that are missing, ancestors included.

    The paths are made of good names; rights and record are the caller's. One query for each level
    of the tree that is missing.
    """
    paths = list(paths)
    wanted = {
        "/".join(parts[: length + 1])
        for parts in (path.split("/") for path in paths)
        for length in range(len(parts))
    }
    folders = Folder.objects.filter(project_id=project_id, path__in=wanted)
    found = {folder.path: folder for folder in folders}
    for level in range(MAX_DEPTH):
        missing = [path for path in wanted - found.keys() if path.count("/") == level]
        created = Folder.objects.bulk_create(
            [
                Folder(
                    project_id=project_id,
                    parent=found.get(path.rpartition("/")[0]),
                    name=path.rpartition("/")[2],
                    path=path,
                )
                for path in sorted(missing)
            ]
        )
        found |= {folder.path: folder for folder in created}
    return {path: found[path] for path in paths}


@transaction.atomic
def update_folder(
    *, actor: Actor, folder_id: int, changes: FolderChanges, revision: str | None = None
) -> Folder:
    """Rename and move a folder; raise Outdated when `revision` is not the present one."""
    folder = find_folder(actor, folder_id, Right.DEVELOP)
    sent = {name.removesuffix("_id"): value for name, value in changes.items()}
    check_revision(folder, revision, sent, actor=actor)
    if "parent_id" in changes:
        folder = move_folder(actor=actor, folder_id=folder_id, parent_id=changes["parent_id"])
    if "name" in changes:
        folder = rename_folder(actor=actor, folder_id=folder_id, name=changes["name"])
    return folder


@transaction.atomic
def rename_folder(*, actor: Actor, folder_id: int, name: str) -> Folder:
    """Rename a folder; the paths below follow."""
    folder = find_folder(actor, folder_id, Right.DEVELOP)
    if name != folder.name:
        path = _free_path(folder.project_id, folder.parent, name)
        _relocate(actor, "folders.rename", folder, path, name=name)
    return folder


@transaction.atomic
def move_folder(*, actor: Actor, folder_id: int, parent_id: int | None) -> Folder:
    """Move a folder, with all that is in it, into another one of its project, or to the root."""
    folder = find_folder(actor, folder_id, Right.DEVELOP)
    parent = _find_parent(actor, folder.project_id, parent_id)
    if parent is not None and f"{parent.path}/".startswith(f"{folder.path}/"):
        message = _("A folder cannot move into itself.")
        raise Invalid.from_pairs([("parent", message)], code="cycle")
    if folder.parent_id != parent_id:
        path = _free_path(folder.project_id, parent, folder.name)
        _relocate(actor, "folders.move", folder, path, parent=parent)
    return folder


@transaction.atomic
def delete_folder(*, actor: Actor, folder_id: int) -> None:
    """Delete an empty folder; raise Conflict for any other."""
    folder = find_folder(actor, folder_id, Right.DEVELOP)
    if folder.children.exists() or folder.workflows.exists():
        message = _("The folder {path} is not empty.").format(path=folder.path)
        raise Conflict(message, code="not_empty")
    _record(actor, "folders.delete", folder)
    folder.delete()


def in_folders(folders: Sequence[Folder], *, path: str = "", subfolders: bool = True) -> Q:
    """Return the condition for rows whose workflow is in one of the folders.

    `path` reaches the workflow from the queryset's model, such as "workflow__".
    """
    condition = Q(pk__in=[])
    for folder in folders:
        own = Q(**{f"{path}folder": folder.pk})
        if subfolders:
            own |= Q(
                **{
                    f"{path}project": folder.project_id,
                    f"{path}folder__path__startswith": f"{folder.path}/",
                }
            )
        condition |= own
    return condition


def _find_parent(actor: Actor, project_id: int, parent_id: int | None) -> Folder | None:
    if parent_id is None:
        return None
    visible = scope(Folder.objects.filter(pk=parent_id, project_id=project_id), actor)
    parent = visible.select_for_update().first()
    if parent is None:
        message = _("This project has no folder {id}.").format(id=parent_id)
        raise Invalid.from_pairs([("parent", message)])
    return parent


def _free_path(project_id: int, parent: Folder | None, name: str) -> str:
    path = f"{parent.path}/{name}" if parent else name
    faults = check_name(name) or check_path(path, "parent")
    lock_names(project_id)
    if not faults and Folder.objects.filter(project_id=project_id, path=path).exists():
        message = _("There is a folder of this name here already.")
        faults = [("name", Coded(message, "name_taken"))]
    if faults:
        raise Invalid.from_pairs(faults)
    return path


def _relocate(actor: Actor, verb: str, folder: Folder, path: str, **changes: Any) -> None:
    """Give the folder its new path, and the subtree the paths that follow from it."""
    old = folder.path
    below = Folder.objects.filter(project_id=folder.project_id, path__startswith=f"{old}/")
    deepest = max((one.count("/") for one in below.values_list("path", flat=True)), default=0)
    if deepest - old.count("/") + path.count("/") >= MAX_DEPTH:
        message = _("At most {most} levels.").format(most=MAX_DEPTH)
        raise Invalid.from_pairs([("parent", message)])
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_folder SET path = %(new)s || substr(path, length(%(old)s) + 1)
            WHERE project_id = %(project)s AND starts_with(path, %(old)s || '/')
            """,
            {"new": path, "old": old, "project": folder.project_id},
        )
    folder.path = path
    for field, value in changes.items():
        setattr(folder, field, value)
    folder.save(update_fields=["path", *changes])
    _record(actor, verb, folder, options={"old_path": old})


def _record(
    actor: Actor, verb: str, *folders: Folder, options: dict[str, Any] | None = None
) -> None:
    record(
        actor=actor,
        verb=verb,
        object_type="folder",
        project_id=folders[0].project_id,
        options=options,
        outcomes=[ItemOutcome(id=folder.pk, label=folder.path) for folder in folders],
    )
