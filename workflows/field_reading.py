"""Reading fields out of a mapping that people wrote, collecting everything that is wrong.

Pure: used for definitions, task type settings and workflow files. A field that is absent or null
takes its default; a field that is wrong takes its default too, and leaves a (path, message) pair.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

FieldError = tuple[str, str]

# PostgreSQL stores neither in text or JSON.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MAX_DEPTH = 8


def join(path: str, name: str | int) -> str:
    """Return the path of the field `name` inside `path`."""
    return f"{path}.{name}" if path else str(name)


def quoted(values: Collection[object]) -> str:
    """Return the values for a sentence: “a”, “b” or “c”."""
    words = [f"“{value}”" for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def unknown_key(key: object, known: Collection[str]) -> str:
    """Return the message for a key that is not among `known`, with a guess at what was meant."""
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f" Did you mean “{close[0]}”?" if close else ""
    return f"There is no field “{key}” here.{hint}"


def text_fault(value: str) -> str | None:
    """Return what keeps a text from being stored, or None."""
    found = _UNSTORABLE.search(value)
    if found is None:
        return None
    return f"Character {found.start() + 1} (U+{ord(found.group()):04X}) cannot be stored."


def json_faults(value: object, path: str, *, depth: int = 0) -> list[FieldError]:
    """Return what keeps a value from being stored as JSON, by path."""
    if depth > _MAX_DEPTH:
        return [(path, f"Nested deeper than {_MAX_DEPTH} levels.")]
    if value is None or isinstance(value, bool | int):
        return []
    if isinstance(value, str):
        fault = text_fault(value)
        return [(path, fault)] if fault else []
    if isinstance(value, float):
        return [] if math.isfinite(value) else [(path, "Not a finite number.")]
    faults: list[FieldError] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or text_fault(key):
                faults.append((path, f"The key {key!r} is not a text that can be stored."))
            else:
                faults += json_faults(item, join(path, key), depth=depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            faults += json_faults(item, join(path, index), depth=depth + 1)
    else:
        faults.append((path, f"A {type(value).__name__} is not allowed here."))
    return faults


def normal_json(value: Any) -> Any:
    """Return a JSON value as it comes back from the database: keys in order, numbers as such.

    The value has no faults (`json_faults`).
    """
    if isinstance(value, Mapping):
        return {key: normal_json(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [normal_json(item) for item in value]
    if isinstance(value, float):
        # jsonb keeps decimal numbers: no exponent, no negative zero.
        exact = Decimal(repr(value))
        return int(exact) if abs(value) >= 1e16 else float(exact) + 0.0
    return value


class FieldReader:
    """The fields of one mapping. `errors` may be shared by several readers."""

    def __init__(
        self,
        data: object,
        known: Collection[str],
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
            if key not in known:
                self.errors.append((join(path, str(key)), unknown_key(key, known)))

    def refuse(self, name: str, message: str) -> None:
        """Note that the field `name` is wrong."""
        self.errors.append((join(self.path, name), message))

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
        inner = FieldReader(value, list(value), path=join(self.path, name), errors=self.errors)
        return {key: inner.text(key, max_length=max_length) for key in value}
