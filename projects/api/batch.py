"""Operations on many objects: which ones, and what became of each (I10, design §10)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import FilterSet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.api.fields import Body, IdField, MappingField
from projects.api.filtering import filter_by_mapping
from projects.operations import BatchResult, ItemOutcome
from projects.refusals import Conflict, Forbidden, Invalid, NotFound, Refusal

MOST_OBJECTS = 10_000


class BatchBody(Body):
    """Which objects: their ids, or the filter of their list."""

    ids = serializers.ListField(
        child=IdField(), required=False, allow_empty=False, max_length=MOST_OBJECTS
    )
    filter = MappingField(
        required=False,
        help_text='As the list\'s query parameters: {"state": ["FAILED"], "plan": 7}.',
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in attrs) == ("filter" in attrs):
            raise serializers.ValidationError({"ids": ["Give either ids or a filter."]})
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
    results = ItemAnswer(many=True)


def chosen_ids(
    chosen: dict[str, Any],
    *,
    rows: QuerySet,
    filterset_class: type[FilterSet],
    request: Request,
) -> list[int]:
    """Return the ids that a BatchBody names; `rows` are those that the user sees.

    Raises ValidationError for a wrong filter and Invalid, with the number, for one that finds too
    many objects.
    """
    if "ids" in chosen:
        return list(chosen["ids"])
    found = filter_by_mapping(filterset_class, rows, chosen["filter"], request).order_by("pk")
    ids = list(found.values_list("pk", flat=True)[: MOST_OBJECTS + 1])
    if len(ids) > MOST_OBJECTS:
        message = f"{found.count():,} objects match; at most {MOST_OBJECTS:,} go in one request."
        raise Invalid(message, code="too_many", fields={"filter": [message]})
    if not ids:
        raise Invalid("No object matches.", code="empty", fields={"filter": ["No object matches."]})
    return ids


def batch_answer(result: BatchResult) -> Response:
    """Answer with the outcome of every object."""
    return Response(
        {
            "operation": result.operation_id,
            "succeeded": len(result.succeeded),
            "refused": len(result.refused),
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
    )


def raise_refusal(result: BatchResult) -> None:
    """Raise what an operation on a single object refused, if it did."""
    for outcome in result.refused:
        raise _refusal(outcome)


def _refusal(outcome: ItemOutcome) -> Refusal:
    kinds: dict[str, type[Refusal]] = {"not_found": NotFound, "forbidden": Forbidden}
    return kinds.get(outcome.code, Conflict)(outcome.detail, code=outcome.code)
