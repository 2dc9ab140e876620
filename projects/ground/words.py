"""Words for people in the reader's language: see docs/decisions/words.md.

A sentence that is made while somebody waits for it takes Django's `gettext` and `ngettext`. One
that is declared once and shown often, such as a title, takes `gettext_lazy` from here: the same as
Django's, known to the type checker as the text that it stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.utils import translation
from django.utils.formats import number_format

gettext_lazy = cast("Callable[[str], str]", translation.gettext_lazy)
pgettext_lazy = cast("Callable[[str, str], str]", translation.pgettext_lazy)


def thousands(number: int) -> str:
    """Return a whole number as its reader writes it: 10,000."""
    return number_format(number, force_grouping=True)
