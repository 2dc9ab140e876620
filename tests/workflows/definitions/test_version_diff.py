"""Differences of versions, and previews of parameters."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from workflows.definitions.definition import TaskDefinition
from workflows.definitions.parameter_preview import planned_times, preview_parameters
from workflows.definitions.version_diff import FieldDifference, diff

SCHEDULE = {"cycle": "day", "at": "02:30"}


@pytest.mark.feature("T9")
def test_a_difference_is_told_field_by_field() -> None:
    before = {
        "type": "sql",
        "schedule": SCHEDULE,
        "priority": 8,
        "depends_on": ["a"],
        "parameters": {"x": "1", "y": "2"},
        "code": "SELECT 1\nFROM a\n",
    }
    after = {
        "type": "sql",
        "schedule": {**SCHEDULE, "at": "03:00"},
        "depends_on": ["a", {"task": "b", "offset": "previous"}],
        "parameters": {"x": "1", "z": "3"},
        "code": "SELECT 2\nFROM a\n",
    }
    found = diff(before, after)
    assert [(one.field, one.before, one.after) for one in found] == [
        ("schedule.at", "02:30", "03:00"),
        ("depends_on", ["a"], after["depends_on"]),
        ("parameters.y", "2", None),
        ("parameters.z", None, "3"),
        ("priority", 8, None),
        ("code", before["code"], after["code"]),
    ]
    assert found[-1].lines == ["@@ -1,3 +1,3 @@", "-SELECT 1", "+SELECT 2", " FROM a", " "]
    assert found[0].lines == ["@@ -1 +1 @@", "-02:30", "+03:00"]


@pytest.mark.feature("T9")
@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"timeout": 600}, ("1 day", "10 min")),
        ({"timeout": 5401}, ("1 day", "1 h 30 min 1 s")),
        ({"retries": {"interval": 90}}, ("1 min", "1 min 30 s")),
        ({"retries": {"limit": 0}}, ("5", "0")),
        ({"priority": 8}, ("5 · normal", "8 · highest")),
        ({"self_dependent": True}, ("no", "yes")),
        ({"resource_group": "big"}, ("default", "big")),
        ({"max_parallel": 3}, ("no limit", "3")),
        ({"type": "http", "config": {"method": "POST"}}, ("GET", "POST")),
    ],
)
def test_a_side_that_has_the_default_tells_it(
    definition: dict[str, Any], words: tuple[str, str]
) -> None:
    bare = {name: value for name, value in definition.items() if name == "type"}
    assert [one.words for one in diff(bare, definition)] == [" → ".join(words)]
    assert [one.words for one in diff(definition, bare)] == [" → ".join(reversed(words))]


@pytest.mark.feature("T9")
@pytest.mark.parametrize(
    "definition",
    [{"timeout": "soon"}, {"priority": []}, {"description": "x"}, {"parameters": {"x": "1"}}],
)
def test_without_a_default_or_a_value_there_are_no_words(definition: dict[str, Any]) -> None:
    assert [one.words for one in diff({}, definition)] == [""]
    assert [one.words for one in diff(None, {"timeout": 600})] == [""]


@pytest.mark.feature("T9")
def test_the_first_version_differs_from_nothing_in_all_it_says() -> None:
    assert diff(None, {"type": "virtual", "schedule": SCHEDULE}) == [
        FieldDifference("type", None, "virtual"),
        FieldDifference("schedule.at", None, "02:30"),
        FieldDifference("schedule.cycle", None, "day"),
    ]
    assert diff({"type": "virtual"}, {"type": "virtual"}) == []


def define(schedule: dict[str, Any], **parameters: str) -> TaskDefinition:
    return TaskDefinition.from_mapping(
        {"type": "virtual", "schedule": schedule, "parameters": parameters},
        time_zone="America/Los_Angeles",
    )


@pytest.mark.feature("T13")
def test_a_preview_shows_the_values_of_a_data_date() -> None:
    task = define(
        SCHEDULE,
        fixed="x",
        day="$bizdate",
        week_ago="${yyyymmdd-7}",
        hour_ago="$[yyyymmddhh24miss-1/24]",
        month_ago="$[add_months(yyyymmdd,-1)]",
        job="$jobid",
    )
    found = preview_parameters(task, data_day=date(2010, 7, 1), task_id=42)
    assert found.scheduled_at == datetime(2010, 7, 2, 9, 30, tzinfo=UTC)
    assert (found.data_date, found.is_planned) == (date(2010, 7, 1), True)
    assert found.parameters == {
        "fixed": "x",
        "day": "20100701",
        "week_ago": "20100624",
        "hour_ago": "20100702013000",
        "month_ago": "20100602",
        "job": "42",
    }
    assert found.built_ins["interval_start"] == "2010-07-01T02:30:00-07:00"
    assert found.built_ins["interval_end"] == "2010-07-02T02:30:00-07:00"


@pytest.mark.feature("T13")
def test_a_preview_shows_any_planned_time_with_other_parameters() -> None:
    task = define({"cycle": "hour", "every": 1}, at="$cyctime")
    moment = datetime(2010, 7, 2, 12, tzinfo=UTC)
    assert moment in planned_times(task, date(2010, 7, 1))
    found = preview_parameters(task, scheduled_at=moment, overrides={"at": "${hh24}"})
    assert (found.parameters, found.is_planned) == ({"at": "05"}, True)


@pytest.mark.feature("T13")
def test_a_date_without_a_fire_is_shown_from_its_beginning() -> None:
    task = define({"cycle": "week", "weekdays": [1], "at": "02:30"}, day="$bizdate")
    found = preview_parameters(task, data_day=date(2010, 7, 1))
    assert (found.parameters, found.is_planned) == ({"day": "20100701"}, False)
    assert found.scheduled_at == datetime(2010, 7, 2, 7, tzinfo=UTC)


@pytest.mark.feature("T13")
def test_a_preview_needs_one_moment() -> None:
    task = define(SCHEDULE)
    with pytest.raises(ValueError, match="a data date or a planned time"):
        preview_parameters(task)
