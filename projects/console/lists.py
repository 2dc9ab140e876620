"""The rows of a list as its page shows them: few bytes each, whatever the number of columns.

A row is a row of cells on a wide screen and a card of its `phone_columns` on a narrow one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.templatetags.admin_list import result_headers
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import display_for_field, display_for_value, lookup_field
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

CHECKBOX = "action_checkbox"


@dataclass(frozen=True, slots=True)
class Header:
    """A column's heading; `order` is "asc", "desc", or empty while rows are not sorted by it."""

    name: str
    text: Any
    order: str
    url: str  # sorts by the column, or the other way round; empty where it cannot be sorted
    url_unsorted: str
    is_phone: bool
    is_checkbox: bool


def headers_of(cl: ChangeList) -> list[Header]:
    """Return the headings of a list."""
    return [
        Header(
            name=name if isinstance(name, str) else name.__name__,
            text=found["text"],
            order=("asc" if found["ascending"] else "desc") if found.get("sorted") else "",
            url=str(found.get("url_primary", "")),
            url_unsorted=str(found.get("url_remove", "")),
            is_phone=_is_phone(cl, name),
            is_checkbox=name == CHECKBOX,
        )
        for name, found in zip(cl.list_display, result_headers(cl), strict=True)
    ]


def rows_of(cl: ChangeList) -> Iterator[list[SafeString]]:
    """Yield the cells of each row."""
    for row in cl.result_list:
        yield [_cell(cl, row, name) for name in cl.list_display]


def _cell(cl: ChangeList, row: Model, name: Any) -> SafeString:
    text = _text(cl, row, name)
    if name in (cl.list_display_links or ()):
        filters: Any = {"preserved_filters": cl.preserved_filters, "opts": cl.opts}
        address = add_preserved_filters(filters, cl.url_for_result(row))
        opener = format_html(' data-popup-opener="{}"', row.pk) if cl.is_popup else ""
        text = format_html('<a href="{}"{}>{}</a>', address, opener, text)
    return format_html(
        "<td{}>{}</td>", SafeString(' class="p"' if _is_phone(cl, name) else ""), text
    )


def _is_phone(cl: ChangeList, name: Any) -> bool:
    if name == CHECKBOX:
        return True
    chosen = getattr(cl.model_admin, "phone_columns", ())
    return name in (chosen or [one for one in cl.list_display if one != CHECKBOX][:3])


def _text(cl: ChangeList, row: Model, name: Any) -> Any:
    """What a column says of a row: a method's answer, or a field's value."""
    field, attribute, value = lookup_field(name, row, cl.model_admin)
    empty = getattr(attribute, "empty_value_display", cl.model_admin.get_empty_value_display())
    if field is None or field.auto_created:
        return display_for_value(value, empty, getattr(attribute, "boolean", False))
    if field.many_to_one:
        related = getattr(row, field.name)
        return empty if related is None else related
    return display_for_field(value, field, empty, avoid_link=True)
