"""Pages of long lists: each begins where another ended, whatever was added meanwhile.

A cursor holds the values of the ordering's columns in the last row of a page, signed. Reading on
costs the same on the first page and on the ten thousandth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import signing
from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Field, Model, Q
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from projects.rest.pagination import MOST_ROWS, PAGE_SIZE, read_page_size

CURSOR = "cursor"


class LongPagination(BasePagination):
    """Pages by cursor over a queryset whose `order_by` ends with the id."""

    parameters = frozenset({CURSOR, "page_size"})

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        size = read_page_size(request)
        columns = [str(column) for column in queryset.query.order_by]
        self._address = request.build_absolute_uri()
        self._salt = f"tidemill.cursor.{queryset.model._meta.label}.{','.join(columns)}"
        given = request.query_params.get(CURSOR)
        backwards, values = self._read(given) if given is not None else (False, None)
        kinds = [column_kind(queryset, column) for column in columns]
        directed = [_turned(column) for column in columns] if backwards else columns
        if values is not None:
            if len(values) != len(columns):
                raise _bad_cursor()
            position = [
                kind.to_python(value) for (kind, _), value in zip(kinds, values, strict=True)
            ]
            queryset = queryset.filter(after(directed, kinds, position, nulls_last=not backwards))
        ordered = queryset.order_by(*_ordering(directed, kinds, not backwards))
        # Which rows are on the page is asked first, by indexes alone, then what is in them: nothing
        # is joined to rows that are passed over.
        ids = list(ordered.values_list("pk", flat=True)[: size + 1])
        more, rows = len(ids) > size, _in_order(ordered, ids[:size])
        if backwards:
            rows.reverse()
        # The page that we came from is certainly there.
        has_next = more if not backwards else True
        has_previous = more if backwards else values is not None
        self._next = self._link(rows[-1], columns, False) if rows and has_next else None
        self._previous = self._link(rows[0], columns, True) if rows and has_previous else None
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self._next, "previous": self._previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "The address of the following page."},
                "previous": {**link, "description": "The address of the page before."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": CURSOR,
                "in": "query",
                "required": False,
                "description": "Where the page begins: as in `next` and `previous`.",
                "schema": {"type": "string"},
            },
            {
                "name": "page_size",
                "in": "query",
                "required": False,
                "description": "Rows of a page.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MOST_ROWS,
                    "default": PAGE_SIZE,
                },
            },
        ]

    def _read(self, cursor: str) -> tuple[bool, list[Any]]:
        try:
            backwards, values = signing.loads(cursor, salt=self._salt)
        except (signing.BadSignature, ValueError) as error:
            raise _bad_cursor() from error
        return backwards, values

    def _link(self, row: Model, columns: Sequence[str], backwards: bool) -> str:
        values = []
        for column in columns:
            value: Any = row
            for name in column.removeprefix("-").split("__"):
                value = getattr(value, name, None)
            values.append(value if value is None or isinstance(value, int | str) else str(value))
        cursor = signing.dumps([backwards, values], salt=self._salt)
        return replace_query_param(self._address, CURSOR, cursor)


def _in_order(queryset: Any, ids: Sequence[Any]) -> list[Any]:
    """Load the rows as the queryset does; one that has just gone, or changed, is left out."""
    found = {row.pk: row for row in queryset.filter(pk__in=ids)}
    return [found[pk] for pk in ids if pk in found]


def column_kind(queryset: Any, column: str) -> tuple[Field, bool]:
    """Return the field that a column's path leads to, and whether it can be empty on the way.

    An annotation of the queryset is a column that is never empty.
    """
    annotation = queryset.query.annotations.get(column.removeprefix("-"))
    if annotation is not None:
        return annotation.output_field, False
    model, nullable, field = queryset.model, False, None
    for name in column.removeprefix("-").split("__"):
        field = model._meta.get_field(name)
        if not isinstance(field, Field):
            raise FieldDoesNotExist(column)
        nullable = nullable or field.null
        if field.related_model is not None:
            model = field.related_model
    assert isinstance(field, Field)
    return field, nullable


def after(
    columns: Sequence[str],
    kinds: Sequence[tuple[Field, bool]],
    position: Sequence[Any],
    *,
    nulls_last: bool,
) -> Q:
    """Return the condition for the rows that come after `position` in the order of `columns`."""
    condition = Q(pk__in=[])
    same = Q()
    for column, (_field, nullable), value in zip(columns, kinds, position, strict=True):
        name = column.removeprefix("-")
        lookup = f"{name}__{'lt' if column.startswith('-') else 'gt'}"
        if value is None:
            later = Q(pk__in=[]) if nulls_last else Q(**{f"{name}__isnull": False})
        else:
            later = Q(**{lookup: value})
            if nullable and nulls_last:
                later |= Q(**{f"{name}__isnull": True})
        condition |= same & later
        same &= Q(**{f"{name}__isnull": True}) if value is None else Q(**{name: value})
    # Said once more of the first column alone, so that its index leads straight to the page.
    first, value, nullable = columns[0], position[0], kinds[0][1]
    if value is not None and not nullable:
        edge = "lte" if first.startswith("-") else "gte"
        condition &= Q(**{f"{first.removeprefix('-')}__{edge}": value})
    return condition


def _ordering(
    columns: Sequence[str], kinds: Sequence[tuple[Field, bool]], nulls_last: bool
) -> list[Any]:
    found: list[Any] = []
    for column, (_field, nullable) in zip(columns, kinds, strict=True):
        if not nullable:
            found.append(column)  # as the indexes have it
            continue
        direction = F(column.removeprefix("-"))
        place = {"nulls_last": True} if nulls_last else {"nulls_first": True}
        found.append(direction.desc(**place) if column.startswith("-") else direction.asc(**place))
    return found


def _turned(column: str) -> str:
    return column.removeprefix("-") if column.startswith("-") else f"-{column}"


def _bad_cursor() -> ValidationError:
    return ValidationError({CURSOR: [_("This is not a cursor of this list and ordering.")]})
