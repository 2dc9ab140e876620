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

# What code, API and record name in English.
_THINGS = {
    "backfill plan": gettext_lazy("backfill plan"),
    "batch": gettext_lazy("batch"),
    "data source": gettext_lazy("data source"),
    "dependency": gettext_lazy("dependency"),
    "error code": gettext_lazy("error code"),
    "execution": gettext_lazy("execution"),
    "folder": gettext_lazy("folder"),
    "instance": gettext_lazy("instance"),
    "member": gettext_lazy("member"),
    "operation": gettext_lazy("operation"),
    "plan": gettext_lazy("plan"),
    "project": gettext_lazy("project"),
    "resource group": gettext_lazy("resource group"),
    "task": gettext_lazy("task"),
    "token": gettext_lazy("token"),
    "type": gettext_lazy("type"),
    "user": gettext_lazy("user"),
    "verb": gettext_lazy("verb"),
    "version": gettext_lazy("version"),
    "workflow": gettext_lazy("workflow"),
}


def thing(name: str) -> str:
    """Return what people call the thing that the code names so, such as "data_source"."""
    return str(_THINGS.get(name.replace("_", " "), name))


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
