"""Drawn graphs and curves, and how values are spelled. Pure."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from projects.console.drawing.columns import Column, axis_top, draw_columns
from projects.console.drawing.columns import lay_out as lay_out_columns
from projects.console.drawing.curve import Bar, draw_curve
from projects.console.drawing.graph import (
    BOX_HEIGHT,
    BOX_WIDTH,
    MOST_SHORTENED,
    Line,
    Node,
    draw_graph,
    lay_out,
)
from projects.console.drawing.heat_map import Cell, Heading, draw_heat_map
from projects.console.drawing.heat_map import lay_out as lay_out_heat_map
from projects.ground.showing import ago, badge, bar, percent, spell_duration, when


def places(drawing: str) -> dict[str, tuple[float, float]]:
    """Return where the box of each title is."""
    boxes = re.findall(r'translate\(([\d.-]+),([\d.-]+)\)"><title>(\w+)</title>', drawing)
    return {title: (float(x), float(y)) for x, y, title in boxes}


def test_a_task_stands_to_the_right_of_what_it_waits_for() -> None:
    nodes = [Node(pk, f"n{pk}") for pk in range(1, 6)]
    found = places(draw_graph(nodes, [Line(1, 2), Line(2, 3), Line(1, 3), Line(3, 4)]))
    assert found["n1"][0] < found["n2"][0] < found["n3"][0] < found["n4"][0]


def test_no_box_covers_another() -> None:
    nodes = [Node(pk, f"n{pk}") for pk in range(60)]
    lines = [Line(pk // 3, pk) for pk in range(1, 50)] + [Line(pk, 49) for pk in range(20, 49)]
    found = list(places(draw_graph(nodes, lines)).values())
    assert len(found) == 60
    for index, (x, y) in enumerate(found):
        for other_x, other_y in found[index + 1 :]:
            assert abs(x - other_x) >= BOX_WIDTH or abs(y - other_y) >= BOX_HEIGHT


def test_a_large_graph_begins_with_all_that_waits_for_nothing() -> None:
    nodes = [Node(pk, f"n{pk}") for pk in range(400)]
    lines = [Line(pk % 40, pk) for pk in range(40, 400)]
    assert len(lines) > MOST_SHORTENED
    found = lay_out(nodes, [*lines, Line(39, 1000)])
    left = {box.node.id for box in found.boxes if box.x == min(one.x for one in found.boxes)}
    assert left == set(range(40))
    assert len(found.routes) == len(lines)
    assert all(route.x1 < route.x2 for route in found.routes)


def test_a_line_that_passes_layers_leaves_every_box_its_own_place() -> None:
    # The points at which the layout bends such a line are no tasks, whatever their numbers are.
    nodes = [Node(pk, f"n{pk}") for pk in range(12)]
    lines = [Line(0, 1), Line(1, 2), Line(2, 3), Line(0, 3), Line(0, 2), Line(1, 3), Line(4, 3)]
    found = lay_out(nodes, lines)
    assert len({(box.x, box.y) for box in found.boxes}) == 12


def test_a_picture_opens_on_what_it_is_about_or_on_its_beginning() -> None:
    nodes = [Node(1, "n1"), Node(2, "n2"), Node(3, "n3")]
    lines = [Line(1, 2), Line(2, 3)]
    begun = lay_out(nodes, lines)
    first = next(box for box in begun.boxes if box.node.id == 1)
    assert begun.start == (first.x + BOX_WIDTH / 2, first.y + BOX_HEIGHT / 2)
    focused = lay_out([*nodes[:2], Node(3, "n3", is_focus=True)], lines)
    last = next(box for box in focused.boxes if box.node.id == 3)
    assert focused.start == (last.x + BOX_WIDTH / 2, last.y + BOX_HEIGHT / 2)


def test_drawing_writes_no_line_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    draw_graph([Node(1, "n1"), Node(2, "n2"), Node(3, "n3")], [Line(1, 2)])
    assert caplog.records == []


def test_names_are_escaped_and_shortened() -> None:
    drawing = draw_graph([Node(1, "<script>" + "x" * 60, href="/a?b=1&c=2")], [])
    assert "<script>" not in drawing
    assert "…" in drawing
    assert 'href="/a?b=1&amp;c=2"' in drawing


def test_a_graph_without_tasks_is_nothing() -> None:
    assert draw_graph([], []) == ""


def test_a_line_to_an_unknown_task_is_left_out() -> None:
    assert "marker-end" not in draw_graph([Node(1, "n1")], [Line(1, 2), Line(3, 1)])


def test_a_curve_has_a_bar_for_each_run_that_leads_to_it() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [
        Bar(
            label=f"day {day}",
            scheduled_at=start + timedelta(days=day),
            started_at=start + timedelta(days=day, minutes=day),
            ended_at=start + timedelta(days=day, minutes=2 * day),
            state="SUCCESS" if day % 2 else "FAILED",
            spelled="ended",
            href=f"/instance/{day}/",
        )
        for day in range(5)
    ]
    drawing = draw_curve(runs)
    assert re.findall(r'href="/instance/(\d)/"', drawing) == ["0", "1", "2", "3", "4"]
    assert drawing.count("tm-tone-red") == 3
    assert "4 min 0 s" in drawing


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [
        (None, "–"),
        (-1, "0 ms"),
        (0.0404, "40 ms"),
        (12.44, "12.4 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (100 * 3600, "4 d 4 h"),
    ],
)
def test_a_duration_is_spelled_as_people_say_it(seconds: float | None, spelled: str) -> None:
    assert spell_duration(seconds) == spelled


def test_a_rate_is_whole_only_when_everything_is_done() -> None:
    assert [percent(rate) for rate in (0, 0.5, 0.9999, 1)] == ["0 %", "50 %", "99.9 %", "100 %"]


def test_a_time_is_shown_in_its_zone_with_utc_on_hovering() -> None:
    with timezone.override("America/Los_Angeles"):
        shown = when(datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert ">2026-07-01 05:00:00<" in shown
    assert "2026-07-01 05:00:00 America/Los_Angeles · 2026-07-01 12:00:00 UTC" in shown


@pytest.mark.feature("U6")
@pytest.mark.item("U6.2")
def test_a_relative_time_says_the_exact_one_on_hovering() -> None:
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    for length, text in (
        (timedelta(seconds=40), "40 s ago"),
        (timedelta(minutes=5, seconds=59), "5 min ago"),
        (timedelta(hours=30), "1 d ago"),
        (-timedelta(hours=3), "in 3 h"),
    ):
        shown = ago(now - length, now)
        assert f">{text}<" in shown
        assert f"{now - length:%Y-%m-%d %H:%M:%S} UTC" in shown


def test_texts_in_badges_and_bars_are_escaped() -> None:
    assert "<b>" not in badge("X", "<b>", title='"><b>')
    assert "<b>" not in bar([("green", 1, "<b>")], 1)


def test_columns_are_as_wide_as_what_they_stand_for_and_stand_on_an_axis() -> None:
    columns = [
        Column("a", 40.0, "first", 4),
        Column("b", 20.0, "second", 4),
        Column("c", 40.0, "last"),
    ]
    first, second, last = lay_out_columns(columns, axis_top(40))
    assert first.width == second.width == 4 * last.width
    assert first.height == last.height == 2 * second.height
    drawing = draw_columns(columns, label="Amounts")
    for text in ("<title>last</title>", ">40</text>", ">20</text>", ">0</text>", ">a</text>"):
        assert text in drawing
    assert draw_columns([], label="Amounts") == ""


@pytest.mark.parametrize(
    ("value", "top"), [(0, 2), (1, 2), (3, 4), (20, 20), (21, 40), (1234, 1400), (99_999, 100_000)]
)
def test_an_axis_ends_at_an_even_round_figure(value: float, top: int) -> None:
    assert axis_top(value) == top


def test_a_heat_map_draws_each_cell_in_its_shares_and_few_paths() -> None:
    cells = [
        Cell(row, column, (("green", 3), ("red", 1)), "three" if not column else "", "/x")
        for row in range(2)
        for column in range(3)
    ]
    boxes = lay_out_heat_map(cells, 3)
    assert len(boxes) == 12
    assert boxes[0].height == 3 * boxes[1].height
    assert boxes[1].y == boxes[0].y + boxes[0].height
    assert len({(box.x, box.y) for box in boxes}) == 12
    drawing = draw_heat_map(
        [Heading("<a>" * 20), Heading("b", "/b")],
        [Heading("1"), Heading("2"), Heading("3")],
        cells,
        label="All",
    )
    assert drawing.count("<path") == 2
    assert drawing.count("<title>three</title>") == 2
    assert "<a>" not in drawing
    assert 'href="/b"' in drawing
