"""The base of the API's views: rows of the user's projects, strict filters, one way to page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from django_filters import FilterSet
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from projects.access import projects_with
from projects.ground.words import thing
from projects.rest.filtering import FilterBackend, OrderingBackend


class ScopedViewSet(GenericViewSet):
    """Lists and reads rows of one noun. Rows of foreign projects do not exist here (P2).

    `project_path` leads from the model to its project; `ordering_fields` names what the list may
    be ordered by, as {public name: columns}; `noun` and `nouns` stand in the documentation.
    """

    noun = "object"
    nouns = "objects"
    project_path = "project"
    filterset_class: type[FilterSet] | None = None
    filter_backends = [FilterBackend, OrderingBackend]
    ordering_fields: dict[str, tuple[str, ...]] = {"id": ("id",)}
    ordering = "-id"
    lookup_value_regex = r"\d{1,18}"

    @property
    def paging_parameters(self) -> frozenset[str]:
        """The query parameters that turn pages."""
        return getattr(self.paginator, "parameters", frozenset())

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        return self.of_the_user(rows)

    def of_the_user(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the projects that the user sees."""
        if self.request.user.is_superuser and self.request.user.is_active:
            return rows
        # By their ids: when it is one project, as for most, an index has its lists in order.
        projects = list(projects_with(self.request.user).values_list("pk", flat=True))
        return rows.filter(
            **{f"{self.project_path}__in" if self.project_path else "pk__in": projects}
        )

    def shown(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Load what the rows are shown with."""
        return rows

    def facts_of(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Return what the serializer needs to know besides, for all rows at once."""
        return {}

    def shown_as(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the rows of an answer."""
        context = {**self.get_serializer_context(), **self.facts_of(rows)}
        return [
            dict(one) for one in self.get_serializer_class()(rows, many=True, context=context).data
        ]

    def get_object(self) -> Any:
        """Return the row of the address; the list's filters do not count here."""
        return self.find(self.shown(self.get_queryset()))

    def find(self, rows: QuerySet[Any]) -> Any:
        """Return the one of `rows` that the address names; raise NotFound."""
        row = rows.filter(pk=self.pk).first()
        if row is None:
            missing = _("There is no such {noun} in your projects.")
            raise NotFound(missing.format(noun=thing(self.noun)))
        return row

    def faults_of(self, verb: Any) -> AbstractContextManager[None]:
        """Return what reports the faults that a verb finds at the fields that this API has."""
        return nullcontext()

    @property
    def pk(self) -> int:
        """The id in the address."""
        return int(self.kwargs["pk"])

    def body(self, serializer_class: type[BaseSerializer]) -> dict[str, Any]:
        """Return the request's body, checked; raise ValidationError."""
        serializer = serializer_class(data=self.request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def answer(self, row: Model, *, status: int = 200) -> Response:
        """Return the row, read again, as `retrieve` shows it."""
        fresh = self.shown(self.get_queryset()).get(pk=row.pk)
        return Response(self.shown_as([fresh])[0], status=status)


class ListRead(ScopedViewSet):
    """The two reading operations."""

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List {many}."""
        page = self.paginate_queryset(self.shown(self.filter_queryset(self.get_queryset())))
        return self.get_paginated_response(self.shown_as(page or []))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Read one {one}."""
        return Response(self.shown_as([self.get_object()])[0])
