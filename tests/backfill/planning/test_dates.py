"""The days of a plan."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.options.dates import Period, RangeBy
from backfill.options.entry import Entry, EntryKind
from backfill.options.order import Order
from backfill.planning.dates import data_dates, merged, planned_days
from backfill.spec import PlanSpec

JULY = Period(date(2010, 7, 1), date(2010, 7, 3))


def make_spec(*periods: Period, **fields: Any) -> PlanSpec:
    return PlanSpec(entry=Entry(EntryKind.PROJECT), periods=periods, **fields)


@pytest.mark.feature("B6")
def test_data_dates_are_planned_the_day_after() -> None:
    days = planned_days(make_spec(JULY))
    assert days == (date(2010, 7, 2), date(2010, 7, 3), date(2010, 7, 4))
    assert data_dates(make_spec(JULY)) == (date(2010, 7, 1), date(2010, 7, 3))


@pytest.mark.feature("B6")
def test_planned_dates_are_planned_as_they_stand() -> None:
    spec = make_spec(JULY, range_by=RangeBy.PLANNED_TIME)
    assert planned_days(spec) == (date(2010, 7, 1), date(2010, 7, 2), date(2010, 7, 3))
    assert data_dates(spec) == (date(2010, 6, 30), date(2010, 7, 2))


@pytest.mark.feature("B11")
def test_descending_plans_begin_with_the_last_day() -> None:
    spec = make_spec(JULY, order=Order.DESCENDING)
    assert planned_days(spec) == (date(2010, 7, 4), date(2010, 7, 3), date(2010, 7, 2))
    assert data_dates(spec) == (date(2010, 7, 1), date(2010, 7, 3))


@pytest.mark.feature("B6")
@pytest.mark.item("2.27")
def test_overlapping_and_touching_periods_become_one() -> None:
    found = merged(
        [
            Period(date(2024, 5, 10), date(2024, 5, 20)),
            Period(date(2024, 5, 1), date(2024, 5, 3)),
            Period(date(2024, 5, 4), date(2024, 5, 5)),
            Period(date(2024, 5, 12), date(2024, 5, 15)),
        ]
    )
    assert found == (
        Period(date(2024, 5, 1), date(2024, 5, 5)),
        Period(date(2024, 5, 10), date(2024, 5, 20)),
    )


_starts = st.dates(date(2023, 12, 1), date(2024, 3, 31))
_periods = st.builds(
    lambda first, days: Period(first, first + timedelta(days=days)), _starts, st.integers(0, 40)
)


@given(st.lists(_periods, min_size=1, max_size=10), st.sampled_from(Order))
def test_no_day_is_planned_twice_and_none_is_lost(periods: list[Period], order: Order) -> None:
    days = planned_days(make_spec(*periods, range_by=RangeBy.PLANNED_TIME, order=order))
    wanted = {
        period.first + timedelta(days=number) for period in periods for number in range(period.days)
    }
    assert set(days) == wanted
    assert list(days) == sorted(wanted, reverse=order is Order.DESCENDING)
