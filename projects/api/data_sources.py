"""Data sources over the API; a password goes in and never comes out (P5)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from projects.administration.data_sources import (
    create_data_source,
    delete_data_source,
    update_data_source,
)
from projects.filters import DataSourceFilter
from projects.models import DataSource, Project
from projects.rest.fields import Body, TextField, VisibleField
from projects.rest.idempotency import KEY_PARAMETER, idempotent
from projects.rest.scoped import ListRead


class DataSourceAnswer(serializers.ModelSerializer):
    """A database that SQL tasks may name."""

    # Without the model's pattern: in JSON Schema its \w would mean ASCII.
    name = serializers.CharField(help_text="Letters of any script, digits, dot, dash and _.")
    has_password = serializers.SerializerMethodField()

    class Meta:
        model = DataSource
        fields = ["id", "project", "name", "url", "has_password", "description", "created_at"]

    def get_has_password(self, source: DataSource) -> bool:
        return bool(source.password)


class SourceChanges(Body):
    """What may be set of a data source; a password that is left out stays."""

    name = TextField(max_length=64, required=False)
    url = TextField(max_length=500, required=False, help_text="Without the password.")
    password = TextField(
        max_length=1000, required=False, allow_blank=True, write_only=True, help_text="Never shown."
    )
    description = TextField(max_length=10_000, required=False, allow_blank=True)


class NewSource(SourceChanges):
    """A data source to be made."""

    project = VisibleField(Project, path="")
    name = TextField(max_length=64)
    url = TextField(max_length=500, help_text="Without the password.")


class DataSourceViewSet(ListRead):
    """The data sources of the user's projects."""

    noun, nouns = "data source", "data sources"
    queryset = DataSource.objects.all()
    serializer_class = DataSourceAnswer
    filterset_class = DataSourceFilter
    ordering_fields = {"id": ("id",), "name": ("name",)}
    ordering = "name"

    @extend_schema(request=NewSource, responses={201: DataSourceAnswer}, parameters=[KEY_PARAMETER])
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a data source."""
        body = self.body(NewSource)
        project_id = body.pop("project")
        source = create_data_source(actor=request.user, project_id=project_id, values=body)
        return self.answer(source, status=status.HTTP_201_CREATED)

    @extend_schema(request=SourceChanges, responses=DataSourceAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a data source."""
        body = self.body(SourceChanges)
        return self.answer(
            update_data_source(actor=request.user, data_source_id=self.pk, values=body)
        )

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a data source."""
        delete_data_source(actor=request.user, data_source_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
