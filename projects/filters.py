"""The filters of the lists of projects, members, resource groups, data sources and operations."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django_filters import CharFilter, ChoiceFilter, FilterSet, IsoDateTimeFilter

from projects.filter_fields import ChoicesFilter, IdsFilter, NamesFilter, SearchFilter
from projects.models import (
    DataSource,
    Member,
    Operation,
    OperationObject,
    Project,
    ResourceGroup,
)
from projects.roles import Role


class ProjectFilter(FilterSet):
    """Projects by name."""

    search = SearchFilter(texts=["name"])
    id = IdsFilter()

    class Meta:
        model = Project
        fields: list[str] = []


class MemberFilter(FilterSet):
    """Members by project, user and role."""

    search = SearchFilter(texts=["user__username"])
    project = IdsFilter()
    user = NamesFilter(field_name="user__username", help_text="User names.")
    role = ChoicesFilter(choices=Role.choices)

    class Meta:
        model = Member
        fields: list[str] = []


class ResourceGroupFilter(FilterSet):
    """Resource groups by name, kind and project."""

    search = SearchFilter(texts=["name"])
    kind = ChoicesFilter(choices=ResourceGroup.Kind.choices)
    project = IdsFilter(field_name="projects")

    class Meta:
        model = ResourceGroup
        fields: list[str] = []


class DataSourceFilter(FilterSet):
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
    "workflow",
)


class OperationFilter(FilterSet):
    """Operations by who, when, what, and on which objects (P3)."""

    project = IdsFilter()
    actor = NamesFilter(field_name="actor__username", help_text="User names.")
    verb = CharFilter(help_text="Such as instances.rerun.")
    created_from = IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_until = IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    object_type = ChoiceFilter(
        choices=[(name, name) for name in OBJECT_TYPES], method="filter_objects"
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
        if wanted.get("object_type"):
            objects = objects.filter(object_type=wanted["object_type"])
        if wanted.get("object_id"):
            objects = objects.filter(object_id__in=wanted["object_id"])
        return queryset.filter(Exists(objects))
