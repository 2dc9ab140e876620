"""Drawn graphs and curves, and how values are spelled. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from instances.admin.curve import Bar, draw_curve
from projects.showing import badge, bar, percent, spell_duration, when
from workflows.admin.drawing import BOX_HEIGHT, BOX_WIDTH, Line, Node, draw_graph


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
    shown = when(datetime(2026, 7, 1, 12, tzinfo=UTC), "America/Los_Angeles")
    assert "2026-07-01 05:00:00" in shown
    assert "2026-07-01 12:00:00 UTC · America/Los_Angeles" in shown


def test_texts_in_badges_and_bars_are_escaped() -> None:
    assert "<b>" not in badge("X", "<b>", title='"><b>')
    assert "<b>" not in bar([("green", 1, "<b>")], 1)
