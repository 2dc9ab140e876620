"""The filters of lists, made of the FilterSets that the API uses: the same names, the same rows.

A list's FilterSet is applied as a whole by the first of its filters that the address names, since
some of its filters mean something only together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.filters import ListFilter
from django.contrib.admin.options import ModelAdmin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django_filters import BooleanFilter, ChoiceFilter, Filter, FilterSet

from projects.ground.filter_fields import ChoicesFilter, IdsFilter, InstantFilter, NamesFilter

# The choices of a filter by ids: (id, text) pairs that the user of the request may see.
Choices = Callable[[HttpRequest], Sequence[tuple[Any, str]]]

SEARCH = "search"
MOST_CHOICES = 300
_TOLD = "_tidemill_filter_faults"
# Unfold's fields bring half a kilobyte of classes each.
_LOOK = {"class": "tm-input tm-full"}


def filters_of(
    filterset: type[FilterSet],
    shown: Mapping[str, str],
    choices: Mapping[str, Choices] | None = None,
) -> list[type[ListFilter]]:
    """Return a list filter for each filter of the set; `shown` has the labels of those to show.

    The others can be used in addresses all the same.
    """
    names = [*shown, *(name for name in filterset.base_filters if name not in shown)]
    return [
        type(
            f"{filterset.__name__}_{name}",
            (FilterSetFilter,),
            {
                "filterset": filterset,
                "name": name,
                "title": shown.get(name, name.replace("_", " ")),
                "is_shown": name in shown,
                "choices_of": staticmethod((choices or {}).get(name, _no_choices)),
            },
        )
        for name in names
        if name != SEARCH
    ]


def _no_choices(request: HttpRequest) -> Sequence[tuple[Any, str]]:
    return ()


class FilterSetFilter(ListFilter):
    """One filter of a FilterSet, as a field of the list's filter form."""

    template = "unfold/filters/filters_field.html"
    filterset: type[FilterSet]
    name: str
    is_shown: bool
    choices_of: Choices

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, Any],
        model: type[Model],
        model_admin: ModelAdmin,
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.request = request
        self.values: list[str] = [value for value in params.pop(self.name, []) if value]
        if self.values:
            self.used_parameters[self.name] = self.values

    def has_output(self) -> bool:
        return self.is_shown or bool(self.values)

    def expected_parameters(self) -> list[str | None]:
        return [self.name]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if not self.values or self.name != _first_named(self.filterset, request.GET):
            return queryset
        data = request.GET.copy()
        data.pop(SEARCH_VAR, None)  # the search box is applied apart
        return filter_rows(self.filterset, request, queryset, data)

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        yield {"form": self._form()}

    def _form(self) -> forms.Form:
        one = self.filterset.base_filters[self.name]
        form = forms.Form(self.request.GET, prefix=None)
        form.fields[self.name] = self._field(one)
        form.fields[self.name].label = self.title
        return form

    def _field(self, one: Filter) -> forms.Field:
        if isinstance(one, ChoicesFilter):
            return _ShownChoices(
                required=False,
                choices=_written(one),
                widget=forms.CheckboxSelectMultiple,
            )
        if isinstance(one, ChoiceFilter):
            choices = [("", _("Any")), *_written(one)]
            return _ShownChoice(required=False, choices=choices, widget=forms.Select(attrs=_LOOK))
        if isinstance(one, BooleanFilter):
            choices = [("", _("Any")), ("true", _("Yes")), ("false", _("No"))]
            return _ShownChoice(required=False, choices=choices, widget=forms.Select(attrs=_LOOK))
        if choices := list(self.choices_of(self.request)):
            return self._select(one, choices)
        widget = forms.TextInput(attrs={**_LOOK, "placeholder": _placeholder(one)})
        return forms.CharField(required=False, widget=widget)

    def _select(self, one: Filter, choices: list[tuple[Any, str]]) -> forms.Field:
        known = {str(value) for value, _ in choices}
        choices += [(value, f"#{value}") for value in self.values if value not in known]
        if isinstance(one, IdsFilter | NamesFilter) and len(self.values) > 1:
            return _ShownChoices(
                required=False, choices=choices, widget=forms.SelectMultiple(attrs=_LOOK)
            )
        choices.insert(0, ("", _("Any")))
        return _ShownChoice(required=False, choices=choices, widget=forms.Select(attrs=_LOOK))


class _ShownChoices(forms.MultipleChoiceField):
    """Shows what the address says; the FilterSet is what checks it."""

    def valid_value(self, value: str) -> bool:
        return True


class _ShownChoice(forms.ChoiceField):
    """Shows what the address says; the FilterSet is what checks it."""

    def valid_value(self, value: str) -> bool:
        return True


def _written(one: Filter) -> list[tuple[Any, str]]:
    choices = one.extra["choices"]
    return list(choices() if callable(choices) else choices)


def _placeholder(one: Filter) -> str:
    if isinstance(one, InstantFilter):
        return "2026-01-31T05:00"
    if isinstance(one, IdsFilter):
        return _("id")
    return ""


def _first_named(filterset: type[FilterSet], data: QueryDict) -> str | None:
    named = (name for name in filterset.base_filters if any(data.getlist(name)))
    return next((name for name in named if name != SEARCH), None)


def filter_rows(
    filterset: type[FilterSet], request: HttpRequest, queryset: QuerySet, data: QueryDict
) -> QuerySet:
    """Apply filters and the search box's text; nonsense is told to the user and finds no rows."""
    wanted = data.copy()
    term = wanted.pop(SEARCH_VAR, [""])[-1]
    wanted.pop(SEARCH, None)
    if term and SEARCH in filterset.base_filters:
        wanted[SEARCH] = term
    found = filterset(data=wanted, queryset=queryset, request=request)
    if found.is_valid():
        return found.qs
    # A page asks for its rows and for their numbers: what is wrong is told once.
    told: set[str] = request.__dict__.setdefault(_TOLD, set())
    for name, faults in found.errors.items():
        for fault in faults:
            text = _("Filter {name}: {fault}").format(name=name.replace("_", " "), fault=fault)
            if text not in told:
                told.add(text)
                messages.error(request, text)
    return queryset.none()


def search_rows(
    filterset: type[FilterSet], request: HttpRequest, queryset: QuerySet, term: str
) -> QuerySet:
    """Apply the FilterSet's `search` with the text of the list's search box."""
    if not term:
        return queryset
    return filter_rows(filterset, request, queryset, QueryDict(urlencode({SEARCH_VAR: term})))
