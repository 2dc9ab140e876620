"""The look of values in templates: see projects.ground.showing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.template import Library
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from projects.console.lists import headers_of, rows_of
from projects.ground import showing, words

register = Library()


@register.filter
def when(value: datetime | None) -> SafeString:
    """Show an instant in the page's zone."""
    return showing.when(value)


@register.filter
def ago(value: datetime | None, now: datetime) -> SafeString:
    """Show how long ago an instant was."""
    return showing.ago(value, now)


@register.filter
def data_time(row: Any) -> str:
    """Show the data time of an instance, or of what has its data_date and local_time."""
    return showing.data_time_text(row.data_date, row.local_time)


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Show a length of time."""
    return showing.spell_duration(value)


@register.filter
def badge(value: str, label: str) -> SafeString:
    """Show a state or status in its colour."""
    return showing.badge(value, label)


@register.filter
def names(rows: Iterable[Any]) -> SafeString:
    """Show the texts of rows, one after the other."""
    return showing.names(rows)


@register.filter
def tone(value: str) -> str:
    """Return the name of the colour of a state or status."""
    return showing.tone_of(value)


@register.filter
def thousands(value: Any) -> str:
    """Show a whole number as its reader writes it: 10,000."""
    return words.thousands(int(value or 0))


@register.filter
def thing(value: str) -> str:
    """Show what people call a thing that code and record name in English."""
    return words.thing(value)


@register.filter
def percent(value: float) -> str:
    """Show a rate."""
    return showing.percent(value)


@register.inclusion_tag("tidemill/rows.html")
def rows(cl: ChangeList) -> dict[str, Any]:
    """Show the rows of a list, or why there are none."""
    is_narrowed = bool(cl.has_active_filters or cl.query)
    nothing = (
        _("Nothing fits the filters.")
        if is_narrowed
        else getattr(cl.model_admin, "empty_text", _("Nothing here yet."))
    )
    return {
        "headers": headers_of(cl),
        "rows": rows_of(cl) if cl.result_list else (),
        "is_narrowed": is_narrowed,
        "nothing": nothing,
    }
