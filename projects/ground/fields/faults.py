"""What is wrong with fields: (path, message) pairs, and how a path and a message are written.

Pure, like all of this room but for `forms`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

from django.utils.translation import gettext as _

from projects.ground.words import one_of

FieldError = tuple[str, str]


def join(path: str, name: str | int) -> str:
    """Return the path of the field `name` inside `path`."""
    return f"{path}.{name}" if path else str(name)


def quoted(values: Collection[object]) -> str:
    """Return the values for a sentence: “a”, “b” or “c”."""
    return one_of(_("“{word}”").format(word=value) for value in values)


def unknown_key(key: object, known: Collection[str]) -> str:
    """Return the message for a key that is not among `known`, with a guess at what was meant."""
    close = difflib.get_close_matches(str(key), known, n=1)
    if not close:
        return _("There is no field “{name}” here.").format(name=key)
    sentence = _("There is no field “{name}” here. Did you mean “{close}”?")
    return sentence.format(name=key, close=close[0])
