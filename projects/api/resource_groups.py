"""Resource groups over the API: read by those who may use them, written by superusers."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import projects_with
from projects.administration.resource_groups import (
    create_resource_group,
    delete_resource_group,
    update_resource_group,
)
from projects.filters import ResourceGroupFilter
from projects.models import ResourceGroup
from projects.rest.fields import Body, ChoiceField, IdField, NumberField, TextField
from projects.rest.idempotency import KEY_PARAMETER, idempotent
from projects.rest.scoped import ListRead


class ResourceGroupAnswer(serializers.ModelSerializer):
    """A queue of workers with a number of slots."""

    projects = serializers.SerializerMethodField(
        help_text="Of those that it is attached to, the ones you see."
    )

    class Meta:
        model = ResourceGroup
        fields = [
            "id",
            "name",
            "kind",
            "description",
            "slots",
            "log_retention_days",
            "projects",
            "queue",
            "created_at",
        ]

    def get_projects(self, group: ResourceGroup) -> list[int]:
        return [project.pk for project in group.projects.all()]


class GroupChanges(Body):
    """What may be set of a resource group."""

    kind = ChoiceField(ResourceGroup.Kind.choices, required=False)
    description = TextField(max_length=10_000, allow_blank=True, required=False)
    slots = NumberField(min_value=0, max_value=100_000, required=False)
    log_retention_days = NumberField(min_value=1, max_value=3660, required=False)
    projects = serializers.ListField(child=IdField(), max_length=1000, required=False)


class NewGroup(GroupChanges):
    """A resource group to be made."""

    name = TextField(max_length=64)


class ResourceGroupViewSet(ListRead):
    """The resource groups that the user's tasks may name."""

    noun, nouns = "resource group", "resource groups"
    queryset = ResourceGroup.objects.all()
    serializer_class = ResourceGroupAnswer
    filterset_class = ResourceGroupFilter
    project_path = "projects"
    ordering_fields = {"id": ("id",), "name": ("name",), "slots": ("slots",)}
    ordering = "name"

    def get_queryset(self) -> QuerySet[ResourceGroup]:
        visible = projects_with(self.request.user)
        rows = ResourceGroup.objects.prefetch_related(Prefetch("projects", visible))
        if self.request.user.is_superuser:
            return rows
        attached = ResourceGroup.projects.through.objects.filter(project__in=visible)
        return rows.filter(
            Q(kind=ResourceGroup.Kind.SHARED) | Q(pk__in=attached.values("resourcegroup"))
        )

    @extend_schema(
        request=NewGroup, responses={201: ResourceGroupAnswer}, parameters=[KEY_PARAMETER]
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a resource group."""
        body = self.body(NewGroup)
        group = create_resource_group(
            actor=request.user,
            name=body.pop("name"),
            project_ids=body.pop("projects", ()),
            values=body,
        )
        return self.answer(group, status=status.HTTP_201_CREATED)

    @extend_schema(request=GroupChanges, responses=ResourceGroupAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a resource group, such as its number of slots."""
        self.get_object()
        body: dict[str, Any] = self.body(GroupChanges)
        group = update_resource_group(
            actor=request.user,
            group_id=self.pk,
            project_ids=body.pop("projects", None),
            values=body,
        )
        return self.answer(group)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a resource group that nothing uses."""
        self.get_object()
        delete_resource_group(actor=request.user, group_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
