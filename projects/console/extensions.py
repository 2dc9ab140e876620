"""What upper apps add to the pages of lower ones: a lower app never names an upper one.

An upper app's admin registers here when it is loaded; the lower app's pages show what they find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import display

from projects.console.rights import may
from projects.roles import Right

MOST_CHOSEN = 2_000


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of an object's page that another app fills in, loaded from `url_name` with its id."""

    key: str
    title: str
    url_name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to begin with chosen objects: `address` makes its URL of their ids."""

    key: str
    title: str
    icon: str
    right: Right
    address: Callable[[HttpRequest, list[int]], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list: `show` answers for a row, `order_by` names the field that sorts by it.

    `load` adds to the list's rows what `show` needs, so that no row asks for itself.
    """

    key: str
    title: str
    show: Callable[[Any], Any]
    order_by: str = ""
    load: Callable[[QuerySet], QuerySet] = lambda rows: rows


@dataclass(frozen=True, slots=True)
class Fact:
    """A line among the facts of an object's page: `shown` makes it of the object's id."""

    title: str
    shown: Callable[[int], SafeString]


_columns: dict[type[Model], list[Column]] = {}
_panels: dict[type[Model], list[Panel]] = {}
_facts: dict[type[Model], list[Fact]] = {}
_entries: dict[type[Model], list[Entry]] = {}


def add_panel(model: type[Model], panel: Panel) -> None:
    """Show the panel on the pages of the model's objects."""
    _panels.setdefault(model, []).append(panel)


def add_column(model: type[Model], column: Column) -> None:
    """Show the column at the end of the model's list."""
    _columns.setdefault(model, []).append(column)


def add_entry(model: type[Model], entry: Entry) -> None:
    """Offer the entry on the model's list and on its objects' pages."""
    _entries.setdefault(model, []).append(entry)


def columns_of(model: type[Model]) -> list[Any]:
    """Return the model's added columns as the admin lists them: functions of a row."""
    return [_listed(column) for column in _columns.get(model, ())]


def load_columns(model: type[Model], rows: QuerySet) -> QuerySet:
    """Add to the rows what their added columns show."""
    for column in _columns.get(model, ()):
        rows = column.load(rows)
    return rows


def _listed(column: Column) -> Any:
    def show(row: Any) -> Any:
        return column.show(row)

    show.__name__ = column.key
    return display(description=column.title, ordering=column.order_by or None)(show)


def add_fact(model: type[Model], fact: Fact) -> None:
    """Show the fact on the pages of the model's objects."""
    _facts.setdefault(model, []).append(fact)


def facts_of(model: type[Model], pk: int) -> list[tuple[str, SafeString]]:
    """Return title and value of each fact that other apps add to an object."""
    return [(fact.title, fact.shown(pk)) for fact in _facts.get(model, ())]


def panels_of(model: type[Model], pk: int) -> list[dict[str, str]]:
    """Return key, title and address of each panel of an object."""
    return [
        {"key": panel.key, "title": panel.title, "url": reverse(panel.url_name, args=[pk])}
        for panel in _panels.get(model, ())
    ]


def entries_of(model: type[Model]) -> list[Entry]:
    """Return what can be begun with objects of the model."""
    return list(_entries.get(model, ()))


def entry_actions(request: HttpRequest, model: type[Model]) -> dict[str, tuple[Any, str, str]]:
    """Return the entries as actions of the model's list, those that the user may begin."""
    return {
        entry.key: (_beginning(entry), entry.key, entry.title)
        for entry in entries_of(model)
        if may(request, entry.right)
    }


def _beginning(entry: Entry) -> Callable[[Any, HttpRequest, QuerySet], HttpResponse]:
    def begin(model_admin: Any, request: HttpRequest, queryset: QuerySet) -> HttpResponse:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[:MOST_CHOSEN])
        return HttpResponseRedirect(entry.address(request, ids))

    return begin
