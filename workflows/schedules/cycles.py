"""The cycles a task can have (T11)."""

from __future__ import annotations

from enum import StrEnum


class Cycle(StrEnum):
    """How often a task fires."""

    MINUTE = "minute"  # every n minutes within a window of each local day
    HOUR = "hour"  # every n hours, or at listed hours, of each local day
    DAY = "day"  # once each local day
    WEEK = "week"  # once on listed weekdays
    MONTH = "month"  # once on listed days of the month
    YEAR = "year"  # once on listed dates of the year
    CRONTAB = "crontab"  # whatever five crontab fields say
    ONE_TIME = "one_time"  # once, ever


# Cycles that may fire more than once a local day. A crontab is classed by what it does: ask
# `Schedule.effective_cycle`, never `Schedule.cycle`, before you look in here.
SUB_DAY: frozenset[Cycle] = frozenset({Cycle.MINUTE, Cycle.HOUR})

# From fine to coarse. A one-time task stands beside the daily ones: it has one instance on its day.
COARSENESS: dict[Cycle, int] = {
    Cycle.MINUTE: 0,
    Cycle.HOUR: 1,
    Cycle.DAY: 2,
    Cycle.ONE_TIME: 2,
    Cycle.WEEK: 3,
    Cycle.MONTH: 4,
    Cycle.YEAR: 5,
}
