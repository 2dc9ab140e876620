"""A list has one order: rows that are equal in what it goes by come by something that no two share.

Else PostgreSQL gives them as they lie on its pages, and a list changes when somebody writes a row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest
from django.db.models import Field, Model
from django.db.models.expressions import Col, OrderBy, Ref
from django.db.models.sql.compiler import SQLCompiler

from tests.scenarios.closed_box.looking import look_at_api, look_at_pages
from tests.scenarios.closed_box.neighbourhood import Neighbourhood

pytestmark = pytest.mark.django_db

# What no two rows share among those that are asked for.
OF_ONE = {
    ("BatchDay", "lane", "position"): "days of one batch",
    ("Execution", "number"): "executions of one instance",
    ("Instance", "scheduled_at", "task"): "instances of one plan",
    ("LogChunk", "sequence"): "the log of one execution",
    ("PlanTask", "plan", "position"): "numbered one after the other",
    ("Skip", "scheduled_at", "task"): "what one plan left out",
    ("Task", "name", "position"): "tasks of one workflow",
    ("TaskVersion", "number"): "versions of one task",
}


@pytest.mark.parametrize("look", [look_at_api, look_at_pages], ids=["api", "pages"])
def test_every_order_is_total(
    hood: Neighbourhood, look: Callable[[Neighbourhood], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = SQLCompiler.get_order_by
    seen, vague = set(), set()

    def noted(self: SQLCompiler) -> Any:
        found = original(self)
        model, columns = self.query.model, {_column(one) for one, _ in found}
        # Groups are told apart by what they are of, and distinct rows by all that is asked for.
        is_distinct = self.query.distinct and not self.query.distinct_fields
        if found and self.query.group_by in (None, True) and not is_distinct:
            written = (model.__name__, *sorted(getattr(one, "name", "?") for one in columns))
            seen.add(written)
            if not _is_total(model, columns) and written not in OF_ONE:
                vague.add(written)
        return found

    monkeypatch.setattr(SQLCompiler, "get_order_by", noted)
    look(hood)
    assert vague == set()
    assert len(seen) > 20


def _column(order: Any) -> Field | None:
    expression = order.expression if isinstance(order, OrderBy) else order
    while isinstance(expression, Ref):
        expression = expression.source
    return expression.target if isinstance(expression, Col) else None


def _is_total(model: type[Model], columns: Collection[Field | None]) -> bool:
    """Return whether no two rows of the model are equal in all the columns."""
    meta = model._meta
    keys = [[field] for field in meta.concrete_fields if field.unique]
    keys += [[meta.get_field(name) for name in one.fields] for one in meta.total_unique_constraints]
    return any(all(_is_said(field, columns) for field in key) for key in keys)


def _is_said(field: Any, columns: Collection[Field | None]) -> bool:
    of = field.related_model
    return field in columns or (of is not None and _is_total(of, columns))
