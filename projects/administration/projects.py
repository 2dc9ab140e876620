"""Making and changing projects. A project is never deleted: its operation record stays (P3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from projects.access import Actor, require, scope
from projects.administration.saving import save_checked
from projects.ground.refusals import Forbidden, Invalid, NotFound
from projects.models import Member, Project
from projects.roles import Right, Role
from projects.verbs.recording import ItemOutcome, record

MAX_HOSTS = 200
# A host or *.domain or *, with or without a port; never an address with a path or a login.
_HOST = re.compile(r"(\*|(\*\.)?[^\s/@:\[\]*\x00-\x1f]+|\[[0-9A-Fa-f:.]+\])(:(\d{1,5}|\*))?")
FIELDS = frozenset(
    {
        "name",
        "description",
        "time_zone",
        "periodic_retention_days",
        "backfill_retention_days",
        "allowed_hosts",
    }
)


def may_create_projects(actor: Actor) -> bool:
    """Return whether `actor` may make projects: staff, superusers and the system."""
    return actor is None or bool(actor.is_active and (actor.is_staff or actor.is_superuser))


@transaction.atomic
def create_project(*, actor: Actor, values: Mapping[str, Any]) -> Project:
    """Make a project of `values` (keys of FIELDS); whoever makes it administers it.

    Raises Forbidden, Invalid.
    """
    if not may_create_projects(actor):
        raise Forbidden(_("Only staff may make projects."))
    project = Project()
    _fill(project, values)
    save_checked(project, unique_field="name")
    if actor is not None:
        Member.objects.create(project=project, user=actor, role=Role.ADMINISTRATOR)
    _record(actor, "projects.create", project, values)
    return project


@transaction.atomic
def update_project(*, actor: Actor, project_id: int, values: Mapping[str, Any]) -> Project:
    """Change the fields in `values`; raise NotFound, Forbidden or Invalid."""
    require(actor, project_id, Right.ADMINISTER)
    project = scope(Project.objects.filter(pk=project_id), actor, path="").first()
    if project is None:
        raise NotFound(_("There is no such project, or you are not a member of it."))
    if values:
        _fill(project, values)
        save_checked(project, unique_field="name", only=list(values))
        _record(actor, "projects.update", project, values)
    return project


def _fill(project: Project, values: Mapping[str, Any]) -> None:
    unknown = sorted(values.keys() - FIELDS)
    if unknown:
        problem = _("A project has no such field.")
        raise Invalid.from_pairs([(field, problem) for field in unknown])
    if faults := _host_faults(values.get("allowed_hosts", [])):
        raise Invalid.from_pairs(faults)
    for field, value in values.items():
        setattr(project, field, value)


def _host_faults(hosts: object) -> list[tuple[str, str]]:
    if not isinstance(hosts, list) or len(hosts) > MAX_HOSTS:
        problem = _("Must be a list of at most {count} hosts.").format(count=MAX_HOSTS)
        return [("allowed_hosts", problem)]
    problem = _("Must be a host such as api.example.com or *.example.com:8080.")
    return [
        (f"allowed_hosts.{index}", problem)
        for index, host in enumerate(hosts)
        if not isinstance(host, str) or len(host) > 260 or not _HOST.fullmatch(host)
    ]


def _record(actor: Actor, verb: str, project: Project, values: Mapping[str, Any]) -> None:
    record(
        actor=actor,
        verb=verb,
        object_type="project",
        project_id=project.pk,
        options=values,
        outcomes=[ItemOutcome(project.pk, label=project.name)],
    )
