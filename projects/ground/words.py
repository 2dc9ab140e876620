"""Words for people in the reader's language: see docs/decisions/words.md.

A sentence that is made while somebody waits for it takes Django's `gettext` and `ngettext`. One
that is declared once and shown often, such as a title, takes `gettext_lazy` from here: the same as
Django's, known to the type checker as the text that it stands for. `format_lazy` fills its places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from django.utils import text, translation
from django.utils.formats import number_format
from django.utils.functional import lazy
from django.utils.translation import gettext as _

gettext_lazy = cast("Callable[[str], str]", translation.gettext_lazy)
pgettext_lazy = cast("Callable[[str, str], str]", translation.pgettext_lazy)
format_lazy = cast("Callable[..., str]", text.format_lazy)


def gettext_noop(message: str) -> str:
    """Name a word for the catalogues.

    Django's asks the settings, which may be loading right now: where they then fail, as without a
    variable that they need, a second look would find empty ones and no fault.
    """
    return message


# The things that code, API and record name in English.
_THINGS = frozenset(
    (
        gettext_noop("backfill plan"),
        gettext_noop("batch"),
        gettext_noop("data source"),
        gettext_noop("dependency"),
        gettext_noop("error code"),
        gettext_noop("execution"),
        gettext_noop("folder"),
        gettext_noop("instance"),
        gettext_noop("member"),
        gettext_noop("operation"),
        gettext_noop("plan"),
        gettext_noop("project"),
        gettext_noop("resource group"),
        gettext_noop("task"),
        gettext_noop("token"),
        gettext_noop("type"),
        gettext_noop("user"),
        gettext_noop("verb"),
        gettext_noop("version"),
        gettext_noop("worker"),
        gettext_noop("workflow"),
    )
)


def thing(name: str) -> str:
    """Return what people call the thing that the code names so, such as "data_source"."""
    english = name.replace("_", " ")
    return _(english) if english in _THINGS else name


thing_lazy = cast("Callable[[str], str]", lazy(thing, str))


def thousands(number: int) -> str:
    """Return a whole number as its reader writes it: 10,000."""
    return number_format(number, force_grouping=True)


def listed(words: Iterable[object]) -> str:
    """Return the words one after the other: a, b, c."""
    return _(", ").join(map(str, words))


def one_of(words: Iterable[object]) -> str:
    """Return the words to choose from: a, b or c."""
    *most, last = map(str, words)
    return _("{most} or {last}").format(most=listed(most), last=last) if most else last
