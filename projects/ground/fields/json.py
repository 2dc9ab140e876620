"""What a database keeps of JSON and texts, and the form in which it gives them back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from projects.ground.fields.faults import FieldError, join

# PostgreSQL stores neither in text or JSON.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MAX_DEPTH = 8


def text_fault(value: str) -> str | None:
    """Return what keeps a text from being stored, or None."""
    found = _UNSTORABLE.search(value)
    if found is None:
        return None
    fault = _("Character {number} (U+{code}) cannot be stored.")
    return fault.format(number=found.start() + 1, code=f"{ord(found.group()):04X}")


def json_faults(value: object, path: str, *, depth: int = 0) -> list[FieldError]:
    """Return what keeps a value from being stored as JSON, by path."""
    if depth > _MAX_DEPTH:
        return [(path, _("Nested deeper than {count} levels.").format(count=_MAX_DEPTH))]
    if value is None or isinstance(value, bool | int):
        return []
    if isinstance(value, str):
        fault = text_fault(value)
        return [(path, fault)] if fault else []
    if isinstance(value, float):
        return [] if math.isfinite(value) else [(path, _("Not a finite number."))]
    faults: list[FieldError] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or text_fault(key):
                fault = _("The key {key} is not a text that can be stored.")
                faults.append((path, fault.format(key=repr(key))))
            else:
                faults += json_faults(item, join(path, key), depth=depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            faults += json_faults(item, join(path, index), depth=depth + 1)
    else:
        fault = _("A {type} is not allowed here.")
        faults.append((path, fault.format(type=type(value).__name__)))
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
