"""Making, changing and deleting resource groups: those who run the installation do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from projects.access import Actor
from projects.administration.saving import save_checked
from projects.ground.refusals import Conflict, Forbidden, Invalid, NotFound
from projects.models import Project, ResourceGroup
from projects.models.resource_group import DEFAULT_GROUP
from projects.verbs.recording import ItemOutcome, record

# The name is not among them: it is the name of the workers' queue, and tasks name it.
FIELDS = frozenset({"kind", "description", "slots", "log_retention_days"})


@transaction.atomic
def create_resource_group(
    *, actor: Actor, name: str, values: Mapping[str, Any], project_ids: Iterable[int] = ()
) -> ResourceGroup:
    """Make a group of `values` (keys of FIELDS), attached to projects; raise Forbidden, Invalid."""
    _require_superuser(actor)
    group = ResourceGroup(name=name)
    _fill(group, values)
    projects = _projects(project_ids)
    save_checked(group, unique_field="name")
    group.projects.set(projects)
    _record(actor, "resource_groups.create", group, values, projects)
    return group


@transaction.atomic
def update_resource_group(
    *,
    actor: Actor,
    group_id: int,
    values: Mapping[str, Any],
    project_ids: Iterable[int] | None = None,
) -> ResourceGroup:
    """Change the fields in `values` and, where given, the projects that it is attached to."""
    _require_superuser(actor)
    group = _find(group_id)
    projects = None if project_ids is None else _projects(project_ids)
    if values:
        _fill(group, values)
        save_checked(group, only=list(values))
    if projects is not None:
        group.projects.set(projects)
    if values or projects is not None:
        _record(actor, "resource_groups.update", group, values, projects)
    return group


@transaction.atomic
def delete_resource_group(*, actor: Actor, group_id: int) -> None:
    """Delete a group that nothing uses; raise Forbidden, NotFound or Conflict."""
    _require_superuser(actor)
    group = _find(group_id)
    if group.name == DEFAULT_GROUP:
        raise Conflict(_("The default group stays: tasks that name no group use it."))
    _record(actor, "resource_groups.delete", group, {})
    try:
        with transaction.atomic():
            group.delete()
    except ProtectedError as error:
        problem = _("Tasks, instances or executions use this group.")
        raise Conflict(problem, code="in_use") from error


def _require_superuser(actor: Actor) -> None:
    if actor is not None and not (actor.is_active and actor.is_superuser):
        raise Forbidden(_("Only superusers manage resource groups."))


def _find(group_id: int) -> ResourceGroup:
    group = ResourceGroup.objects.filter(pk=group_id).first()
    if group is None:
        raise NotFound(_("There is no such resource group."))
    return group


def _fill(group: ResourceGroup, values: Mapping[str, Any]) -> None:
    unknown = sorted(values.keys() - FIELDS)
    if unknown:
        raise Invalid.from_pairs([(field, _("This field cannot be set.")) for field in unknown])
    for field, value in values.items():
        setattr(group, field, value)


def _projects(project_ids: Iterable[int]) -> list[Project]:
    wanted = list(dict.fromkeys(project_ids))
    found = {project.pk: project for project in Project.objects.filter(pk__in=wanted)}
    faults = [
        (f"projects.{index}", _("There is no project {id}.").format(id=pk))
        for index, pk in enumerate(wanted)
        if pk not in found
    ]
    if faults:
        raise Invalid.from_pairs(faults)
    return list(found.values())


def _record(
    actor: Actor,
    verb: str,
    group: ResourceGroup,
    values: Mapping[str, Any],
    projects: Iterable[Project] | None = None,
) -> None:
    options = dict(values)
    if projects is not None:
        options["projects"] = [project.name for project in projects]
    record(
        actor=actor,
        verb=verb,
        object_type="resource_group",
        options=options,
        outcomes=[ItemOutcome(group.pk, label=group.name)],
    )
