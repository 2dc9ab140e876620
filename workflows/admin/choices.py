"""What filters and forms of workflows offer: what the user may see."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.http import HttpRequest

from projects.access import projects_with, scope
from projects.console.filtering import MOST_CHOICES
from projects.models import ResourceGroup
from workflows.definitions.task_types import task_types
from workflows.models import Folder, Workflow


def workflow_choices(request: HttpRequest) -> list[tuple[int, str]]:
    """Return the workflows of the user's projects."""
    rows = scope(Workflow.objects.all(), request.user).order_by("name", "pk")
    return list(rows.values_list("pk", "name")[:MOST_CHOICES])


def folder_choices(request: HttpRequest) -> list[tuple[int, str]]:
    """Return the folders of the user's projects, by path."""
    rows = scope(Folder.objects.all(), request.user).order_by("project__name", "path")
    found = rows.values_list("pk", "project__name", "path")[:MOST_CHOICES]
    return [(pk, f"{project}: {path}") for pk, project, path in found]


def groups_for(request: HttpRequest) -> list[str]:
    """Return the names of the resource groups that the user's projects may use."""
    mine = Q(kind=ResourceGroup.Kind.SHARED) | Q(projects__in=projects_with(request.user))
    rows = ResourceGroup.objects.filter(mine).distinct().order_by("name")
    return list(rows.values_list("name", flat=True)[:MOST_CHOICES])


def group_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the resource groups as choices of a filter by name."""
    return [(name, name) for name in groups_for(request)]


def owner_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the user names of members of the user's projects."""
    mine = Q(memberships__project__in=projects_with(request.user)) | Q(pk=request.user.pk)
    rows = get_user_model().objects.filter(mine).distinct().order_by("username")
    return [(name, name) for name in rows.values_list("username", flat=True)[:MOST_CHOICES]]


def type_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the types of tasks."""
    return [(one.name, one.label) for one in task_types().values()]
