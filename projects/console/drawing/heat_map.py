"""Drawing a table of many small cells as SVG, each in the shares of its colours. Pure.

A cell is a few strokes of the path of its colour, so that ten thousand of them are no heavy page.
What has to be hovered or clicked has a box of its own, above.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NAMES, TOP = 210, 72
CELL, GAP = 18, 2
NARROWEST = 9  # of many columns
WIDE = 900  # what the columns may take
_LETTERS = 30  # of a name; the whole of it is shown on hovering


@dataclass(frozen=True, slots=True)
class Heading:
    """A row's or a column's name, and where it leads."""

    text: str
    href: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """Parts are (tone, number), in their order from above; the hint and the link have a box."""

    row: int
    column: int
    parts: tuple[tuple[str, int], ...]
    hint: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a cell as it is drawn."""

    tone: str
    x: int
    y: float
    width: int
    height: float


def lay_out(cells: Iterable[Cell], columns: int) -> list[Box]:
    """Return the parts of the cells, each as high as its share."""
    step = column_step(columns)
    boxes = []
    for cell in cells:
        x, y = NAMES + cell.column * step, float(TOP + cell.row * CELL)
        total = sum(number for _, number in cell.parts)
        for tone, number in cell.parts:
            height = (CELL - GAP) * number / total
            boxes.append(Box(tone, x, y, step - GAP, height))
            y += height
    return boxes


def column_step(columns: int) -> int:
    """Return how far apart the columns are."""
    return max(NARROWEST, min(CELL, WIDE // max(columns, 1)))


def draw_heat_map(
    rows: Sequence[Heading], columns: Sequence[Heading], cells: Sequence[Cell], *, label: str
) -> SafeString:
    """Return the SVG of the table; columns are named as far as there is room."""
    step = column_step(len(columns))
    width, height = NAMES + step * len(columns), TOP + CELL * len(rows)
    return format_html(
        '<svg class="tm-heat" width="{}" height="{}" viewBox="0 0 {} {}" role="img"'
        ' aria-label="{}">{}{}{}{}</svg>',
        width,
        height,
        width,
        height,
        label,
        _paths(lay_out(cells, len(columns))),
        _boxes([cell for cell in cells if cell.hint], step),
        _row_names(rows),
        _column_names(columns, step),
    )


def _paths(boxes: Sequence[Box]) -> SafeString:
    strokes: dict[str, list[str]] = defaultdict(list)
    for box in boxes:
        strokes[box.tone].append(f"M{box.x} {box.y:.4g}h{box.width}v{box.height:.3g}h-{box.width}z")
    return format_html_join(
        "",
        '<path class="tm-tone-{}" d="{}"/>',
        ((tone, "".join(parts)) for tone, parts in strokes.items()),
    )


def _boxes(cells: Sequence[Cell], step: int) -> SafeString:
    return format_html_join(
        "",
        '<a href="{}"><rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect></a>',
        (
            (
                cell.href,
                NAMES + cell.column * step,
                TOP + cell.row * CELL,
                step - GAP,
                CELL - GAP,
                cell.hint,
            )
            for cell in cells
        ),
    )


def _row_names(rows: Sequence[Heading]) -> SafeString:
    return format_html_join(
        "",
        "{}",
        (
            (
                _name(
                    row,
                    format_html('x="0" y="{}"', TOP + index * CELL + CELL - 6),
                    row.text if len(row.text) <= _LETTERS else f"{row.text[: _LETTERS - 1]}…",
                ),
            )
            for index, row in enumerate(rows)
        ),
    )


def _column_names(columns: Sequence[Heading], step: int) -> SafeString:
    every = -(-CELL // step)  # as many as stand side by side
    return format_html_join(
        "",
        "{}",
        (
            (
                _name(
                    column,
                    format_html(
                        'transform="translate({} {}) rotate(-90)"',
                        NAMES + index * step + step // 2 + 3,
                        TOP - 6,
                    ),
                    column.text,
                ),
            )
            for index, column in enumerate(columns)
            if index % every == 0
        ),
    )


def _name(heading: Heading, place: SafeString, text: str) -> SafeString:
    drawn = format_html(
        "<text {}>{}<title>{}</title></text>", place, text, heading.hint or heading.text
    )
    return format_html('<a href="{}">{}</a>', heading.href, drawn) if heading.href else drawn
