"""Operations on many objects: which ones, and what became of each (I10, design §10)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django_filters import FilterSet
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from projects.rest.fields import Body, IdsField, MappingField
from projects.rest.filtering import filter_by_mapping
from projects.verbs.recording import BatchResult


class BatchBody(Body):
    """Which objects: their ids, or the filter of their list."""

    ids = IdsField(required=False, allow_empty=False)
    filter = MappingField(
        required=False,
        help_text='As the list\'s query parameters: {"state": ["FAILED"], "plan": 7}.',
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in attrs) == ("filter" in attrs):
            raise serializers.ValidationError({"ids": [_("Give either ids or a filter.")]})
        return attrs


class ItemAnswer(serializers.Serializer):
    """What became of one object."""

    id = serializers.IntegerField()
    ok = serializers.BooleanField()
    code = serializers.CharField(help_text="Why not: `not_found`, `forbidden`, `wrong_state`, …")
    detail = serializers.CharField()
    label = serializers.CharField(  # type: ignore[assignment]
        help_text="The object's name, where you may see it."
    )


class BatchAnswer(serializers.Serializer):
    """What an operation did."""

    operation = serializers.IntegerField(help_text="The id of its operation record.")
    succeeded = serializers.IntegerField()
    refused = serializers.IntegerField()
    pending = serializers.IntegerField(help_text="Done in the background: follow the operation.")
    results = ItemAnswer(many=True, help_text="Empty for what is done in the background.")


def chosen_objects(
    chosen: dict[str, Any],
    *,
    rows: QuerySet,
    filterset_class: type[FilterSet],
    request: Request,
) -> list[int] | QuerySet:
    """Return the ids that a BatchBody names, or the rows that match its filter.

    rows: those that the user sees. Raises ValidationError for a wrong filter.
    """
    if "ids" in chosen:
        return list(chosen["ids"])
    return filter_by_mapping(filterset_class, rows, chosen["filter"], request)


def batch_answer(result: BatchResult) -> Response:
    """Answer with the outcome of every object, or with 202 and where to follow the operation."""
    answer = {
        "operation": result.operation_id,
        "succeeded": len(result.succeeded),
        "refused": len(result.refused),
        "pending": result.pending,
        "results": [
            {
                "id": one.id,
                "ok": one.ok,
                "code": one.code,
                "detail": one.detail,
                "label": one.label,
            }
            for one in result.outcomes
        ],
    }
    if not result.pending:
        return Response(answer)
    address = reverse("operation-detail", args=[result.operation_id])
    return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": address})
