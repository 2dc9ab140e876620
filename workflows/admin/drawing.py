"""Drawing a graph of tasks as SVG, layer by layer from left to right. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from fast_sugiyama import from_edges

# The library tells every step of every layout.
logging.getLogger("rust-sugiyama").setLevel(logging.WARNING)

BOX_WIDTH, BOX_HEIGHT = 190, 46
LAYER_STEP, ROW_STEP = 244, 62
MARGIN = 12
MOST_NODES = 500
_LETTERS = 25  # of a title; the whole of it is shown on hovering


@dataclass(frozen=True, slots=True)
class Node:
    """A box: its texts, the colour of its stripe, where it leads."""

    id: int
    title: str
    subtitle: str = ""
    tone: str = "slate"
    href: str = ""
    hint: str = ""
    is_focus: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """An edge from upstream to downstream; a dashed one says something less."""

    source: int
    target: int
    is_dashed: bool = False
    hint: str = ""


def draw_graph(nodes: Sequence[Node], lines: Iterable[Line]) -> SafeString:
    """Return the SVG of the graph; without nodes, nothing. Lines to unknown nodes are left out."""
    if not nodes:
        return SafeString("")
    known = {node.id for node in nodes}
    kept = [line for line in lines if {line.source, line.target} <= known]
    places = _layout([node.id for node in nodes], kept)
    width = max(x for x, _ in places.values()) + BOX_WIDTH + MARGIN
    height = max(y for _, y in places.values()) + BOX_HEIGHT + MARGIN
    return format_html(
        '<svg class="tm-dag" width="{}" height="{}" viewBox="0 0 {} {}" role="img"'
        ' aria-label="Graph of tasks"><defs><marker id="tm-arrow" viewBox="0 0 8 8" refX="7"'
        ' refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z"/>'
        "</marker></defs>{}{}</svg>",
        f"{width:.0f}",
        f"{height:.0f}",
        f"{width:.0f}",
        f"{height:.0f}",
        format_html_join("", "{}", ((_draw_line(line, places),) for line in kept)),
        format_html_join("", "{}", ((_draw_node(node, places[node.id]),) for node in nodes)),
    )


def _layout(ids: Sequence[int], lines: Sequence[Line]) -> Mapping[int, tuple[float, float]]:
    """Return where each box's upper left corner is; parts that nothing joins stand below."""
    pairs = sorted({(line.source, line.target) for line in lines if line.source != line.target})
    places: dict[int, tuple[float, float]] = {}
    top = float(MARGIN)
    if pairs:
        for positions, *_ in from_edges(pairs):
            found = {int(pk): (float(x), float(y)) for pk, (x, y) in positions}
            top = _place_part(found, top, places)
    alone = [pk for pk in ids if pk not in places]
    columns = max(1, min(4, len(alone)))
    for index, pk in enumerate(alone):
        row, column = divmod(index, columns)
        places[pk] = (MARGIN + column * (BOX_WIDTH + 24), top + row * ROW_STEP)
    return places


def _place_part(
    found: Mapping[int, tuple[float, float]], top: float, places: dict[int, tuple[float, float]]
) -> float:
    """Place a part that hangs together at `top`; return where the next one may begin."""
    # The library draws downwards with the roots at the greatest y: turned to left-to-right here.
    layers = sorted({y for _, y in found.values()}, reverse=True)
    rows = sorted({x for x, _ in found.values()})
    closest = min((b - a for a, b in pairwise(rows)), default=1.0)
    # Boxes of one layer stand at least its spacing apart; keep that in rows of ours.
    spacing = min((gap for gap in _gaps_within_layers(found) if gap > 0), default=max(closest, 1.0))
    scale = ROW_STEP / spacing
    for pk, (x, y) in found.items():
        places[pk] = (MARGIN + layers.index(y) * LAYER_STEP, top + (x - rows[0]) * scale)
    return top + (rows[-1] - rows[0]) * scale + ROW_STEP + 10


def _gaps_within_layers(found: Mapping[int, tuple[float, float]]) -> list[float]:
    by_layer: dict[float, list[float]] = {}
    for x, y in found.values():
        by_layer.setdefault(y, []).append(x)
    return [second - first for xs in by_layer.values() for first, second in pairwise(sorted(xs))]


def _draw_line(line: Line, places: Mapping[int, tuple[float, float]]) -> SafeString:
    (x1, y1), (x2, y2) = places[line.source], places[line.target]
    x1, y1, y2 = x1 + BOX_WIDTH, y1 + BOX_HEIGHT / 2, y2 + BOX_HEIGHT / 2
    bend = max(36.0, (x2 - x1) / 2)
    return format_html(
        '<path d="M{},{} C{},{} {},{} {},{}" marker-end="url(#tm-arrow)"{}><title>{}</title>'
        "</path>",
        f"{x1:.0f}",
        f"{y1:.0f}",
        f"{x1 + bend:.0f}",
        f"{y1:.0f}",
        f"{x2 - bend:.0f}",
        f"{y2:.0f}",
        f"{x2 - 2:.0f}",
        f"{y2:.0f}",
        SafeString(' class="tm-dashed"') if line.is_dashed else "",
        line.hint,
    )


def _draw_node(node: Node, place: tuple[float, float]) -> SafeString:
    x, y = place
    title = node.title if len(node.title) <= _LETTERS else f"{node.title[: _LETTERS - 1]}…"
    subtitle = node.subtitle if len(node.subtitle) <= 31 else f"{node.subtitle[:30]}…"
    box = format_html(
        '<g class="{}" transform="translate({},{})"><title>{}</title>'
        '<rect width="{}" height="{}" rx="7"/>'
        '<rect class="tm-stripe tm-tone-{}" width="5" height="{}" x="5" y="8" rx="2.5"/>'
        '<text x="18" y="{}">{}</text><text class="tm-sub" x="18" y="36">{}</text></g>',
        "tm-focus" if node.is_focus else "",
        f"{x:.0f}",
        f"{y:.0f}",
        node.hint or node.title,
        BOX_WIDTH,
        BOX_HEIGHT,
        node.tone,
        BOX_HEIGHT - 16,
        20 if node.subtitle else 28,
        title,
        subtitle,
    )
    return format_html('<a href="{}">{}</a>', node.href, box) if node.href else box
