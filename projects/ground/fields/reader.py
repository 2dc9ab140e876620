"""Reading fields out of a mapping that people wrote, collecting everything that is wrong.

A field that is absent or null takes its default; a field that is wrong takes its default too, and
leaves a (path, message) pair.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from projects.ground.fields.faults import FieldError, join, quoted, unknown_key
from projects.ground.fields.json import json_faults, text_fault
from projects.ground.refusals import Coded

T = TypeVar("T")

FIRST_DATE, LAST_DATE = dt.date(1970, 1, 1), dt.date(2199, 12, 31)
MAX_ID = 2**63 - 1
_DATE, _TIME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}"), re.compile("[0-9]{2}:[0-9]{2}")
NO_DATE = "This must be a date of the calendar, as YYYY-MM-DD."


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
            self.errors.append((path, "Must be a mapping of fields to values."))
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
                self.refuse(name, "This field is required.")
            return default
        if not isinstance(value, str):
            hint = " Put it in quotes." if isinstance(value, bool | int | float) else ""
            self.refuse(name, f"Must be a text.{hint}")
        elif fault := text_fault(value):
            self.refuse(name, fault)
        elif len(value) > max_length:
            self.refuse(name, f"At most {max_length:,} characters; this has {len(value):,}.")
        elif required and not value.strip():
            self.refuse(name, "This field is required.")
        elif choices and value not in choices:
            self.refuse(name, f"“{value}” is not one of {quoted(choices)}.")
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
            self.refuse(name, "Must be a whole number.")
        elif not minimum <= value <= maximum:
            self.refuse(name, f"Must be between {minimum:,} and {maximum:,}{unit}.")
        else:
            return value
        return default

    def number(self, name: str, default: float, *, minimum: float, maximum: float) -> float:
        """Return a number between the bounds, both included."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(name, "Must be a number.")
        elif not minimum <= value <= maximum:
            self.refuse(name, f"Must be between {minimum:g} and {maximum:g}.")
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
        self.refuse(name, "Must be true or false.")
        return default

    def ids(self, name: str, *, max_items: int) -> tuple[int, ...]:
        """Return ids in their order, each once."""
        found: dict[int, None] = {}
        for index, item in enumerate(self.sequence(name, max_items=max_items)):
            if isinstance(item, bool) or not isinstance(item, int) or not 0 < item <= MAX_ID:
                self.refuse(f"{name}.{index}", "This must be an id: a whole number above 0.")
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
        self.refuse(name, f"Dates from {FIRST_DATE} to {LAST_DATE} can be planned.")
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
            self.refuse(name, "This must be a time of day, as HH:MM.")
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
            self.refuse(name, "Must be a list.")
        elif len(value) > max_items:
            self.refuse(name, f"At most {max_items:,} entries; this has {len(value):,}.")
        else:
            return value
        return ()

    def texts(self, name: str, *, max_items: int, max_length: int) -> dict[str, str]:
        """Return a mapping of names to texts; a number or a boolean is refused with a hint."""
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.refuse(name, "Must be a mapping of names to texts.")
            return {}
        if len(value) > max_items:
            self.refuse(name, f"At most {max_items:,} entries; this has {len(value):,}.")
            return {}
        if faults := json_faults(dict.fromkeys(value), join(self.path, name)):
            self.errors += faults
            return {}
        inner = self.inner(name, value, list(value))
        return {key: inner.text(key, max_length=max_length) for key in value}
