"""The execution curve: durations as columns, how late starts and ends are as lines. Pure.

Laid out as a value first, then drawn as SVG.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from projects.ground.showing import spell_duration, tone_of

WIDTH, HEIGHT = 960, 260
LEFT, RIGHT, TOP, BOTTOM = 70, 70, 14, 34


@dataclass(frozen=True, slots=True)
class Bar:
    """One run."""

    label: str
    scheduled_at: datetime
    started_at: datetime
    ended_at: datetime
    state: str
    spelled: str
    href: str
    is_periodic: bool = True

    @property
    def seconds(self) -> float:
        return max((self.ended_at - self.started_at).total_seconds(), 0.0)

    @property
    def start_delay(self) -> float:
        """Seconds from the planned time to the start; before it counts as 0."""
        return max((self.started_at - self.scheduled_at).total_seconds(), 0.0)

    @property
    def end_delay(self) -> float:
        """Seconds from the planned time to the end."""
        return max((self.ended_at - self.scheduled_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Column:
    """A run as a column, in pixels, with its upper left corner."""

    run: Bar
    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across: the duration it stands for, and the delay where there are any; in seconds."""

    y: float
    duration: float
    delay: float | None


@dataclass(frozen=True, slots=True)
class Plot:
    """The runs laid out; `starts` and `ends` are the points of the lines that tell delays."""

    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    starts: tuple[tuple[float, float], ...]
    ends: tuple[tuple[float, float], ...]


def plot(bars: Sequence[Bar]) -> Plot:
    """Lay out the runs, at least one, oldest on the left."""
    longest = max(max(bar.seconds for bar in bars), 0.001)
    # A backfill runs long after the planned time: only the schedule's own runs are late or not.
    latest = max((bar.end_delay for bar in bars if bar.is_periodic), default=0.0)
    step, base = (WIDTH - LEFT - RIGHT) / len(bars), HEIGHT - BOTTOM
    width = max(min(step * 0.7, 26), 1.5)

    def place(index: int, bar: Bar) -> Column:
        height = max((base - TOP) * bar.seconds / longest, 1.5)
        return Column(bar, LEFT + step * (index + 0.5) - width / 2, base - height, width, height)

    columns = tuple(place(index, bar) for index, bar in enumerate(bars))

    def points(delay: Callable[[Bar], float]) -> tuple[tuple[float, float], ...]:
        return tuple(
            (one.centre, base - (base - TOP) * delay(one.run) / (latest or 1.0))
            for one in columns
            if one.run.is_periodic
        )

    ticks = tuple(
        Tick(base - (base - TOP) * share, longest * share, latest * share if latest else None)
        for share in (0.0, 0.5, 1.0)
    )
    return Plot(
        columns, ticks, points(lambda bar: bar.start_delay), points(lambda bar: bar.end_delay)
    )


def draw_curve(bars: Sequence[Bar]) -> SafeString:
    """Return the SVG of the runs, at least one, oldest on the left."""
    laid_out = plot(bars)
    return format_html(
        '<svg class="tm-curve" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        "{}{}{}"
        '<polyline class="tm-tone-cyan" points="{}"><title>{}</title></polyline>'
        '<polyline class="tm-tone-violet" points="{}"><title>{}</title></polyline></svg>',
        WIDTH,
        HEIGHT,
        _("Execution curve"),
        _ticks(laid_out.ticks),
        _columns(laid_out.columns),
        _labels(laid_out.columns),
        _points(laid_out.starts),
        _("Start after planned time"),
        _points(laid_out.ends),
        _("End after planned time"),
    )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _ticks(ticks: Sequence[Tick]) -> SafeString:
    return format_html_join(
        "",
        '<line x1="{}" y1="{}" x2="{}" y2="{}"></line>'
        '<text x="{}" y="{}" text-anchor="end">{}</text><text x="{}" y="{}">{}</text>',
        (
            (
                LEFT,
                f"{tick.y:.1f}",
                WIDTH - RIGHT,
                f"{tick.y:.1f}",
                LEFT - 8,
                f"{tick.y + 4:.1f}",
                spell_duration(tick.duration),
                WIDTH - RIGHT + 8,
                f"{tick.y + 4:.1f}",
                "" if tick.delay is None else spell_duration(tick.delay),
            )
            for tick in ticks
        ),
    )


def _columns(columns: Sequence[Column]) -> SafeString:
    return format_html_join(
        "",
        '<a href="{}"><rect class="tm-tone-{}" x="{}" y="{}" width="{}" height="{}" rx="1.5">'
        "<title>{}</title></rect></a>",
        (
            (
                one.run.href,
                tone_of(one.run.state),
                f"{one.x:.1f}",
                f"{one.y:.1f}",
                f"{one.width:.1f}",
                f"{one.height:.1f}",
                f"{one.run.label} · {spell_duration(one.run.seconds)} · {one.run.spelled}",
            )
            for one in columns
        ),
    )


def _labels(columns: Sequence[Column]) -> SafeString:
    shown = sorted({0, len(columns) // 2, len(columns) - 1})
    return format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="middle">{}</text>',
        ((f"{columns[at].centre:.1f}", HEIGHT - 12, columns[at].run.label) for at in shown),
    )
