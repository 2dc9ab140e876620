"""Making workflows and changing what they are called, where they are and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from django.db import transaction
from django.utils.translation import gettext as _

from projects.access import Actor, require, scope
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.fields.faults import FieldError
from projects.ground.fields.json import text_fault
from projects.ground.refusals import Coded, Invalid, NotFound
from projects.ground.words import thousands
from projects.roles import Right
from projects.verbs.recording import ItemOutcome, record
from workflows.editing.name_lock import lock_names
from workflows.editing.names import check_name
from workflows.editing.owners import check_owners
from workflows.editing.renaming import new_workflow_name, rename_in_drafts
from workflows.editing.revisions import check_revision
from workflows.models import Folder, Workflow
from workflows.schedules.local_time import is_time_zone

MAX_DESCRIPTION_LENGTH = 10_000
_SETTINGS = ("description", "time_zone")


class WorkflowChanges(TypedDict, total=False):
    """What may change of a workflow; what is left out stays as it is."""

    name: str
    folder_id: int | None  # None: the project's root
    description: str
    time_zone: str  # empty: the project's
    owner_ids: list[int]


def find_workflow(actor: Actor, workflow_id: int, right: Right) -> Workflow:
    """Return a workflow with its project; raise NotFound or Forbidden."""
    visible = scope(Workflow.objects.select_related("project"), actor)
    workflow = visible.filter(pk=workflow_id).first()
    if workflow is None:
        raise NotFound(_("There is no workflow {id} in your projects.").format(id=workflow_id))
    require(actor, workflow.project_id, right)
    return workflow


def check_settings(*, description: object = "", time_zone: object = "") -> list[FieldError]:
    """Return what is wrong with a workflow's description or time zone."""
    faults: list[FieldError] = []
    if not isinstance(description, str):
        faults.append(("description", _("Must be a text.")))
    elif len(description) > MAX_DESCRIPTION_LENGTH:
        message = _("At most {most} characters.").format(most=thousands(MAX_DESCRIPTION_LENGTH))
        faults.append(("description", Coded(message, "description_too_long")))
    elif fault := text_fault(description):
        faults.append(("description", fault))
    if not isinstance(time_zone, str) or (time_zone and not is_time_zone(time_zone)):
        message = _("“{zone}” is not a time zone such as Europe/Berlin or UTC.")
        faults.append(("time_zone", message.format(zone=time_zone)))
    return faults


@transaction.atomic
def create_workflow(
    *,
    actor: Actor,
    project_id: int,
    name: str,
    folder_id: int | None = None,
    description: str = "",
    time_zone: str = "",
    owner_ids: Sequence[int] | None = None,
) -> Workflow:
    """Make an empty workflow; its creator owns it unless others are given.

    Raises Invalid with `name`, `folder`, `description`, `time_zone` or `owners`.
    """
    require(actor, project_id, Right.DEVELOP)
    lock_names(project_id)
    faults = check_name(name) + check_settings(description=description, time_zone=time_zone)
    if not faults and Workflow.objects.filter(project_id=project_id, name=name).exists():
        faults.append(("name", _name_taken()))
    folder, unknown_folder = _find_folder(project_id, folder_id)
    if owner_ids is None:
        owner_ids = [] if actor is None else [actor.pk]
    owners, unknown_owners = check_owners(project_id, owner_ids)
    faults += unknown_folder + unknown_owners
    if faults:
        raise Invalid.from_pairs(faults)
    workflow = Workflow.objects.create(
        project_id=project_id,
        folder=folder,
        name=name,
        description=description,
        time_zone=time_zone,
        created_by=actor,
    )
    workflow.owners.set(owners)
    _record(actor, "workflows.create", workflow)
    return workflow


@repeat_on_deadlock
@transaction.atomic
def update_workflow(
    *, actor: Actor, workflow_id: int, changes: WorkflowChanges, revision: str | None = None
) -> Workflow:
    """Change what `changes` names; drafts of the project that use an old name follow.

    A new time zone counts for the tasks' schedules from their next submission on. Raises Invalid
    with `name`, `folder`, `description`, `time_zone` or `owners`; Outdated when `revision` is not
    the present one.
    """
    workflow = find_workflow(actor, workflow_id, Right.DEVELOP)
    check_revision(workflow, revision, _as_edited(changes), actor=actor)
    new = {name: value for name, value in changes.items() if name not in ("folder_id", "owner_ids")}
    faults = check_settings(**{name: new[name] for name in _SETTINGS if name in new})
    if "name" in changes:
        faults += _check_new_name(workflow, changes["name"])
    if "folder_id" in changes:
        new["folder"], unknown = _find_folder(workflow.project_id, changes["folder_id"])
        faults += unknown
    owners: set[int] | None = None
    if "owner_ids" in changes:
        owners, unknown = check_owners(workflow.project_id, changes["owner_ids"])
        faults += unknown
    if faults:
        raise Invalid.from_pairs(faults)
    if "name" in changes and changes["name"] != workflow.name:
        renamed = new_workflow_name(workflow.project.name, workflow.name, changes["name"])
        rename_in_drafts(workflow.project_id, renamed)
    for name, value in new.items():
        setattr(workflow, name, value)
    workflow.save(update_fields=[*new, "updated_at"])
    if owners is not None:
        workflow.owners.set(owners)
    _record(actor, "workflows.update", workflow, options=dict(changes))
    return workflow


def _as_edited(changes: WorkflowChanges) -> dict[str, Any]:
    """Return the changes by the names of what can be edited."""
    sent: dict[str, Any] = {name.removesuffix("_id"): value for name, value in changes.items()}
    if "owner_ids" in sent:
        sent["owners"] = sorted(sent.pop("owner_ids"))
    return sent


def _name_taken() -> Coded:
    return Coded(_("The project has a workflow of this name already."), "name_taken")


def _check_new_name(workflow: Workflow, name: str) -> list[FieldError]:
    faults = check_name(name)
    lock_names(workflow.project_id)
    others = Workflow.objects.filter(project_id=workflow.project_id).exclude(pk=workflow.pk)
    if not faults and others.filter(name=name).exists():
        faults = [("name", _name_taken())]
    return faults


def _find_folder(project_id: int, folder_id: int | None) -> tuple[Folder | None, list[FieldError]]:
    if folder_id is None:
        return None, []
    folder = Folder.objects.filter(pk=folder_id, project_id=project_id).first()
    if folder is None:
        message = _("This project has no folder {id}.").format(id=folder_id)
        return None, [("folder", message)]
    return folder, []


def _record(
    actor: Actor, verb: str, workflow: Workflow, *, options: dict[str, Any] | None = None
) -> None:
    record(
        actor=actor,
        verb=verb,
        object_type="workflow",
        project_id=workflow.project_id,
        options=options,
        outcomes=[ItemOutcome(id=workflow.pk, label=workflow.name)],
    )
