"""Which upstream instances a downstream instance waits for, row by row of the table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.matching import upstream_fires
from tests.workflows.strategies import mappings, moments, schedules, zones
from workflows.schedules import Schedule, fires_between, previous_fire
from workflows.schedules.matching import Matcher, Offset, Scope, self_previous

pytestmark = pytest.mark.feature("T12")

LOS_ANGELES = "America/Los_Angeles"


def schedule(zone: str = "UTC", /, **mapping: object) -> Schedule:
    data = {key.rstrip("_"): value for key, value in mapping.items()}
    return Schedule.from_mapping(data, zone)


def daily(at: str = "02:30", zone: str = "UTC", **more: object) -> Schedule:
    return schedule(zone, cycle="day", at=at, **more)


def hourly(every: int = 1, zone: str = "UTC", **more: object) -> Schedule:
    return schedule(zone, cycle="hour", every=every, **more)


def minutely(every: int, **more: object) -> Schedule:
    return schedule(cycle="minute", every=every, **more)


def waits_for(downstream: Schedule, upstream: Schedule, fire: str, **options: object) -> list[str]:
    """The upstream's fires as UTC texts, for a downstream fire given as one."""
    moment = datetime.strptime(fire, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert fires_between(downstream, moment - timedelta(minutes=1), moment) == [moment]
    found = upstream_fires(downstream, upstream, moment, **options)  # type: ignore[arg-type]
    return [f"{one:%Y-%m-%d %H:%M}" for one in found]


def hours(day: str, first: int = 0, last: int = 23, minute: int = 0) -> list[str]:
    return [f"{day} {hour:02d}:{minute:02d}" for hour in range(first, last + 1)]


class TestTheTable:
    def test_a_day_waits_for_all_hours_of_its_day(self) -> None:
        assert waits_for(daily(), hourly(), "2024-05-05 02:30") == hours("2024-05-05")

    def test_a_day_waits_for_all_minutes_of_its_day(self) -> None:
        upstream = minutely(30, from_="01:00", until="02:00")
        assert waits_for(daily("01:10"), upstream, "2024-05-05 01:10") == [
            "2024-05-05 01:00",
            "2024-05-05 01:30",
            "2024-05-05 02:00",
        ]

    def test_a_month_waits_for_all_hours_of_its_day(self) -> None:
        monthly = schedule(cycle="month", days=[1], at="00:00")
        assert waits_for(monthly, hourly(), "2024-05-01 00:00") == hours("2024-05-01")

    def test_a_day_waits_for_the_last_hour_of_a_chain_up_to_its_own_time(self) -> None:
        options = {"upstream_self_dependent": True}
        assert waits_for(daily("02:30"), hourly(), "2024-05-05 02:30", **options) == [
            "2024-05-05 02:00"
        ]
        assert waits_for(daily("02:00"), hourly(), "2024-05-05 02:00", **options) == [
            "2024-05-05 02:00"
        ]

    def test_a_chain_that_begins_later_in_the_day_is_waited_for_at_its_first(self) -> None:
        late = hourly(from_="06:00")
        options = {"upstream_self_dependent": True}
        assert waits_for(daily("02:30"), late, "2024-05-05 02:30", **options) == [
            "2024-05-05 06:00"
        ]

    def test_an_hour_waits_for_the_day_instance_of_its_day(self) -> None:
        for fire in ("2024-05-05 00:00", "2024-05-05 23:00"):
            assert waits_for(hourly(), daily(), fire) == ["2024-05-05 02:30"]

    def test_a_minute_waits_for_a_month_only_on_the_day_that_has_it(self) -> None:
        monthly = schedule(cycle="month", days=[5], at="07:00")
        assert waits_for(minutely(30), monthly, "2024-05-05 00:30") == ["2024-05-05 07:00"]
        assert waits_for(minutely(30), monthly, "2024-05-06 00:30") == []

    def test_a_day_waits_for_the_same_day_whatever_the_times(self) -> None:
        assert waits_for(daily("01:00"), daily("23:00"), "2024-05-05 01:00") == ["2024-05-05 23:00"]

    def test_hours_of_equal_number_are_paired_first_with_first(self) -> None:
        downstream = schedule(cycle="hour", hours=[1, 2, 3])
        upstream = schedule(cycle="hour", hours=[0, 12, 20], minute=30)
        pairs = {"01": "00:30", "02": "12:30", "03": "20:30"}
        for hour, other in pairs.items():
            found = waits_for(downstream, upstream, f"2024-05-05 {hour}:00")
            assert found == [f"2024-05-05 {other}"]

    def test_minutes_of_equal_number_are_paired_too(self) -> None:
        downstream, upstream = minutely(30, from_="00:10"), minutely(30, from_="00:15")
        assert waits_for(downstream, upstream, "2024-05-05 00:40") == ["2024-05-05 00:45"]

    def test_a_crontab_is_paired_as_the_cycle_that_it_is(self) -> None:
        cron = schedule(cycle="crontab", expression="45 * * * *")
        assert waits_for(hourly(), cron, "2024-05-05 03:00") == ["2024-05-05 03:45"]

    def test_hours_of_different_number_wait_for_what_came_since_their_last_fire(self) -> None:
        assert waits_for(hourly(6), hourly(), "2024-05-05 06:00") == hours("2024-05-05", 1, 6)

    def test_an_interval_reaches_back_into_the_day_before(self) -> None:
        assert waits_for(hourly(6), hourly(), "2024-05-05 00:00") == [
            *hours("2024-05-04", 19, 23),
            "2024-05-05 00:00",
        ]

    def test_an_hour_waits_for_the_minutes_since_the_hour_before(self) -> None:
        assert waits_for(hourly(), minutely(20), "2024-05-05 03:00") == [
            "2024-05-05 02:20",
            "2024-05-05 02:40",
            "2024-05-05 03:00",
        ]

    def test_cycles_of_equal_number_that_differ_are_matched_by_interval(self) -> None:
        # 24 a day on either side, but every half hour of half a day.
        half_day = minutely(30, until="11:59")
        assert waits_for(hourly(), half_day, "2024-05-05 03:00") == [
            "2024-05-05 02:30",
            "2024-05-05 03:00",
        ]

    def test_an_empty_interval_waits_for_the_last_one_before_on_the_day(self) -> None:
        assert waits_for(hourly(), hourly(6), "2024-05-05 10:00") == ["2024-05-05 06:00"]

    def test_with_none_before_it_waits_for_the_first_of_the_day(self) -> None:
        late = schedule(cycle="hour", hours=[6, 18])
        assert waits_for(hourly(), late, "2024-05-05 03:00") == ["2024-05-05 06:00"]

    @pytest.mark.parametrize(
        "downstream",
        [
            schedule(cycle="week", weekdays=[3], at="09:00"),
            schedule(cycle="month", days=[1], at="09:00"),
            schedule(cycle="year", dates=["05-01"], at="09:00"),
            schedule(cycle="one_time", at="2024-05-01 09:00"),
            schedule(cycle="crontab", expression="0 9 1 * *"),
        ],
    )
    def test_coarser_cycles_wait_for_the_day_instance_of_their_day(
        self, downstream: Schedule
    ) -> None:
        assert waits_for(downstream, daily(), "2024-05-01 09:00") == ["2024-05-01 02:30"]

    def test_a_day_waits_for_a_week_only_on_the_day_that_has_it(self) -> None:
        weekly = schedule(cycle="week", weekdays=[1], at="05:00")
        assert waits_for(daily(), weekly, "2024-05-06 02:30") == ["2024-05-06 05:00"]
        assert waits_for(daily(), weekly, "2024-05-07 02:30") == []


class TestScopes:
    def test_the_day_before(self) -> None:
        scope = {"scope": Scope.PREVIOUS_DAY}
        assert waits_for(daily(), hourly(), "2024-05-05 02:30", **scope) == hours("2024-05-04")
        assert waits_for(hourly(), daily(), "2024-05-05 07:00", **scope) == ["2024-05-04 02:30"]

    def test_the_whole_week_month_or_year(self) -> None:
        scope = {"scope": Scope.WHOLE_PERIOD}
        weekly = schedule(cycle="week", weekdays=[3], at="09:00")
        week = [f"{day} 02:30" for day in ("2024-04-29", "2024-04-30")]
        week += [f"2024-05-0{day} 02:30" for day in range(1, 6)]
        assert waits_for(weekly, daily(), "2024-05-01 09:00", **scope) == week
        monthly = schedule(cycle="month", days=["last"], at="09:00")
        month = [f"2024-02-{day:02d} 02:30" for day in range(1, 30)]
        assert waits_for(monthly, daily(), "2024-02-29 09:00", **scope) == month
        yearly = schedule(cycle="year", dates=["12-31"], at="09:00")
        firsts = schedule(cycle="month", days=[1], at="00:00")
        year = [f"2024-{month:02d}-01 00:00" for month in range(1, 13)]
        assert waits_for(yearly, firsts, "2024-12-31 09:00", **scope) == year

    def test_the_whole_period_of_a_day_is_the_day(self) -> None:
        scope = {"scope": Scope.WHOLE_PERIOD, "upstream_self_dependent": True}
        assert waits_for(daily(), hourly(), "2024-05-05 02:30", **scope) == hours("2024-05-05")

    def test_the_latest_at_or_before_the_fire(self) -> None:
        scope = {"scope": Scope.LATEST}
        weekly = schedule(cycle="week", weekdays=[1], at="02:30")
        assert waits_for(daily(), weekly, "2024-05-06 02:30", **scope) == ["2024-05-06 02:30"]
        assert waits_for(daily(), weekly, "2024-05-12 02:30", **scope) == ["2024-05-06 02:30"]
        leap = schedule(cycle="year", dates=["02-29"], at="00:00")
        assert waits_for(daily(), leap, "2023-12-31 02:30", **scope) == ["2020-02-29 00:00"]

    def test_all_since_the_previous_fire(self) -> None:
        scope = {"scope": Scope.INTERVAL}
        weekly = schedule(cycle="week", weekdays=[1], at="02:30")
        week = [f"2024-05-{day:02d} 02:30" for day in range(7, 14)]
        assert waits_for(weekly, daily(), "2024-05-13 02:30", **scope) == week

    def test_the_first_interval_begins_with_the_period(self) -> None:
        scope = {"scope": Scope.INTERVAL}
        first = hourly(6, effective_from="2024-05-05 12:00")
        assert waits_for(first, hourly(), "2024-05-05 12:00", **scope) == hours("2024-05-05", 0, 12)
        monthly = schedule(cycle="month", days=[3], at="09:00", effective_from="2024-05-01")
        month = [f"2024-05-0{day} 02:30" for day in range(1, 4)]
        assert waits_for(monthly, daily(), "2024-05-03 09:00", **scope) == month


class TestPreviousCycle:
    def test_the_rule_is_seen_from_the_previous_fire(self) -> None:
        offset = {"offset": Offset.PREVIOUS}
        assert waits_for(daily(), daily("04:00"), "2024-05-05 02:30", **offset) == [
            "2024-05-04 04:00"
        ]
        assert waits_for(hourly(), minutely(30), "2024-05-05 03:00", **offset) == [
            "2024-05-05 01:30",
            "2024-05-05 02:00",
        ]
        weekly = schedule(cycle="week", weekdays=[1], at="02:30")
        assert waits_for(weekly, daily(), "2024-05-13 02:30", **offset) == ["2024-05-06 02:30"]

    def test_a_first_fire_waits_for_nothing(self) -> None:
        first = daily(effective_from="2024-05-05")
        assert waits_for(first, daily(), "2024-05-05 02:30", offset=Offset.PREVIOUS) == []
        assert self_previous(first, datetime(2024, 5, 5, 2, 30, tzinfo=UTC)) is None

    def test_a_self_dependent_instance_waits_for_its_own_previous_fire(self) -> None:
        fire = datetime(2024, 5, 5, 0, 0, tzinfo=UTC)
        assert self_previous(hourly(), fire) == fire - timedelta(hours=1)


class TestEffectiveRanges:
    def test_fires_outside_the_upstreams_range_are_not_waited_for(self) -> None:
        upstream = hourly(effective_from="2024-05-05 20:00")
        assert waits_for(daily(), upstream, "2024-05-05 02:30") == hours("2024-05-05", 20, 23)
        assert waits_for(daily(), upstream, "2024-05-04 02:30") == []

    def test_a_range_that_begins_at_noon_does_not_shift_the_pairs(self) -> None:
        upstream = hourly(from_="00:30", effective_from="2024-05-05 12:00")
        assert waits_for(hourly(), upstream, "2024-05-05 13:00") == ["2024-05-05 13:30"]
        assert waits_for(hourly(), upstream, "2024-05-05 03:00") == []
        downstream = hourly(effective_from="2024-05-05 12:00")
        assert waits_for(downstream, hourly(from_="00:30"), "2024-05-05 12:00") == [
            "2024-05-05 12:30"
        ]

    def test_the_latest_of_an_upstream_that_ended_is_its_last(self) -> None:
        ended = daily(effective_until="2024-04-01")
        assert waits_for(daily(), ended, "2024-05-05 02:30", scope=Scope.LATEST) == [
            "2024-04-01 02:30"
        ]
        assert waits_for(daily(), ended, "2024-05-05 02:30") == []


class TestZonesAndClockChanges:
    def test_the_day_is_that_of_the_downstreams_zone(self) -> None:
        # 5 May in Los Angeles is from 07:00 on the 5th to 07:00 on the 6th in UTC.
        downstream = daily("02:30", LOS_ANGELES)
        assert waits_for(downstream, hourly(), "2024-05-05 09:30") == [
            *hours("2024-05-05", 7, 23),
            *hours("2024-05-06", 0, 6),
        ]
        assert waits_for(downstream, daily("01:00"), "2024-05-05 09:30") == ["2024-05-06 01:00"]

    @pytest.mark.parametrize(
        ("fire", "count"), [("2024-03-10 16:30", 23), ("2024-11-03 17:30", 25)]
    )
    def test_a_day_waits_for_every_real_hour_of_it(self, fire: str, count: int) -> None:
        downstream = daily("09:30", LOS_ANGELES)
        found = waits_for(downstream, hourly(1, LOS_ANGELES), fire)
        start = datetime(int(fire[:4]), int(fire[5:7]), int(fire[8:10]), tzinfo=UTC)
        first = start + timedelta(hours=8 if count == 23 else 7)
        assert found == [
            f"{first + timedelta(hours=number):%Y-%m-%d %H:%M}" for number in range(count)
        ]

    def test_both_passes_of_an_hour_are_paired_with_both(self) -> None:
        upstream = hourly(1, LOS_ANGELES, from_="00:15")
        downstream = hourly(1, LOS_ANGELES)
        assert waits_for(downstream, upstream, "2024-11-03 08:00") == ["2024-11-03 08:15"]
        assert waits_for(downstream, upstream, "2024-11-03 09:00") == ["2024-11-03 09:15"]

    def test_listed_hours_on_every_hour_fall_back_to_intervals_in_autumn(self) -> None:
        # 24 fires against 25 on that day.
        downstream = schedule(LOS_ANGELES, cycle="hour", hours=list(range(24)))
        assert waits_for(downstream, hourly(1, LOS_ANGELES), "2024-11-03 10:00") == [
            "2024-11-03 09:00",
            "2024-11-03 10:00",
        ]


options = st.fixed_dictionaries(
    {
        "offset": st.sampled_from(Offset),
        "scope": st.sampled_from(Scope),
        "upstream_self_dependent": st.booleans(),
    }
)


@settings(deadline=None, max_examples=300)
@given(downstream=schedules(), upstream=schedules(), start=moments(), options=options)
def test_many_are_matched_as_each_is(
    downstream: Schedule, upstream: Schedule, start: datetime, options: dict[str, object]
) -> None:
    fires = fires_between(downstream, start, start + timedelta(days=5), limit=60)
    kept = Matcher(downstream, upstream, **options)  # type: ignore[arg-type]
    for fire in fires[:20]:
        found = upstream_fires(downstream, upstream, fire, **options)  # type: ignore[arg-type]
        assert kept.match(fire) == found
        assert sorted(set(found)) == list(found)
        for one in found:
            # Whatever is waited for is a fire of the upstream, and exists.
            assert fires_between(upstream, one - timedelta(seconds=1), one) == [one]


@settings(deadline=None, max_examples=300)
@given(
    mappings=st.tuples(mappings, mappings),
    zone=zones,
    start=moments(),
    self_dependent=st.booleans(),
)
def test_what_the_cycles_imply_is_on_the_same_day_or_since_the_previous_fire(
    mappings: tuple[dict[str, object], dict[str, object]],
    zone: str,
    start: datetime,
    self_dependent: bool,
) -> None:
    downstream, upstream = (Schedule.from_mapping(mapping, zone) for mapping in mappings)
    matcher = Matcher(downstream, upstream, upstream_self_dependent=self_dependent)
    for fire in fires_between(downstream, start, start + timedelta(days=3), limit=60):
        day = fire.astimezone(downstream.zone).date()
        others = [
            one for one in matcher.match(fire) if one.astimezone(downstream.zone).date() != day
        ]
        if others:
            assert downstream.is_sub_day
            assert upstream.is_sub_day
            previous = previous_fire(downstream, fire)
            assert previous is not None
            assert all(previous < one <= fire for one in others)
