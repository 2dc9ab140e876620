"""A graph of tasks, layer by layer from left to right: a value first, then SVG. Pure."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from fast_sugiyama import from_edges

# The library tells every step of every layout, under these names.
for _name in ("rust-sugiyama", "connected_components"):
    logging.getLogger(_name).setLevel(logging.WARNING)

BOX_WIDTH, BOX_HEIGHT = 190, 46
LAYER_STEP, ROW_STEP = 244, 62
MARGIN = 12
MOST_NODES = 500
MOST_SHORTENED = 150  # lines, up to which the layout keeps them as short as it can
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


@dataclass(frozen=True, slots=True)
class Box:
    """A node with the upper left corner of its box, in pixels."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Route:
    """A line from the right of one box to the left of another, in pixels."""

    line: Line
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph laid out; `start` is the point that a frame smaller than it shows first."""

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    width: float
    height: float
    start: tuple[float, float]


def draw_graph(nodes: Sequence[Node], lines: Iterable[Line]) -> SafeString:
    """Return the SVG of the graph; without nodes, nothing. Lines to unknown nodes are left out."""
    return draw(lay_out(nodes, lines)) if nodes else SafeString("")


def lay_out(nodes: Sequence[Node], lines: Iterable[Line]) -> Picture:
    """Return where each of the nodes, at least one, and each of the lines among them is."""
    known = {node.id for node in nodes}
    kept = [line for line in lines if {line.source, line.target} <= known]
    places = _layout([node.id for node in nodes], kept)
    boxes = tuple(Box(node, *places[node.id]) for node in nodes)
    return Picture(
        boxes=boxes,
        routes=tuple(_route(line, places) for line in kept),
        width=max(box.x for box in boxes) + BOX_WIDTH + MARGIN,
        height=max(box.y for box in boxes) + BOX_HEIGHT + MARGIN,
        start=_start(boxes, {line.target for line in kept}),
    )


def _start(boxes: Sequence[Box], targets: Collection[int]) -> tuple[float, float]:
    """The node that the picture is about, or the middle one of those that begin it."""
    focused = [box for box in boxes if box.node.is_focus]
    roots = [box for box in boxes if box.node.id not in targets]
    found = focused or sorted(roots or boxes, key=lambda box: (box.x, box.y))
    left = [box for box in found if box.x == found[0].x]
    middle = left[len(left) // 2]
    return middle.x + BOX_WIDTH / 2, middle.y + BOX_HEIGHT / 2


def _layout(ids: Sequence[int], lines: Sequence[Line]) -> Mapping[int, tuple[float, float]]:
    """Return where each box's upper left corner is; parts that nothing joins stand below."""
    pairs = sorted({(line.source, line.target) for line in lines if line.source != line.target})
    places: dict[int, tuple[float, float]] = {}
    top = float(MARGIN)
    for found in _parts(pairs):
        top = _place_part(found, top, places)
    alone = [pk for pk in ids if pk not in places]
    columns = max(1, min(4, len(alone)))
    for index, pk in enumerate(alone):
        row, column = divmod(index, columns)
        places[pk] = (MARGIN + column * (BOX_WIDTH + 24), top + row * ROW_STEP)
    return places


def _parts(pairs: Sequence[tuple[int, int]]) -> Iterator[Mapping[int, tuple[float, float]]]:
    """Yield the places that the library gives to the nodes of each part that hangs together."""
    if not pairs:
        return
    # The points at which the library bends lines come as numbers of its own; names keep ours apart.
    named = [(str(source), str(target)) for source, target in pairs]
    # Of many lines the shortest layout takes half a second; the longest path takes a hundredth.
    quick: Any = {"ranking_type": "up", "transpose": False} if len(pairs) > MOST_SHORTENED else {}
    for positions, *_rest in from_edges(named, **quick):
        yield {
            int(name): (float(x), float(y)) for name, (x, y) in positions if isinstance(name, str)
        }


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


def _route(line: Line, places: Mapping[int, tuple[float, float]]) -> Route:
    (x1, y1), (x2, y2) = places[line.source], places[line.target]
    return Route(line, x1 + BOX_WIDTH, y1 + BOX_HEIGHT / 2, x2, y2 + BOX_HEIGHT / 2)


def draw(picture: Picture) -> SafeString:
    """Return the SVG of a graph that was laid out."""
    routes = format_html_join("", "{}", ((_draw_route(route),) for route in picture.routes))
    return format_html(
        '<svg class="tm-dag" width="{}" height="{}" data-start="{},{}" role="img"'
        ' aria-label="{}"><defs><marker id="tm-arrow" viewBox="0 0 8 8" refX="7"'
        ' refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z"/>'
        "</marker></defs>{}{}</svg>",
        f"{picture.width:.0f}",
        f"{picture.height:.0f}",
        f"{picture.start[0]:.0f}",
        f"{picture.start[1]:.0f}",
        _("Graph of tasks"),
        format_html('<g marker-end="url(#tm-arrow)">{}</g>', routes) if routes else "",
        format_html_join("", "{}", ((_draw_box(box),) for box in picture.boxes)),
    )


def _draw_route(route: Route) -> SafeString:
    x2, bend = route.x2, max(36.0, (route.x2 - route.x1) / 2)
    return format_html(
        '<path d="{}"{}>{}</path>',
        f"M{route.x1:.0f},{route.y1:.0f} C{route.x1 + bend:.0f},{route.y1:.0f}"
        f" {x2 - bend:.0f},{route.y2:.0f} {x2 - 2:.0f},{route.y2:.0f}",
        SafeString(' class="tm-dashed"') if route.line.is_dashed else "",
        format_html("<title>{}</title>", route.line.hint) if route.line.hint else "",
    )


def _draw_box(box: Box) -> SafeString:
    node = box.node
    title = node.title if len(node.title) <= _LETTERS else f"{node.title[: _LETTERS - 1]}…"
    subtitle = node.subtitle if len(node.subtitle) <= 31 else f"{node.subtitle[:30]}…"
    drawn = format_html(
        '<g class="{}" transform="translate({},{})"><title>{}</title>'
        '<rect width="{}" height="{}" rx="7"/>'
        '<rect class="tm-stripe tm-tone-{}" width="5" height="{}" x="5" y="8" rx="2.5"/>'
        '<text x="18" y="{}">{}</text><text class="tm-sub" x="18" y="36">{}</text></g>',
        "tm-focus" if node.is_focus else "",
        f"{box.x:.0f}",
        f"{box.y:.0f}",
        node.hint or node.title,
        BOX_WIDTH,
        BOX_HEIGHT,
        node.tone,
        BOX_HEIGHT - 16,
        20 if node.subtitle else 28,
        title,
        subtitle,
    )
    return format_html('<a href="{}">{}</a>', node.href, drawn) if node.href else drawn
