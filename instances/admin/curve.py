"""Drawing the execution curve as SVG: durations as bars, how late starts and ends are as lines.

Pure: from values to a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from projects.showing import spell_duration, tone_of

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


def draw_curve(bars: Sequence[Bar]) -> SafeString:
    """Return the SVG of the runs, oldest on the left."""
    longest = max(max(bar.seconds for bar in bars), 0.001)
    # A backfill runs long after the planned time: only the schedule's own runs are late or not.
    latest = max((bar.end_delay for bar in bars if bar.is_periodic), default=0.0)
    step = (WIDTH - LEFT - RIGHT) / len(bars)
    base = HEIGHT - BOTTOM

    def height(value: float, most: float) -> float:
        return (base - TOP) * value / (most or 1.0)

    def centre(index: int) -> float:
        return LEFT + step * (index + 0.5)

    def line(delay: Callable[[Bar], float]) -> str:
        points = (
            f"{centre(index):.1f},{base - height(delay(bar), latest):.1f}"
            for index, bar in enumerate(bars)
            if bar.is_periodic
        )
        return " ".join(points)

    return format_html(
        '<svg class="tm-curve" viewBox="0 0 {} {}" role="img" aria-label="Execution curve">'
        "{}{}{}"
        '<polyline class="tm-tone-cyan" points="{}"><title>Start after planned time</title>'
        '</polyline><polyline class="tm-tone-violet" points="{}"><title>End after planned time'
        "</title></polyline></svg>",
        WIDTH,
        HEIGHT,
        _axes(longest, latest),
        _bars(bars, step, base, lambda bar: height(bar.seconds, longest)),
        _labels(bars, centre),
        line(lambda bar: bar.start_delay),
        line(lambda bar: bar.end_delay),
    )


def _axes(longest: float, latest: float) -> SafeString:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share
        parts.append(
            (
                LEFT,
                f"{y:.1f}",
                WIDTH - RIGHT,
                f"{y:.1f}",
                LEFT - 8,
                f"{y + 4:.1f}",
                spell_duration(longest * share),
                WIDTH - RIGHT + 8,
                f"{y + 4:.1f}",
                spell_duration(latest * share) if latest else "",
            )
        )
    return format_html_join(
        "",
        '<line x1="{}" y1="{}" x2="{}" y2="{}"></line>'
        '<text x="{}" y="{}" text-anchor="end">{}</text><text x="{}" y="{}">{}</text>',
        parts,
    )


def _bars(
    bars: Sequence[Bar], step: float, base: float, height: Callable[[Bar], float]
) -> SafeString:
    width = max(min(step * 0.7, 26), 1.5)
    return format_html_join(
        "",
        '<a href="{}"><rect class="tm-tone-{}" x="{}" y="{}" width="{}" height="{}" rx="1.5">'
        "<title>{}</title></rect></a>",
        (
            (
                bar.href,
                tone_of(bar.state),
                f"{LEFT + step * (index + 0.5) - width / 2:.1f}",
                f"{base - max(height(bar), 1.5):.1f}",
                f"{width:.1f}",
                f"{max(height(bar), 1.5):.1f}",
                f"{bar.label} · {spell_duration(bar.seconds)} · {bar.state.lower()}",
            )
            for index, bar in enumerate(bars)
        ),
    )


def _labels(bars: Sequence[Bar], centre: Callable[[int], float]) -> SafeString:
    shown = sorted({0, len(bars) // 2, len(bars) - 1})
    return format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="middle">{}</text>',
        ((f"{centre(index):.1f}", HEIGHT - 12, bars[index].label) for index in shown),
    )
