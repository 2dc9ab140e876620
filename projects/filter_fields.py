"""The kinds of filters that lists are made of: for the API, the admin and bulk selection alike.

Parameters that take several values take them both ways: `?id=1,2` and `?id=1&id=2`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django_filters import Filter, MultipleChoiceFilter
from drf_spectacular.utils import extend_schema_field

MAX_ID = 2**63 - 1
MOST_TERMS = 50
MOST_VALUES = 1_000
_ID_DIGITS = 18  # what certainly is an id


def _parts(value: Any) -> Iterator[str]:
    """Yield the values of a parameter, given several times, with commas, or as JSON has it."""
    for item in value if isinstance(value, list | tuple) else [value]:
        for part in str("" if item is None else item).split(","):
            if part.strip():
                yield part.strip()


class IdsField(forms.Field):
    """Ids."""

    widget = forms.SelectMultiple

    def clean(self, value: Any) -> list[int]:
        parts = list(_parts(value))
        if len(parts) > MOST_VALUES:
            raise forms.ValidationError(f"At most {MOST_VALUES} ids.")
        one = forms.IntegerField(min_value=1, max_value=MAX_ID)
        return [one.clean(part) for part in parts]


@extend_schema_field({"type": "array", "items": {"type": "integer", "minimum": 1}})
class IdsFilter(Filter):
    """Rows whose field has one of the ids."""

    field_class = IdsField

    def filter(self, qs: QuerySet, value: list[int]) -> QuerySet:
        return qs.filter(**{f"{self.field_name}__in": value}) if value else qs


class ChoicesField(forms.MultipleChoiceField):
    """Choices."""

    def to_python(self, value: Any) -> list[str]:
        return list(_parts(value))


class ChoicesFilter(MultipleChoiceFilter):
    """Rows whose field has one of the choices."""

    field_class = ChoicesField

    def filter(self, qs: QuerySet, value: Sequence[str]) -> QuerySet:
        return qs.filter(**{f"{self.field_name}__in": list(value)}) if value else qs


class NamesField(forms.Field):
    """Names; no commas between them, since names may have some."""

    widget = forms.SelectMultiple

    def clean(self, value: Any) -> list[str]:
        items = value if isinstance(value, list | tuple) else [value]
        one = forms.CharField(max_length=200, required=False, strip=False)
        if len(items) > MOST_VALUES:
            raise forms.ValidationError(f"At most {MOST_VALUES} names.")
        return [name for item in items if (name := one.clean(item))]


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class NamesFilter(Filter):
    """Rows whose field is one of the names, exactly."""

    field_class = NamesField

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        return qs.filter(**{f"{self.field_name}__in": value}) if value else qs


class SearchField(forms.CharField):
    """Terms with "|" between them."""

    def clean(self, value: Any) -> list[str]:
        terms = [term.strip() for term in super().clean(value).split("|")]
        if len(terms) > MOST_TERMS:
            raise forms.ValidationError(f"At most {MOST_TERMS} terms.")
        return [term for term in terms if term]


@extend_schema_field({"type": "string"})
class SearchFilter(Filter):
    """Rows with a text that contains a term, or whose id it is; several terms with "|" (W8).

    `texts` and `ids` are the fields that are looked at.
    """

    field_class = SearchField

    def __init__(
        self, *, texts: Sequence[str], ids: Sequence[str] = ("id",), **kwargs: Any
    ) -> None:
        self.texts, self.ids = texts, ids
        kwargs.setdefault("help_text", "Part of a name, or an id; several with | between them.")
        super().__init__(max_length=1000, **kwargs)

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        condition = Q()
        for term in value or []:
            for text in self.texts:
                condition |= Q(**{f"{text}__icontains": term})
            if term.isascii() and term.isdigit() and len(term) <= _ID_DIGITS:
                for name in self.ids:
                    condition |= Q(**{name: int(term)})
        return qs.filter(condition)
