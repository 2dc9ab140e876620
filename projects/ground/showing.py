"""How values look in the admin: badges, times, durations, bars. Everything is escaped here.

Every time of a page is shown in one zone, which `use_zone` sets and the page's head names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from projects.ground.words import listed, thousands

NOTHING = mark_safe('<span class="tm-none">–</span>')

# The colour of every state and status that pages show; what is not here is grey. The names are
# those of the classes tm-tone-… in tokens.css.
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
    "completed:partly": "amber",
    "completed:failed": "red",
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


def badge(value: str, label: str, *, title: str = "") -> SafeString:
    """Return a coloured label for a state or status."""
    return format_html(
        '<span class="tm-badge tm-tone-{}" title="{}">{}</span>',
        tone_of(str(value)),
        title,
        label,
    )


# The zone of an API answer, a command, a record: no page has chosen one, so sentences name it.
_UNCHOSEN = timezone.get_default_timezone


def use_zone(name: str) -> None:
    """Show every time from now on in this zone: the page of the present request names it once."""
    try:
        # An own object, so that UTC that was chosen differs from UTC that nobody chose.
        timezone.activate(ZoneInfo.no_cache(name or "UTC"))
    except ZoneInfoNotFoundError:  # a zone that this machine knows no more
        timezone.activate(ZoneInfo.no_cache("UTC"))


def when(moment: datetime | None) -> SafeString:
    """Return an instant as yyyy-MM-dd HH:mm:ss in the page's zone; in UTC as well on hovering."""
    if moment is None:
        return NOTHING
    return _time(moment, f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}")


def ago(moment: datetime | None, now: datetime) -> SafeString:
    """Return how long ago an instant was, or how far it is; the instant itself on hovering."""
    if moment is None:
        return NOTHING
    told = _("in {length}") if moment > now else _("{length} ago")
    return _time(moment, told.format(length=_roughly(abs(now - moment))))


def _time(moment: datetime, text: str) -> SafeString:
    zone = timezone.get_current_timezone_name()
    local = f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S} {zone}"
    exact = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return format_html(
        '<time class="tm-time" datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        exact if zone == "UTC" else f"{local} · {exact}",
        text,
    )


def _roughly(length: timedelta) -> str:
    """Return a length in its largest unit: 40 s, 5 min, 3 h, 12 d."""
    seconds = int(length.total_seconds())
    for size, unit in ((86_400, _("{n} d")), (3_600, _("{n} h")), (60, _("{n} min"))):
        if seconds >= size:
            return unit.format(n=seconds // size)
    return _("{n} s").format(n=seconds)


def instant_text(moment: datetime) -> str:
    """Return an instant for a sentence: in the page's zone, which the page names; else with it."""
    zone = timezone.get_current_timezone()
    text = f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
    return f"{text} {zone}" if zone is _UNCHOSEN() else text


def data_time_text(data_date: date, local_time: time) -> str:
    """Return a data time: a local time of the schedule, the same whoever reads it and where."""
    seconds = f":{local_time:%S}" if local_time.second else ""
    return f"{data_date:%Y-%m-%d} {local_time:%H:%M}{seconds}"


def slot_name(task: str, data_date: date, local_time: time) -> str:
    """Return the name of an instance in sentences, messages and records: task and data time."""
    return f"{task} {data_time_text(data_date, local_time)}"


def spell_duration(length: timedelta | float | None) -> str:
    """Return a length of time as people say it: 840 ms, 12.4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if length is None:
        return "–"
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return _("{n} ms").format(n=f"{seconds * 1000:.0f}")
    if seconds < 60:
        return _("{n} s").format(n=number_format(f"{seconds:.1f}"))
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return _("{minutes} min {seconds} s").format(minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    days, hours = divmod(hours, 24)
    return _("{days} d {hours} h").format(days=days, hours=hours)


def spell_seconds(seconds: int) -> str:
    """Return a length that was set, exactly: 0 s, 10 min, 1 h 30 min, 1 day, 2 days 1 s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = (
        (days, ngettext("{n} day", "{n} days", days)),
        (hours, _("{n} h")),
        (minutes, _("{n} min")),
        (rest, _("{n} s")),
    )
    return " ".join(unit.format(n=n) for n, unit in units if n) or _("{n} s").format(n=0)


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
    shown = [(tone, number, title) for tone, number, title in parts if number > 0 and total]
    starts = [0, *accumulate(number for _, number, _ in shown)]
    inside = format_html_join(
        "",
        '<rect class="tm-tone-{}" x="{}%" width="{}%" height="100%"><title>{}</title></rect>',
        (
            (tone, f"{100 * start / total:.3f}", f"{max(100 * number / total, 0.4):.3f}", title)
            for start, (tone, number, title) in zip(starts, shown, strict=False)
        ),
    )
    return format_html('<svg class="tm-bar{}">{}</svg>', " tm-bar-small" if small else "", inside)


def state_bar(
    counts: Mapping[Any, int], total: int, order: Iterable[Any], *, small: bool = False
) -> SafeString:
    """Return a bar of the numbers per state, in `order`; states are TextChoices members."""
    return bar(
        (
            (tone_of(state.value), number, f"{state.label}: {thousands(number)}")
            for state in order
            for number in [counts.get(state, 0)]
        ),
        total,
        small=small,
    )


def link(url: str, text: str, *, title: str = "") -> SafeString:
    """Return a link in the colour of links."""
    return format_html('<a class="tm-link" href="{}" title="{}">{}</a>', url, title, text)


def names(rows: Iterable[Any]) -> SafeString:
    """Return the texts of rows, one after the other; no database promises an order of owners."""
    texts = sorted(str(row) for row in rows)
    return format_html("{}", listed(texts)) if texts else NOTHING


def percent(rate: float) -> str:
    """Return a rate as a percentage that is 100 % only when it is whole."""
    shown = int(rate * 1000) / 10
    number = f"{shown:.0f}" if shown == int(shown) else f"{shown:.1f}"
    return _("{number} %").format(number=number_format(number))
