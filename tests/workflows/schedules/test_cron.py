"""Crontabs: what is refused, and agreement with cronsim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.schedules import Schedule, ScheduleError, fires_between, next_fire, previous_fire

pytestmark = pytest.mark.feature("T11")


def crontab(expression: str, zone: str = "UTC") -> Schedule:
    return Schedule.from_mapping({"cycle": "crontab", "expression": expression}, zone)


@pytest.mark.parametrize(
    "expression",
    ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 */31 * MON#3", "0 0 30 FEB */2"],
)
def test_a_crontab_that_never_fires_is_refused_and_told_so(expression: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        crontab(expression)
    assert caught.value.field == "schedule.expression"
    assert "never fires" in caught.value.message


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 0 * * * *", "five fields"),
        ("@daily", "five fields"),
        ("61 * * * *", "minute"),
        ("0 25 * * *", "hour"),
        ("0 0 32 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * MOO", "day of week"),
        ("0 0 * * 1#6", "day of week"),
        ("a b c d e", "minute"),
        ("²L * * * *", "minute"),
        ("0 0 * * ²L", "day of week"),
        ("*/0 * * * *", "minute"),
        ("0," * 150 + "0 * * * *", "at most"),
    ],
)
def test_a_crontab_that_cannot_be_read_is_refused(expression: str, reason: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        crontab(expression)
    assert caught.value.field == "schedule.expression"
    assert reason in caught.value.message


def test_the_rarest_crontab_is_found() -> None:
    # A fifth Monday in February needs a leap year that begins on a Thursday, and 2100 is not leap.
    rare = crontab("0 0 * 2 MON#5")
    before, after = datetime(2072, 2, 29, tzinfo=UTC), datetime(2112, 2, 29, tzinfo=UTC)
    assert next_fire(rare, before) == after
    assert previous_fire(rare, after) == before


def test_seven_is_sunday_as_well() -> None:
    start, end = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 15, tzinfo=UTC)
    sundays = fires_between(crontab("0 0 * * 7"), start, end)
    assert sundays == fires_between(crontab("0 0 * * 0"), start, end)
    assert [fire.day for fire in sundays] == [5, 12]


def _fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    step = st.integers(2, 20).map(lambda size: f"*/{size}")
    listed = st.lists(number.map(str), min_size=1, max_size=4).map(",".join)
    return st.one_of(st.just("*"), span, step, listed)


expressions = st.tuples(
    _fields(0, 59), _fields(0, 23), _fields(1, 28), _fields(1, 12), _fields(0, 7)
).map(" ".join)


@settings(deadline=None, max_examples=300)
@given(
    expression=expressions,
    # Not where clocks change by half an hour: cronsim walks in whole real hours and loses the
    # half hour after midnight there.
    zone=st.sampled_from(["UTC", "America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata"]),
    start=st.sampled_from(
        [
            datetime(2024, 3, 9, 12, tzinfo=UTC),
            datetime(2024, 3, 30, 12, tzinfo=UTC),
            datetime(2024, 4, 5, 12, tzinfo=UTC),
            datetime(2024, 10, 4, 12, tzinfo=UTC),
            datetime(2024, 10, 26, 12, tzinfo=UTC),
            datetime(2024, 11, 2, 12, tzinfo=UTC),
            datetime(2025, 12, 31, tzinfo=UTC),
        ]
    ),
)
def test_crontabs_fire_as_cronsim_says(expression: str, zone: str, start: datetime) -> None:
    try:
        made = crontab(expression, zone)
    except ScheduleError as error:
        assert "never fires" in error.message
        return
    end = start + timedelta(days=4)
    simulated = (
        fire.astimezone(UTC) for fire in CronSim(expression, start.astimezone(ZoneInfo(zone)))
    )
    # cronsim gives a skipped time once for each wall time that was skipped.
    expected = sorted(set(takewhile(lambda fire: fire <= end, simulated)))
    assert fires_between(made, start, end) == expected
