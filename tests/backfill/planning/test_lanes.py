"""Cutting a plan's dates into lanes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.planning.lanes import cut, days_in_order, lanes_of, side_by_side
from tests.backfill.grids import july
from tests.factories.plans import make_spec

pytestmark = pytest.mark.feature("B10")

_days = st.lists(
    st.dates(date(2010, 1, 1), date(2010, 12, 31)), min_size=1, max_size=60, unique=True
)


def spec(first: int, last: int, **fields: object) -> tuple[tuple[date, ...], ...]:
    made = make_spec([1], f"2010-07-{first:02}", f"2010-07-{last:02}", **fields)
    return lanes_of(made)


def dates(*numbers: int) -> tuple[date, ...]:
    """Planned dates of these data dates of July 2010."""
    return tuple(day + timedelta(days=1) for day in july(*numbers))


@given(_days, st.integers(1, 10))
def test_every_date_is_in_one_lane_and_the_order_is_kept(days: list[date], groups: int) -> None:
    lanes = cut(days, groups)
    assert [day for lane in lanes for day in lane] == days
    assert len(lanes) == min(groups, len(days))
    lengths = [len(lane) for lane in lanes]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


@given(_days, st.integers(1, 10))
def test_lanes_start_side_by_side(days: list[date], groups: int) -> None:
    lanes = cut(days, groups)
    started = list(side_by_side(lanes))
    assert sorted(started) == sorted(days)
    assert started[: len(lanes)] == [lane[0] for lane in lanes]
    place = {day: number for number, day in enumerate(started)}
    for lane in lanes:
        assert [place[day] for day in lane] == sorted(place[day] for day in lane)


def test_without_groups_there_is_one_lane() -> None:
    assert spec(1, 4, run_mode="day_by_day") == (dates(1, 2, 3, 4),)


@pytest.mark.item("2.32")
def test_the_examples_of_the_manual() -> None:
    assert spec(11, 13, run_mode="day_by_day", groups=4) == (dates(11), dates(12), dates(13))
    assert spec(11, 13, run_mode="day_by_day", groups=2) == (dates(11, 12), dates(13))


@pytest.mark.feature("B11")
def test_lanes_are_cut_in_the_plans_order() -> None:
    found = spec(1, 5, run_mode="day_by_day", groups=2, order="descending")
    assert found == (dates(5, 4, 3), dates(2, 1))


def test_a_plan_by_dependency_has_no_lanes() -> None:
    assert spec(1, 4) == ()
    assert days_in_order(make_spec([1], "2010-07-01", "2010-07-02")) == dates(1, 2)
