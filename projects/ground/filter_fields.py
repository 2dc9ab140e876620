"""The kinds of filters that lists are made of: for the API, the admin and bulk selection alike.

Parameters that take several values take them both ways: `?id=1,2` and `?id=1&id=2`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django_filters import (
    BooleanFilter,
    Filter,
    FilterSet,
    IsoDateTimeFilter,
    MultipleChoiceFilter,
)
from django_filters.fields import IsoDateTimeField
from drf_spectacular.utils import extend_schema_field

from projects.ground.words import thing

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
            raise forms.ValidationError(_("At most {count} ids.").format(count=MOST_VALUES))
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
            problem = _("At most {count} names.").format(count=MOST_VALUES)
            raise forms.ValidationError(problem)
        return [name for item in items if (name := one.clean(item))]


# Of some names those that there are, for a user; for None, the system, of all.
# A date as machines write it, whatever the language of who asks.
ISO_DATE = "%Y-%m-%d"

Known = Callable[[Any, Sequence[str]], Collection[str]]


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class NamesFilter(Filter):
    """Rows whose field is one of the names, exactly.

    A name that is not `known` to the user and in no row of the list is a mistake, which a
    `CheckedFilterSet` tells: of a hidden name nobody learns that it exists.
    """

    field_class = NamesField

    def __init__(self, *, noun: str, known: Known, **kwargs: Any) -> None:
        self.noun, self.known = noun, known
        super().__init__(**kwargs)

    def unknown(self, rows: QuerySet, names: Sequence[str], user: Any) -> list[str]:
        """Return those of the names that nobody has heard of."""
        missing = sorted(set(names) - set(self.known(user, names)))
        if not missing or self.method:  # a column of its own nobody knows: one by one
            return [name for name in missing if not self.filter(rows, [name]).exists()]
        listed = self.filter(rows, missing).order_by().values_list(self.field_name, flat=True)
        return sorted(set(missing) - set(listed.distinct()))

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        return qs.filter(**{f"{self.field_name}__in": value}) if value else qs


class FlagField(forms.Field):
    """Yes or no."""

    def clean(self, value: Any) -> bool | None:
        text = str("" if value is None else value).strip().lower()
        if text in ("true", "false"):
            return text == "true"
        if text:
            raise forms.ValidationError(_("Must be true or false."))
        return None


class FlagFilter(BooleanFilter):
    """Rows that are something, or are not."""

    field_class = FlagField


class CheckedFilterSet(FilterSet):
    """A set of filters in which a name that there is not is a fault of its filter."""

    def is_valid(self) -> bool:
        if not super().is_valid():
            return False
        user = self.request.user if self.request else None
        for name, one in self.filters.items():
            values = self.form.cleaned_data.get(name)
            if isinstance(one, NamesFilter) and values:
                for unknown in one.unknown(self.queryset, values, user):
                    problem = _("There is no {noun} “{name}”.")
                    problem = problem.format(noun=thing(one.noun), name=unknown)
                    self.form.add_error(name, problem)
        return not self.form.errors


class InstantField(IsoDateTimeField):
    """An instant, in UTC: PostgreSQL knows no offset of 16 hours or more, ISO 8601 does."""

    def clean(self, value: Any) -> datetime | None:
        instant = super().clean(value)
        try:
            return instant.astimezone(UTC) if instant else None
        except OverflowError:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class InstantFilter(IsoDateTimeFilter):
    """Rows whose field is before or after an instant; the lookup says which."""

    field_class = InstantField


class SearchField(forms.CharField):
    """Terms with "|" between them."""

    def clean(self, value: Any) -> list[str]:
        terms = [term.strip() for term in super().clean(value).split("|")]
        if len(terms) > MOST_TERMS:
            problem = _("At most {count} terms.").format(count=MOST_TERMS)
            raise forms.ValidationError(problem)
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
        help_text = {"help_text": "Part of a name, or an id; several with | between them."}
        super().__init__(max_length=1000, **(help_text | kwargs))

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        condition = Q()
        for term in value or []:
            for text in self.texts:
                condition |= Q(**{f"{text}__icontains": term})
            if term.isascii() and term.isdigit() and len(term) <= _ID_DIGITS:
                for name in self.ids:
                    condition |= Q(**{name: int(term)})
        return qs.filter(condition)
