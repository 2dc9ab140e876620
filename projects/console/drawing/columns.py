"""Drawing amounts along a line of dates as SVG: columns over an axis with figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from projects.ground.words import thousands

WIDTH, HEIGHT = 960, 160
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 10, 26
WIDEST = 42.0  # a column of few


@dataclass(frozen=True, slots=True)
class Column:
    """An amount. weight: how much of the line it stands for, and so how wide it is."""

    label: str
    value: float
    hint: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Box:
    """Where a column is drawn."""

    x: float
    width: float
    height: float
    column: Column


def lay_out(columns: Sequence[Column], most: float) -> list[Box]:
    """Return the place of each column: widths by weight, heights by value up to `most`."""
    unit = min((WIDTH - LEFT - RIGHT) / sum(column.weight for column in columns), WIDEST)
    boxes, x = [], float(LEFT)
    for column in columns:
        height = (HEIGHT - TOP - BOTTOM) * column.value / most
        boxes.append(Box(x, unit * column.weight, height, column))
        x += unit * column.weight
    return boxes


def axis_top(value: float) -> int:
    """Return the even number of one or two digits, and zeros, that is next above the value."""
    step = 1
    while value > 20 * step:
        step *= 10
    return max(2, -(-int(-(-value // 1)) // (2 * step)) * 2 * step)


def draw_columns(columns: Sequence[Column], *, label: str) -> SafeString:
    """Return the SVG of the columns, the first one on the left; without any, nothing."""
    if not columns:
        return SafeString("")
    most = axis_top(max(column.value for column in columns))
    boxes = lay_out(columns, most)
    return format_html(
        '<svg class="tm-curve" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>',
        WIDTH,
        HEIGHT,
        label,
        _axis(most),
        _columns(boxes),
        _labels(boxes),
    )


def _axis(most: int) -> SafeString:
    span = HEIGHT - TOP - BOTTOM
    return format_html_join(
        "",
        '<line x1="{}" y1="{}" x2="{}" y2="{}"></line>'
        '<text x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4, thousands(figure))
            for figure in (0, most // 2, most)
            for y in [round(HEIGHT - BOTTOM - span * figure / most)]
        ),
    )


def _columns(boxes: Sequence[Box]) -> SafeString:
    return format_html_join(
        "",
        '<rect class="tm-tone-blue" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        (
            (
                f"{box.x + gap / 2:.1f}",
                f"{HEIGHT - BOTTOM - height:.1f}",
                f"{box.width - gap:.1f}",
                f"{height:.1f}",
                box.column.hint,
            )
            for box in boxes
            for gap in [min(2.0, box.width * 0.25)]
            for height in [max(box.height, 1.0)]
        ),
    )


def _labels(boxes: Sequence[Box]) -> SafeString:
    """The first, the middle and the last one, as far as there is room for them."""
    chosen = sorted({0, len(boxes) // 2, len(boxes) - 1})
    shown: list[tuple[str, int, str]] = []
    room_from = 0.0
    for index in chosen:
        box = boxes[index]
        width = 6.5 * len(box.column.label)
        x = min(max(box.x + box.width / 2, LEFT + width / 2), WIDTH - width / 2)
        if x - width / 2 >= room_from:
            shown.append((f"{x:.1f}", HEIGHT - 8, box.column.label))
            room_from = x + width / 2 + 12
    return format_html_join("", '<text x="{}" y="{}" text-anchor="middle">{}</text>', shown)
