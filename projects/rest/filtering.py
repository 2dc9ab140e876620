"""Filtering and ordering of lists: what a list does not know is refused, not passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _
from django_filters import FilterSet
from django_filters.rest_framework import DjangoFilterBackend
from django_filters.utils import translate_validation
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from projects.ground.words import gettext_lazy, listed

ORDERING = "ordering"
EMPTY = gettext_lazy("Is empty: give a value, or leave the condition out.")
_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can name halves of characters

_names: dict[type[FilterSet], frozenset[str]] = {}


def parameter_names(filterset: FilterSet) -> frozenset[str]:
    """Return the query parameters of a filter set; ranges have two each."""
    kind = type(filterset)
    if kind not in _names:  # a form is made for it, which takes longer than all the rest
        names: set[str] = set()
        for name, field in filterset.form.fields.items():
            suffixes = getattr(field.widget, "suffixes", None)
            names |= {f"{name}_{suffix}" for suffix in suffixes} if suffixes else {name}
        _names[kind] = frozenset(names)
    return _names[kind]


def is_blank(text: str) -> bool:
    """Return whether the text of a condition says nothing, not even between commas."""
    return not text.strip(" ,|")


def refuse_blanks(parameters: QueryDict, names: Iterable[str]) -> None:
    """Raise ValidationError at the filters of a list that are there and say nothing."""
    blank = [name for name in names if any(map(is_blank, parameters.getlist(name)))]
    if blank:
        raise ValidationError({name: [EMPTY] for name in sorted(blank)})


class FilterBackend(DjangoFilterBackend):
    """Applies the view's `filterset_class`; an unknown parameter is an error at its name."""

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        filterset = self.get_filterset(request, queryset, view)
        known = {ORDERING, *view.paging_parameters}
        if filterset is not None:
            known |= parameter_names(filterset)
        unknown = [name for name in request.query_params if name not in known]
        if unknown:
            problem = [_("There is no such filter.")]
            raise ValidationError(dict.fromkeys(unknown, problem))
        refuse_blanks(request.query_params, known - {ORDERING, *view.paging_parameters})
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            raise translate_validation(filterset.errors)
        return filterset.qs


class OrderingBackend(BaseFilterBackend):
    """Orders by `?ordering=name` or `-name`, one of the view's `ordering_fields`.

    `ordering_fields` maps the public names to the columns that they stand for; `ordering` is the
    name that counts when none is given. Ties go by id, so that pages never overlap.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        return queryset.order_by(*self.columns(request, view))

    def columns(self, request: Request, view: Any) -> list[str]:
        """Return the columns to order by, the last one unique."""
        asked = request.query_params.get(ORDERING, view.ordering)
        descending = asked.startswith("-")
        names = view.ordering_fields.get(asked.removeprefix("-"))
        if names is None:
            problem = _("This list is ordered by: {names}.")
            problem = problem.format(names=listed(view.ordering_fields))
            raise ValidationError({ORDERING: [problem]})
        sign = "-" if descending else ""
        columns = [f"{sign}{name}" for name in names]
        return columns if names[-1] in ("id", "pk") else [*columns, f"{sign}id"]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        names = [sign + name for name in view.ordering_fields for sign in ("", "-")]
        return [
            {
                "name": ORDERING,
                "in": "query",
                "required": False,
                "description": "What the list is ordered by; with a minus, the other way round.",
                "schema": {"type": "string", "enum": names, "default": view.ordering},
            }
        ]


def filter_by_mapping(
    filterset_class: type[FilterSet],
    queryset: QuerySet,
    conditions: Mapping[str, Any],
    request: Request,
) -> QuerySet:
    """Apply the conditions of a request body as the list of the same noun would (I10).

    Raises ValidationError at `filter.<name>`. A condition that leaves nothing out, such as an empty
    search, is refused, each for itself: a script's empty variable must not become an operation on
    everything.
    """
    data = QueryDict(mutable=True)
    faults: dict[str, list[str]] = {}
    for name, value in conditions.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float | bool) for item in values):
            faults[f"filter.{name}"] = [_("Must be a value, or a list of values.")]
            continue
        texts = [_as_parameter(item) for item in values]
        if any(map(is_blank, texts)) or not texts:
            faults[f"filter.{name}"] = [str(EMPTY)]
        elif any(_SURROGATE.search(text) for text in texts):
            faults[f"filter.{name}"] = [_("Has half of a character, which no text can hold.")]
        else:
            data.setlist(name, texts)
    filterset = filterset_class(data=data, queryset=queryset, request=request)
    known = parameter_names(filterset)
    faults |= {
        f"filter.{name}": [_("There is no such filter.")]
        for name in conditions
        if name not in known
    }
    if not filterset.is_valid():
        errors = translate_validation(filterset.errors).detail
        faults |= {f"filter.{name}": messages for name, messages in errors.items()}
    if faults:
        raise ValidationError(faults)
    found = filterset.qs
    if len(found.query.where.children) == len(queryset.query.where.children):
        problem = _("This leaves nothing out: give a condition.")
        raise ValidationError({"filter": [problem]})
    return found


def _as_parameter(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
