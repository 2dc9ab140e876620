"""Projects over the API."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, Subquery
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from projects.administration.projects import MAX_HOSTS, create_project, update_project
from projects.filters import ProjectFilter
from projects.models import Member, Project
from projects.rest.fields import Body, NumberField, TextField
from projects.rest.idempotency import KEY_PARAMETER, idempotent
from projects.rest.scoped import ListRead
from projects.roles import RIGHTS, Right, Role


class ProjectAnswer(serializers.ModelSerializer):
    """A project, and what the user may do in it."""

    role = serializers.SerializerMethodField(help_text="Empty for superusers who are no members.")
    rights = serializers.SerializerMethodField()
    allowed_hosts = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Project
        fields = [
            "id",
            "name",
            "description",
            "time_zone",
            "periodic_retention_days",
            "backfill_retention_days",
            "allowed_hosts",
            "role",
            "rights",
            "created_at",
        ]

    def get_role(self, project: Project) -> str:
        return getattr(project, "own_role", None) or ""

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(Right.choices)))
    def get_rights(self, project: Project) -> list[str]:
        if self.context["request"].user.is_superuser:
            return list(Right.values)
        role = getattr(project, "own_role", None)
        return [right.value for right in Right if role and right in RIGHTS[Role(role)]]


class ProjectChanges(Body):
    """What may be set of a project."""

    name = TextField(max_length=100, required=False)
    description = TextField(max_length=10_000, required=False, allow_blank=True)
    time_zone = TextField(max_length=64, required=False)
    periodic_retention_days = NumberField(min_value=1, max_value=3660, required=False)
    backfill_retention_days = NumberField(min_value=1, max_value=3660, required=False)
    allowed_hosts = serializers.ListField(
        child=TextField(max_length=260), max_length=MAX_HOSTS, required=False
    )


class NewProject(ProjectChanges):
    """A project to be made."""

    name = TextField(max_length=100)


def with_own_role(projects: Any, user: Any) -> Any:
    """Annotate `own_role`: the user's role in each project."""
    member = Member.objects.filter(project=OuterRef("pk"), user=user.pk)
    return projects.annotate(own_role=Subquery(member.values("role")[:1]))


class ProjectViewSet(ListRead):
    """The projects of the user."""

    noun, nouns = "project", "projects"
    queryset = Project.objects.all()
    serializer_class = ProjectAnswer
    filterset_class = ProjectFilter
    project_path = ""
    ordering_fields = {"id": ("id",), "name": ("name",), "created_at": ("created_at",)}
    ordering = "name"

    def get_queryset(self) -> Any:
        return with_own_role(super().get_queryset(), self.request.user)

    @extend_schema(request=NewProject, responses={201: ProjectAnswer}, parameters=[KEY_PARAMETER])
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a project.

        Staff and superusers may; whoever makes it becomes its administrator.
        """
        project = create_project(actor=request.user, values=self.body(NewProject))
        return self.answer(project, status=status.HTTP_201_CREATED)

    @extend_schema(request=ProjectChanges, responses=ProjectAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a project's settings."""
        values = self.body(ProjectChanges)
        return self.answer(update_project(actor=request.user, project_id=self.pk, values=values))
