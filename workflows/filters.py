"""One FilterSet for each model: for lists of the API and the admin, and for choosing in bulk (T6).

They narrow a queryset that the caller has scoped to what its reader sees; an id from elsewhere
finds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from django.db.models import Model, Q, QuerySet

from projects.access import Actor, projects_with
from projects.filters import GroupsFilter, UsersFilter
from projects.ground import clock
from projects.ground.filter_fields import (
    CheckedFilterSet,
    ChoicesFilter,
    FlagFilter,
    IdsFilter,
    InstantFilter,
    NamesFilter,
    SearchFilter,
)
from workflows.choices import (
    CYCLE_CHOICES,
    OFFSET_CHOICES,
    SCOPE_CHOICES,
    Priority,
    TaskStatus,
)
from workflows.definitions.task_types import task_types
from workflows.editing.folders import in_folders
from workflows.models import Dependency, Folder, Task, TaskVersion, Workflow
from workflows.status import effective_status


def types_known_to(user: Actor, names: Sequence[str]) -> Collection[str]:
    """Return the names of the types of tasks."""
    return task_types().keys()


class TypesFilter(NamesFilter):
    """Rows of types of tasks, by their names."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(noun="type", known=types_known_to, **kwargs)


class FolderTreeFilterSet(CheckedFilterSet):
    """What is in folders. `path_to_workflow` leads from the model to the workflow."""

    folder = IdsFilter(method="filter_folder")
    subfolders = FlagFilter(
        method="with_folder", help_text="Whether `folder` means what is below, too (the default)."
    )

    path_to_workflow: ClassVar[str] = ""

    def filter_folder(self, queryset: QuerySet[Any], name: str, value: list[int]) -> QuerySet[Any]:
        subfolders = self.form.cleaned_data.get("subfolders") is not False
        folders = list(Folder.objects.filter(pk__in=value))
        return queryset.filter(
            in_folders(folders, path=self.path_to_workflow, subfolders=subfolders)
        )

    def with_folder(self, queryset: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        return queryset  # read by filter_folder


class TaskFilter(FolderTreeFilterSet):
    """Tasks (T6)."""

    search = SearchFilter(texts=["name"])
    id = IdsFilter()
    project = IdsFilter()
    workflow = IdsFilter()
    type = ChoicesFilter(choices=lambda: [(one.name, one.label) for one in task_types().values()])
    status = ChoicesFilter(choices=TaskStatus.choices, method="filter_status")
    cycle = ChoicesFilter(choices=CYCLE_CHOICES)
    priority = ChoicesFilter(choices=Priority.choices)
    resource_group = GroupsFilter()
    owner = UsersFilter(method="filter_owner")
    submitted_from = InstantFilter(field_name="last_submitted_at", lookup_expr="gte")
    submitted_until = InstantFilter(field_name="last_submitted_at", lookup_expr="lt")

    path_to_workflow = "workflow__"

    class Meta:
        model = Task
        fields: ClassVar[list[str]] = []

    def filter_status(
        self, queryset: QuerySet[Task], name: str, value: list[str]
    ) -> QuerySet[Task]:
        if not value:
            return queryset
        # An alias, so that the caller may annotate the same name.
        return queryset.alias(status_now=effective_status(clock.now())).filter(status_now__in=value)

    def filter_owner(self, queryset: QuerySet[Task], name: str, value: list[str]) -> QuerySet[Task]:
        return queryset.filter(owned_by(value, Task))


class WorkflowFilter(FolderTreeFilterSet):
    """Workflows (W8)."""

    search = SearchFilter(texts=["name"])
    id = IdsFilter()
    project = IdsFilter()
    owner = UsersFilter(method="filter_owner")

    class Meta:
        model = Workflow
        fields: ClassVar[list[str]] = []

    def filter_owner(
        self, queryset: QuerySet[Workflow], name: str, value: list[str]
    ) -> QuerySet[Workflow]:
        return queryset.filter(owned_by(value, Workflow))


class FolderFilter(CheckedFilterSet):
    """Folders."""

    search = SearchFilter(texts=["path"])
    id = IdsFilter()
    project = IdsFilter()
    parent = IdsFilter()
    root = FlagFilter(
        field_name="parent", lookup_expr="isnull", help_text="In the root of its project."
    )

    class Meta:
        model = Folder
        fields: ClassVar[list[str]] = []


class TaskVersionFilter(CheckedFilterSet):
    """Versions (T9)."""

    id = IdsFilter()
    project = IdsFilter(field_name="task__project")
    workflow = IdsFilter(field_name="task__workflow")
    task = IdsFilter()
    number = IdsFilter()
    type = TypesFilter()
    submitted_by = UsersFilter(field_name="submitted_by__username")
    submitted_from = InstantFilter(field_name="submitted_at", lookup_expr="gte")
    submitted_until = InstantFilter(field_name="submitted_at", lookup_expr="lt")

    class Meta:
        model = TaskVersion
        fields: ClassVar[list[str]] = []


class DependencyFilter(CheckedFilterSet):
    """Dependencies by their ends (T12)."""

    task = IdsFilter(method="filter_task", help_text="Tasks at either end.")
    upstream = IdsFilter()
    downstream = IdsFilter()
    project = IdsFilter(
        method="filter_downstream",
        field_name="downstream__project",
        help_text="The downstream task's, if you see it.",
    )
    workflow = IdsFilter(
        method="filter_downstream",
        field_name="downstream__workflow",
        help_text="The downstream task's, if you see it.",
    )
    offset = ChoicesFilter(choices=OFFSET_CHOICES)
    scope = ChoicesFilter(choices=SCOPE_CHOICES)

    class Meta:
        model = Dependency
        fields: ClassVar[list[str]] = []

    def filter_task(
        self, queryset: QuerySet[Dependency], name: str, value: list[int]
    ) -> QuerySet[Dependency]:
        return queryset.filter(Q(upstream__in=value) | Q(downstream__in=value))

    def filter_downstream(
        self, queryset: QuerySet[Dependency], name: str, value: list[int]
    ) -> QuerySet[Dependency]:
        if not value:
            return queryset
        seen = projects_with(self.request.user if self.request else None)
        return queryset.filter(**{f"{name}__in": value, "downstream__project__in": seen})


def owned_by(names: list[str], model: type[Model], *, path: str = "pk") -> Q:
    """Return the condition for rows that one of the users owns, each row once.

    `path` leads from the queryset's model to the owned one.
    """
    owners = model.owners  # type: ignore[attr-defined]
    owned = owners.through.objects.filter(user__username__in=names)
    return Q(**{f"{path}__in": owned.values(owners.field.m2m_column_name())})
