"""Steps from a single value, the last and the n-th day: one meaning each, or a refusal."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from workflows.schedules import Schedule, ScheduleError, fires_between

pytestmark = pytest.mark.feature("T11")

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, 23, 59, tzinfo=UTC)


def crontab(expression: str) -> Schedule:
    return Schedule.from_mapping({"cycle": "crontab", "expression": expression}, "UTC")


def is_last(day: date) -> bool:
    return day.day == calendar.monthrange(day.year, day.month)[1]


def is_last_weekday(day: date) -> bool:
    rest = calendar.monthrange(day.year, day.month)[1] - day.day
    return day.weekday() < 5 and all(
        (day + timedelta(days=later)).weekday() >= 5 for later in range(1, rest + 1)
    )


def is_last_friday(day: date) -> bool:
    return day.weekday() == 4 and (day + timedelta(days=7)).month != day.month


def is_fifth_saturday(day: date) -> bool:
    return day.weekday() == 5 and day.day > 28


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("4-4/1 * 5 * *", "4 * 5 * *"),
        ("4-04/7 * 5 * *", "4 * 5 * *"),
        ("0 6-6/2 * * *", "0 6 * * *"),
        ("0 0 * jan-JAN/3 1", "0 0 * 1 1"),
        ("0 0 * * tue-tue/2", "0 0 * * 2"),
        ("1,4-4/1,9 0 1 * *", "1,4,9 0 1 * *"),
        ("5-59/15 0 1 * *", "5,20,35,50 0 1 * *"),
    ],
)
def test_a_range_of_one_value_is_that_value(expression: str, same: str) -> None:
    found = fires_between(crontab(expression), START, END)
    assert found == fires_between(crontab(same), START, END)
    assert found


@pytest.mark.parametrize(
    ("expression", "fires"),
    [
        ("0 0 L * *", is_last),
        ("0 0 l * *", is_last),
        ("0 0 LW * *", is_last_weekday),
        ("0 0 * * 5L", is_last_friday),
        ("0 0 * * 6#5", is_fifth_saturday),
        ("0 0 * * SAT#5", is_fifth_saturday),
        ("0 0 L * 5L", lambda day: is_last(day) or is_last_friday(day)),
        ("0 0 10,L * *", lambda day: is_last(day) or day.day == 10),
    ],
)
def test_last_and_nth_days(expression: str, fires: Callable[[date], bool]) -> None:
    days = [(START + timedelta(days=number)).date() for number in range((END - START).days + 1)]
    expected = [day for day in days if fires(day)]
    assert expected
    assert [fire.date() for fire in fires_between(crontab(expression), START, END)] == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("5/15 * * * *", ["5/15", "5-59/15", "5 alone"]),
        ("0 2/6 * * *", ["2-23/6"]),
        ("0 0 3/7 * *", ["3-31/7"]),
        ("0 0 * feb/3 *", ["feb-12/3"]),
        ("0 0 * * 1/2", ["1-6/2"]),
        ("1,5/15 * * * *", ["5-59/15"]),
        ("0 0 L/2 * *", ["a step follows a star or a range"]),
        ("0 0 LW/2 * *", ["a step follows a star or a range"]),
        ("0 0 * * 5L/2", ["a step follows a star or a range"]),
        ("0 0 * * 6#5/2", ["a step follows a star or a range"]),
    ],
)
def test_a_step_after_a_single_value_is_refused_with_what_to_write(
    expression: str, words: list[str]
) -> None:
    with pytest.raises(ScheduleError) as caught:
        crontab(expression)
    assert caught.value.field == "schedule.expression"
    for word in words:
        assert word in caught.value.message
