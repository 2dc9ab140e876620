"""The filters of the lists of projects, members, resource groups, data sources and operations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Q, QuerySet
from django_filters import ChoiceFilter

from projects.access import Actor, is_unbounded, projects_with
from projects.ground.filter_fields import (
    CheckedFilterSet,
    ChoicesFilter,
    IdsFilter,
    InstantFilter,
    NamesFilter,
    SearchFilter,
)
from projects.ground.words import thing_lazy
from projects.models import (
    DataSource,
    Member,
    Operation,
    OperationObject,
    Project,
    ResourceGroup,
)
from projects.roles import Role
from projects.verbs.catalogue import all_verbs


def users_known_to(user: Actor, names: Sequence[str]) -> Collection[str]:
    """Return which of the names are members' of the user's projects, or superusers'."""
    rows = get_user_model().objects.filter(username__in=names)
    if not is_unbounded(user):
        mine = Q(memberships__project__in=projects_with(user)) | Q(is_superuser=True)
        rows = rows.filter(mine | Q(pk=user.pk))
    return set(rows.values_list("username", flat=True))


def groups_known_to(user: Actor, names: Sequence[str]) -> Collection[str]:
    """Return which of the names are resource groups' that the user's projects may use."""
    rows = ResourceGroup.objects.filter(name__in=names).order_by()
    if not is_unbounded(user):
        mine = Q(kind=ResourceGroup.Kind.SHARED) | Q(projects__in=projects_with(user))
        rows = rows.filter(mine)
    return set(rows.values_list("name", flat=True))


class UsersFilter(NamesFilter):
    """Rows of users, by their names."""

    def __init__(self, **kwargs: Any) -> None:
        described = {"help_text": "User names.", **kwargs}
        super().__init__(noun="user", known=users_known_to, **described)


class GroupsFilter(NamesFilter):
    """Rows of resource groups, by their names."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("field_name", "resource_group__name")
        super().__init__(noun="resource group", known=groups_known_to, **kwargs)


class ProjectFilter(CheckedFilterSet):
    """Projects by name."""

    search = SearchFilter(texts=["name"])
    id = IdsFilter()

    class Meta:
        model = Project
        fields: list[str] = []


class MemberFilter(CheckedFilterSet):
    """Members by project, user and role."""

    search = SearchFilter(texts=["user__username"])
    project = IdsFilter()
    # Whether somebody is a member may be asked of anybody.
    user = NamesFilter(
        noun="user",
        known=lambda user, names: names,
        field_name="user__username",
        help_text="User names.",
    )
    role = ChoicesFilter(choices=Role.choices)

    class Meta:
        model = Member
        fields: list[str] = []


class ResourceGroupFilter(CheckedFilterSet):
    """Resource groups by name, kind and project."""

    search = SearchFilter(texts=["name"])
    kind = ChoicesFilter(choices=ResourceGroup.Kind.choices)
    project = IdsFilter(method="filter_project", help_text="Of those you see.")

    class Meta:
        model = ResourceGroup
        fields: list[str] = []

    def filter_project(self, queryset: QuerySet, name: str, value: list[int]) -> QuerySet:
        """Keep the groups that are attached to one of the projects, where the user sees it."""
        if not value:
            return queryset
        seen = projects_with(self.request.user if self.request else None).filter(pk__in=value)
        return queryset.filter(Exists(seen.filter(resource_groups=OuterRef("pk"))))


class DataSourceFilter(CheckedFilterSet):
    """Data sources by name and project."""

    search = SearchFilter(texts=["name"])
    project = IdsFilter()

    class Meta:
        model = DataSource
        fields: list[str] = []


OBJECT_TYPES = (
    "batch",
    "data_source",
    "folder",
    "instance",
    "member",
    "plan",
    "project",
    "resource_group",
    "task",
    "user",
    "workflow",
)


class OperationFilter(CheckedFilterSet):
    """Operations by who, when, what, and on which objects (P3)."""

    project = IdsFilter()
    actor = UsersFilter(field_name="actor__username")
    verb = NamesFilter(
        noun="verb",
        # Those that are declared; of what else is recorded, what the list has.
        known=lambda user, names: {verb.recorded for verb in all_verbs()},
        help_text="Such as instances.rerun.",
    )
    created_from = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_until = InstantFilter(field_name="created_at", lookup_expr="lt")
    object_type = ChoiceFilter(
        choices=[(name, thing_lazy(name)) for name in OBJECT_TYPES], method="filter_objects"
    )
    object_id = IdsFilter(method="filter_objects")

    class Meta:
        model = Operation
        fields: list[str] = []

    def filter_objects(self, queryset: QuerySet, name: str, value: Any) -> QuerySet:
        """Keep the operations with an object of the type and id, both of the same object."""
        wanted = self.form.cleaned_data
        if not value or (name == "object_type" and wanted.get("object_id")):
            return queryset  # done along with the id
        objects = OperationObject.objects.filter(operation=OuterRef("pk"))
        if self.request is not None and not self.request.user.is_superuser:
            own = Q(project__in=projects_with(self.request.user)) | Q(project=None)
            objects = objects.filter(own)
        if wanted.get("object_type"):
            objects = objects.filter(object_type=wanted["object_type"])
        if wanted.get("object_id"):
            objects = objects.filter(object_id__in=wanted["object_id"])
        return queryset.filter(Exists(objects))
