"""Objects of upper apps that belong to one object of a lower app: the plan of a batch.

A lower app's lists and pages show them without naming the upper app, which says at its start what
it has for the lower one's model.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, OuterRef, QuerySet, Subquery, Value
from django.db.models.fields import BigIntegerField
from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Counterpart:
    """`model` has a one-to-one relation `field` to the lower model; `page` is one's address.

    noun: what one is called, such as "plan".
    """

    model: type[Model]
    field: str
    noun: str
    page: str

    def url(self, pk: int) -> str:
        """Return the address of the counterpart's page."""
        return reverse(self.page, args=[pk])


_known: dict[type[Model], Counterpart] = {}


def add_counterpart(lower: type[Model], counterpart: Counterpart) -> None:
    """Say what an upper app has for the objects of a lower model; once, when it is loaded."""
    _known[lower] = counterpart


def counterpart_of(lower: type[Model]) -> Counterpart | None:
    """Return what an upper app has for the objects of the model."""
    return _known.get(lower)


def counterpart_id(lower: type[Model], path: str) -> Any:
    """Return an expression: the id of the counterpart of the object that `path` leads to."""
    found = _known.get(lower)
    if found is None:
        return Value(None, output_field=BigIntegerField(null=True))
    rows = _rows(found).filter(**{found.field: OuterRef(path)})
    return Subquery(rows.values("pk")[:1])


def ids_with(lower: type[Model], counterpart_ids: Collection[int]) -> list[int]:
    """Return the ids of the lower objects that belong to the counterparts; one query."""
    found = _known.get(lower)
    if found is None:
        return []
    rows = _rows(found).filter(pk__in=counterpart_ids).exclude(**{found.field: None})
    return list(rows.values_list(f"{found.field}_id", flat=True))


def _rows(counterpart: Counterpart) -> QuerySet[Any]:
    rows: QuerySet[Any] = counterpart.model._default_manager.order_by()
    return rows
