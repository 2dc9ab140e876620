"""What is wrong with fields: (path, message) pairs, and how a path and a message are written.

Pure, like all of this room but for `forms`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

FieldError = tuple[str, str]


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
