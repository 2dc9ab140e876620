"""On which local days a plan's instances are planned (B6). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from backfill.options.dates import Period, RangeBy
from backfill.options.order import Order
from backfill.spec import PlanSpec

ONE_DAY = timedelta(days=1)


def merged(periods: Iterable[Period]) -> tuple[Period, ...]:
    """The same dates as periods that neither overlap nor touch, in order."""
    found: list[Period] = []
    for period in sorted(periods, key=lambda period: (period.first, period.last)):
        if found and period.first <= found[-1].last + ONE_DAY:
            found[-1] = Period(found[-1].first, max(found[-1].last, period.last))
        else:
            found.append(period)
    return tuple(found)


def planned_periods(spec: PlanSpec) -> tuple[Period, ...]:
    """The spec's dates as merged periods of local planned dates.

    What is planned on a day works on the day before, whatever the task's cycle (design §3), so a
    period of data dates is planned one day later, in each task's own time zone.
    """
    shift = ONE_DAY if spec.range_by is RangeBy.DATA_DATE else timedelta()
    return merged(Period(p.first + shift, p.last + shift) for p in spec.periods)


def days_of(periods: Iterable[Period]) -> list[date]:
    """Every date of the periods, in their order."""
    return [
        date.fromordinal(ordinal)
        for period in periods
        for ordinal in range(period.first.toordinal(), period.last.toordinal() + 1)
    ]


def planned_days(spec: PlanSpec) -> tuple[date, ...]:
    """The local planned dates, each once, in the plan's order (B11)."""
    days = days_of(planned_periods(spec))
    return tuple(reversed(days) if spec.order is Order.DESCENDING else days)


def data_dates(spec: PlanSpec) -> tuple[date, date]:
    """The first and the last data date of the plan."""
    periods = planned_periods(spec)
    return periods[0].first - ONE_DAY, periods[-1].last - ONE_DAY


def describe(periods: Sequence[Period]) -> str:
    """The periods in words, such as "2024-05-01 – 2024-05-07, 2024-06-01"."""
    return ", ".join(
        str(p.first) if p.first == p.last else f"{p.first} – {p.last}" for p in periods
    )
