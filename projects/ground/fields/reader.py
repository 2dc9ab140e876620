"""Reading fields out of a mapping that people wrote, collecting everything that is wrong.

A field that is absent or null takes its default; a field that is wrong takes its default too, and
leaves a (path, message) pair.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from projects.ground.fields.faults import FieldError, join, quoted, unknown_key
from projects.ground.fields.json import json_faults, text_fault
from projects.ground.refusals import Coded
from projects.ground.words import gettext_lazy, thousands

T = TypeVar("T")

FIRST_DATE, LAST_DATE = dt.date(1970, 1, 1), dt.date(2199, 12, 31)
MAX_ID = 2**63 - 1
_DATE, _TIME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}"), re.compile("[0-9]{2}:[0-9]{2}")
NO_DATE = gettext_lazy("This must be a date of the calendar, as YYYY-MM-DD.")


def too_long(most: int, length: int) -> str:
    """Return the message for a text of more than `most` characters."""
    fault = ngettext(
        "At most {most} character; this has {count}.",
        "At most {most} characters; this has {count}.",
        most,
    )
    return fault.format(most=thousands(most), count=thousands(length))


def _too_many(most: int, number: int) -> str:
    fault = ngettext(
        "At most {most} entry; this has {count}.",
        "At most {most} entries; this has {count}.",
        most,
    )
    return fault.format(most=thousands(most), count=thousands(number))


class FieldReader:
    """The fields of one mapping. `errors` may be shared by several readers.

    `known` are the fields that there are; None: whoever reads says so himself.
    """

    def __init__(
        self,
        data: object,
        known: Collection[str] | None,
        *,
        path: str = "",
        errors: list[FieldError] | None = None,
    ) -> None:
        self.path = path
        self.errors: list[FieldError] = [] if errors is None else errors
        self._data: Mapping[Any, Any] = {}
        if data is None:
            return
        if not isinstance(data, Mapping):
            self.errors.append((path, _("Must be a mapping of fields to values.")))
            return
        self._data = data
        for key in data:
            if known is not None and key not in known:
                self.errors.append((join(path, str(key)), unknown_key(key, known)))

    def refuse(self, name: str, message: str, code: str = "") -> None:
        """Note that the field `name` is wrong; `code` is for machines."""
        self.errors.append((join(self.path, name), Coded(message, code) if code else message))

    def inner(self, name: str, data: object, known: Collection[str]) -> FieldReader:
        """Return the reader of a mapping inside this one; its faults are told here."""
        return FieldReader(data, known, path=join(self.path, name), errors=self.errors)

    def keys(self) -> Collection[Any]:
        """Return the names that were written."""
        return self._data.keys()

    def raw(self, name: str) -> Any:
        """Return the field as it was written; None when absent."""
        return self._data.get(name)

    def text(
        self,
        name: str,
        default: str = "",
        *,
        required: bool = False,
        max_length: int = 1000,
        choices: Collection[str] = (),
        pattern: tuple[str, str] | None = None,
    ) -> str:
        """Return a text; `pattern` is a regular expression for all of it and what it asks for."""
        value = self.raw(name)
        if value is None:
            if required:
                self.refuse(name, _("This field is required."))
            return default
        if not isinstance(value, str):
            is_unquoted = isinstance(value, bool | int | float)
            wrong = _("Must be a text. Put it in quotes.") if is_unquoted else _("Must be a text.")
            self.refuse(name, wrong)
        elif fault := text_fault(value):
            self.refuse(name, fault)
        elif len(value) > max_length:
            self.refuse(name, too_long(max_length, len(value)))
        elif required and not value.strip():
            self.refuse(name, _("This field is required."))
        elif choices and value not in choices:
            wrong = _("“{value}” is not one of {choices}.")
            self.refuse(name, wrong.format(value=value, choices=quoted(choices)))
        elif pattern and not re.fullmatch(pattern[0], value):
            self.refuse(name, pattern[1])
        else:
            return value
        return default

    def integer(
        self, name: str, default: int | None, *, minimum: int, maximum: int, unit: str = ""
    ) -> int | None:
        """Return a whole number between the bounds, both included."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(name, _("Must be a whole number."))
        elif not minimum <= value <= maximum:
            wrong = _("Must be between {minimum} and {maximum}.")
            if unit:
                wrong = _("Must be between {minimum} and {maximum} {unit}.")
            least, most = thousands(minimum), thousands(maximum)
            self.refuse(name, wrong.format(minimum=least, maximum=most, unit=unit))
        else:
            return value
        return default

    def number(self, name: str, default: float, *, minimum: float, maximum: float) -> float:
        """Return a number between the bounds, both included."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(name, _("Must be a number."))
        elif not minimum <= value <= maximum:
            wrong = _("Must be between {minimum} and {maximum}.")
            self.refuse(name, wrong.format(minimum=f"{minimum:g}", maximum=f"{maximum:g}"))
        else:
            return float(value)
        return default

    def boolean(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.refuse(name, _("Must be true or false."))
        return default

    def ids(self, name: str, *, max_items: int) -> tuple[int, ...]:
        """Return ids in their order, each once."""
        found: dict[int, None] = {}
        for index, item in enumerate(self.sequence(name, max_items=max_items)):
            if isinstance(item, bool) or not isinstance(item, int) or not 0 < item <= MAX_ID:
                wrong = _("This must be an id: a whole number above 0.")
                self.refuse(f"{name}.{index}", wrong)
            else:
                found[item] = None
        return tuple(found)

    def date(self, name: str) -> dt.date | None:
        """Return a date that is written as YYYY-MM-DD."""
        value = self.raw(name)
        if value is None:
            return None
        try:
            if not isinstance(value, str) or not _DATE.fullmatch(value):
                raise ValueError
            day = dt.date.fromisoformat(value)
        except ValueError:
            self.refuse(name, NO_DATE)
            return None
        if FIRST_DATE <= day <= LAST_DATE:
            return day
        wrong = _("Dates from {first} to {last} can be planned.")
        self.refuse(name, wrong.format(first=FIRST_DATE, last=LAST_DATE))
        return None

    def time(self, name: str, default: dt.time | None = None) -> dt.time | None:
        """Return a time of day that is written as HH:MM."""
        value = self.raw(name)
        if value is None:
            return default
        try:
            if not isinstance(value, str) or not _TIME.fullmatch(value):
                raise ValueError
            return dt.datetime.strptime(value, "%H:%M").time()
        except ValueError:
            self.refuse(name, _("This must be a time of day, as HH:MM."))
            return default

    def parsed(self, name: str, default: T, parse: Callable[[Any], T]) -> T:
        """Return what `parse` makes of the value; its ValueError says what is wrong."""
        value = self.raw(name)
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.refuse(name, str(error))
            return default

    def sequence(self, name: str, *, max_items: int) -> Sequence[Any]:
        """Return a list of anything."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            self.refuse(name, _("Must be a list."))
        elif len(value) > max_items:
            self.refuse(name, _too_many(max_items, len(value)))
        else:
            return value
        return ()

    def texts(self, name: str, *, max_items: int, max_length: int) -> dict[str, str]:
        """Return a mapping of names to texts; a number or a boolean is refused with a hint."""
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.refuse(name, _("Must be a mapping of names to texts."))
            return {}
        if len(value) > max_items:
            self.refuse(name, _too_many(max_items, len(value)))
            return {}
        if faults := json_faults(dict.fromkeys(value), join(self.path, name)):
            self.errors += faults
            return {}
        inner = self.inner(name, value, list(value))
        return {key: inner.text(key, max_length=max_length) for key in value}
