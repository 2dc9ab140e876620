"""Local days of a time zone, and what its clock changes do to them (T11).

Most days are regular: one offset from UTC from midnight to midnight, so that wall times turn into
instants by one subtraction. The others, a few a year, are irregular: the clock changes on them, or
a change on the day before reaches into them. They are found once a year and zone, by looking at
the offset at each UTC midnight; two changes that cancel each other within a day would go unseen,
and no zone has ever had them.
"""

from __future__ import annotations

from calendar import isleap
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
NOON = time(12)

# Nothing is scheduled outside: the neighbours of those days would leave Python's calendar.
FIRST_DAY = date(2, 1, 1)
LAST_DAY = date(9998, 12, 31)


def is_time_zone(name: str) -> bool:
    """True when `name` is an IANA zone that this machine knows."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


class LocalClock:
    """Wall times of one zone and the instants they are. Get one with `local_clock`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.zone = ZoneInfo(name)
        self._offsets: dict[date, timedelta | None] = {}
        self._irregular: dict[int, tuple[date, ...]] = {}

    def offset(self, day: date) -> timedelta | None:
        """The offset from UTC during the whole of a local day, or None on an irregular day.

        For days from FIRST_DAY to LAST_DAY.
        """
        try:
            return self._offsets[day]
        except KeyError:
            self._load_year(day.year)
            return self._offsets[day]

    def irregular_days(self, year: int) -> tuple[date, ...]:
        """The local days of a year that a change of the clock touches, in order."""
        if year not in self._irregular:
            self._load_year(year)
        return self._irregular[year]

    def local_date(self, instant: datetime) -> date:
        """The local day on which an instant falls."""
        return instant.astimezone(self.zone).date()

    def instants(self, wall: datetime) -> tuple[datetime, ...]:
        """The instants (UTC) at which the clock shows a naive wall time: one, two in a fold, none
        in a gap.
        """
        first = wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        second = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        if first == second:
            return (first,)
        if first < second:
            return (first, second)
        return ()

    def gap_end(self, wall: datetime) -> datetime:
        """The first instant (UTC) after the gap that a naive wall time falls into."""
        # In a gap, fold=0 reads the wall time with the offset before the change, fold=1 with the
        # one after it: the change lies between the two instants.
        low = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        high = wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        return self._change_between(low, high)

    def day_start(self, day: date) -> datetime:
        """The first instant (UTC) of a local day; of one that the zone skips, the instant after."""
        midnight = datetime.combine(day, time())
        found = self.instants(midnight)
        return found[0] if found else self.gap_end(midnight)

    def _offset_at(self, instant: datetime) -> timedelta:
        offset = instant.astimezone(self.zone).utcoffset()
        assert offset is not None
        return offset

    def _change_between(self, low: datetime, high: datetime) -> datetime:
        """The first second in (low, high] with another offset than `low` has."""
        before = self._offset_at(low)
        seconds_low, seconds_high = 0, int((high - low).total_seconds())
        while seconds_high - seconds_low > 1:
            middle = (seconds_low + seconds_high) // 2
            if self._offset_at(low + middle * SECOND) == before:
                seconds_low = middle
            else:
                seconds_high = middle
        return low + seconds_high * SECOND

    def _load_year(self, year: int) -> None:
        """Find a year's irregular local days, and the offset of each of the others."""
        # Offsets reach a day to either side of UTC, so look from two days before the year on.
        instant = datetime(year, 1, 1, tzinfo=UTC) - 2 * DAY
        end = datetime(year + 1, 1, 1, tzinfo=UTC) + 2 * DAY
        offset = self._offset_at(instant)
        touched: set[date] = set()
        while instant < end:
            following = instant + DAY
            next_offset = self._offset_at(following)
            if next_offset != offset:
                change = self._change_between(instant, following)
                touched |= _days_touched(change, offset, next_offset)
            instant, offset = following, next_offset
        self._irregular[year] = tuple(sorted(day for day in touched if day.year == year))
        day = date(year, 1, 1)
        for _ in range(366 if isleap(year) else 365):
            # The offset is the same all through a regular day, so any hour of it tells.
            noon = datetime.combine(day, NOON, tzinfo=self.zone)
            self._offsets[day] = None if day in touched else noon.utcoffset()
            day += DAY


def _days_touched(change: datetime, before: timedelta, after: timedelta) -> set[date]:
    """The local days that a clock change touches: from the earlier of the two wall times that it
    joins to the later one, whole days between them included.
    """
    walls = [change.replace(tzinfo=None) + before, change.replace(tzinfo=None) + after]
    first, last = min(walls).date(), max(walls).date()
    return {first + number * DAY for number in range((last - first).days + 1)}


@lru_cache(maxsize=1024)
def local_clock(name: str) -> LocalClock:
    """The clock of an IANA zone, shared by all schedules in it; KeyError when there is none."""
    return LocalClock(name)
