"""How many upstream instances one instance can wait for, told from the schedules (T12). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from workflows.schedules import Schedule, fires_on, next_fire, previous_fire
from workflows.schedules.matching import Matcher, Offset, Scope

# Days looked at for the largest gap: longer than a year, so that each date comes once.
_DAYS = 400
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def most_upstreams(
    downstream: Schedule,
    upstream: Schedule,
    offset: Offset,
    scope: Scope,
    upstream_self_dependent: bool,
    *,
    day: datetime,
    limit: int,
) -> int:
    """Return how many upstream instances an instance planned in the year after `day` waits for at
    most; `limit` or more means that there are as many at least.
    """
    matcher = Matcher(
        downstream,
        upstream,
        offset=offset,
        scope=scope,
        upstream_self_dependent=upstream_self_dependent,
        limit=limit,
    )
    return max((len(matcher.match(fire)) for fire in _telling_fires(downstream, day)), default=0)


def _telling_fires(schedule: Schedule, after: datetime) -> Iterable[datetime]:
    """The fires that wait for most: the first after the longest pause, and the one after it, which
    sees that pause when it looks at the fire before it.
    """
    first = next_fire(schedule, after) or previous_fire(schedule, after)
    if first is None:
        return ()
    start = schedule.plan.clock.local_date(first)
    end = start + timedelta(days=_DAYS)
    days = schedule.plan.days(start, end)
    gaps = {later: (later - earlier).days for earlier, later in pairwise(days)}
    told = [first]
    if gaps:
        told += fires_on(schedule, max(gaps, key=gaps.__getitem__))[:1]
    return told + [fire for one in told if (fire := next_fire(schedule, one)) is not None]
