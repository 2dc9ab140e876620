"""How values look in the admin: badges, times, durations, bars. Everything is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

NOTHING = mark_safe('<span class="tm-none">–</span>')

# The colour of every state and status that pages show; what is not here is grey. The names are
# those of the classes tm-tone-… in admin.css.
TONES: Mapping[str, str] = {
    # instances
    "NOT_RUN": "slate",
    "WAITING_EVENT": "amber",
    "WAITING_UPSTREAM": "amber",
    "WAITING_EXECUTION": "violet",
    "RUNNING": "blue",
    "TERMINATING": "orange",
    "RETRYING": "orange",
    "SUCCESS": "green",
    "FAILED": "red",
    "FROZEN": "cyan",
    # executions
    "SENT": "violet",
    "TERMINATED": "red",
    "LOST": "red",
    "DISMISSED": "slate",
    # tasks
    "DRAFT": "slate",
    "SCHEDULING": "green",
    "PAUSED": "amber",
    "OFFLINE": "slate",
    "INVALID": "red",
    # plans
    "draft": "slate",
    "expanding": "violet",
    "running": "blue",
    "paused": "amber",
    "completed": "green",
    "terminated": "red",
    # days of plans
    "day:waiting": "slate",
    "day:open": "blue",
    "day:blocked": "red",
    "day:done": "green",
}


def tone_of(value: str) -> str:
    """Return the name of the colour of a state or status."""
    return TONES.get(value, "slate")


def badge(value: str, label: str = "", *, title: str = "") -> SafeString:
    """Return a coloured label for a state or status."""
    return format_html(
        '<span class="tm-badge tm-tone-{}" title="{}">{}</span>',
        tone_of(str(value)),
        title,
        label or str(value).replace("_", " ").capitalize(),
    )


def when(moment: datetime | None, zone: str = "UTC") -> SafeString:
    """Return an instant as yyyy-MM-dd HH:mm:ss in a time zone; the instant in UTC on hovering."""
    if moment is None:
        return NOTHING
    local = moment.astimezone(ZoneInfo(zone or "UTC"))
    return format_html(
        '<time class="tm-time" datetime="{}" title="{} · {}">{}</time>',
        moment.isoformat(),
        moment.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%d %H:%M:%S UTC"),
        zone or "UTC",
        local.strftime("%Y-%m-%d %H:%M:%S"),
    )


def spell_duration(length: timedelta | float | None) -> str:
    """Return a length of time as people say it: 840 ms, 12.4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if length is None:
        return "–"
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def duration(
    started_at: datetime | None, ended_at: datetime | None, now: datetime | None = None
) -> SafeString:
    """Return how long something took, or has taken up to `now`."""
    end = ended_at or now
    if started_at is None or end is None:
        return NOTHING
    return format_html('<span class="tm-time">{}</span>', spell_duration(end - started_at))


def bar(parts: Iterable[tuple[str, int, str]], total: int, *, small: bool = False) -> SafeString:
    """Return a bar of (tone, number, title) parts of `total`; what is missing stays empty."""
    listed = [(tone, number, title) for tone, number, title in parts if number > 0]
    inside = format_html_join(
        "",
        '<span class="tm-tone-{}" style="width:{}%" title="{}"></span>',
        (
            (tone, f"{100 * number / total:.3f}" if total else "0", title)
            for tone, number, title in listed
        ),
    )
    return format_html('<div class="tm-bar{}">{}</div>', " tm-bar-small" if small else "", inside)


def state_bar(
    counts: Mapping[Any, int], total: int, order: Iterable[Any], *, small: bool = False
) -> SafeString:
    """Return a bar of the numbers per state, in `order`; states are TextChoices members."""
    return bar(
        (
            (tone_of(state.value), counts.get(state, 0), f"{state.label}: {counts.get(state, 0):,}")
            for state in order
        ),
        total,
        small=small,
    )


def link(url: str, text: str, *, title: str = "") -> SafeString:
    """Return a link in the colour of links."""
    return format_html('<a class="tm-link" href="{}" title="{}">{}</a>', url, title, text)


def names(rows: Iterable[Any]) -> SafeString:
    """Return the texts of rows, one after the other."""
    texts = [str(row) for row in rows]
    return format_html("{}", ", ".join(texts)) if texts else NOTHING


def percent(rate: float) -> str:
    """Return a rate as a percentage that is 100 % only when it is whole."""
    shown = int(rate * 1000) / 10
    return f"{shown:.0f} %" if shown == int(shown) else f"{shown:.1f} %"
