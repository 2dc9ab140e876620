"""The look of values in templates: see projects.showing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.template import Library
from django.utils.safestring import SafeString

from projects import showing

register = Library()


@register.filter
def when(value: datetime | None, zone: str = "UTC") -> SafeString:
    """Show an instant in a time zone."""
    return showing.when(value, zone)


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Show a length of time."""
    return showing.spell_duration(value)


@register.filter
def badge(value: str, label: str = "") -> SafeString:
    """Show a state or status in its colour."""
    return showing.badge(value, label)


@register.filter
def tone(value: str) -> str:
    """Return the name of the colour of a state or status."""
    return showing.tone_of(value)


@register.filter
def thousands(value: Any) -> str:
    """Show a whole number with commas."""
    return f"{int(value or 0):,}"


@register.filter
def percent(value: float) -> str:
    """Show a rate."""
    return showing.percent(value)
