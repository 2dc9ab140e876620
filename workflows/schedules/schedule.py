"""A schedule: when a task fires, where, and from when until when (T11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from workflows.schedules.cycles import SUB_DAY, Cycle
from workflows.schedules.day_plan import DayPlan
from workflows.schedules.errors import ScheduleError
from workflows.schedules.local_time import DAY, LAST_DAY, LocalClock, is_time_zone, local_clock
from workflows.schedules.reading import DEFAULTS, read_parts
from workflows.schedules.rules import Rule
from workflows.schedules.wall_times import format_date_or_datetime

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a task fires. A value: equal ones hash equal, so it can be the key of a cache.

    Make one with `from_mapping`. `given` (the defaults that the mapping spelled out) and all that
    follows it take no part in comparing.
    """

    cycle: Cycle
    rule: Rule
    time_zone: str
    effective_from: date | None = None
    effective_until: date | None = None
    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    # The effective range as instants (UTC), both of them within it.
    effective_start: datetime | None = field(init=False, compare=False, repr=False)
    effective_end: datetime | None = field(init=False, compare=False, repr=False)
    plan: DayPlan = field(init=False, compare=False, repr=False)
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        plan = _plan(self.rule, self.time_zone)
        start = _first_instant(plan.clock, self.effective_from)
        end = _last_instant(plan.clock, self.effective_until)
        # Compared as they were written: a range within a gap of the clock is empty, not at fault.
        if (
            self.effective_from is not None
            and self.effective_until is not None
            and _wall(self.effective_until, time.max) < _wall(self.effective_from, time.min)
        ):
            message = _("must not be before effective_from")
            raise ScheduleError("schedule.effective_until", message)
        identity = (self.rule, self.time_zone, self.effective_from, self.effective_until)
        for name, value in (
            ("plan", plan),
            ("effective_start", start),
            ("effective_end", end),
            ("_hash", hash(identity)),
        ):
            object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Callable[..., Schedule], tuple[dict[str, object], str]]:
        # Hashes of text differ from process to process and plans are caches: make both anew.
        return (Schedule.from_mapping, (self.to_mapping(), self.time_zone))

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], time_zone: str) -> Schedule:
        """Read the `schedule` mapping of a task.

        `time_zone` (IANA) counts where the mapping names none. Raises ScheduleError with every
        fault and its field.
        """
        if not is_time_zone(time_zone):
            message = _("{zone} is not an IANA time zone").format(zone=repr(time_zone))
            raise ScheduleError("schedule.time_zone", message)
        return cls(**read_parts(data, time_zone))

    def to_mapping(self) -> dict[str, object]:
        """The mapping that this was read from, in one normal form: times "HH:MM[:SS]", lists in
        order, defaults and the zone only when they were spelled out.
        """
        mapping: dict[str, object] = {"cycle": self.cycle.value}
        for key, value in self.rule.fields().items():
            if key in self.given or value != DEFAULTS.get(key, ...):
                mapping[key] = value
        if "time_zone" in self.given:
            mapping["time_zone"] = self.time_zone
        for key, moment in (
            ("effective_from", self.effective_from),
            ("effective_until", self.effective_until),
        ):
            if moment is not None:
                mapping[key] = format_date_or_datetime(moment)
        return mapping

    @property
    def effective_cycle(self) -> Cycle:
        """The cycle by what it does: a crontab is minute, hour or, once a local day, day."""
        return self.rule.effective_cycle

    @property
    def is_sub_day(self) -> bool:
        """True when it can fire more than once a local day by its cycle: minute and hour."""
        return self.rule.effective_cycle in SUB_DAY

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone."""
        return self.plan.clock.zone

    def is_effective(self, instant: datetime) -> bool:
        """True when an instant is within the effective range, ends included."""
        return (self.effective_start is None or self.effective_start <= instant) and (
            self.effective_end is None or instant <= self.effective_end
        )


@lru_cache(maxsize=16384)
def _plan(rule: Rule, time_zone: str) -> DayPlan:
    return DayPlan(rule, local_clock(time_zone))


def _wall(moment: date, time_of_date: time) -> datetime:
    """A naive datetime, of a date with the time of day given for dates."""
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time_of_date)


def _first_instant(clock: LocalClock, moment: date | None) -> datetime | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        return clock.day_start(moment)
    found = clock.instants(moment)
    return found[0] if found else clock.gap_end(moment)


def _last_instant(clock: LocalClock, moment: date | None) -> datetime | None:
    # People write 9999-12-31 for "no end".
    if moment is None or moment.year >= LAST_DAY.year:
        return None
    if isinstance(moment, datetime):
        found = clock.instants(moment)
        # Of a repeated wall time the second one: "until 02:30" includes both.
        return found[-1] if found else clock.gap_end(moment)
    midnight = datetime.combine(moment + DAY, time())
    found = clock.instants(midnight)
    return (found[-1] if found else clock.gap_end(midnight)) - _MICROSECOND
