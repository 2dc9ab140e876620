"""Schedules where clocks change: nothing twice, nothing lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from workflows.schedules import Schedule, counts_by_day, fires_between, fires_on, next_fire
from workflows.schedules.local_time import local_clock

pytestmark = pytest.mark.feature("T11")

LOS_ANGELES = "America/Los_Angeles"
SPRING, AUTUMN = date(2024, 3, 10), date(2024, 11, 3)


def local_fires(zone: str, day: date, **mapping: object) -> list[str]:
    """The fires of a local day, as local time with offset."""
    data = {key.rstrip("_"): value for key, value in mapping.items()}
    made = Schedule.from_mapping(data, zone)
    return [fire.astimezone(made.zone).isoformat()[11:] for fire in fires_on(made, day)]


class TestSpring:
    def test_a_skipped_time_becomes_the_first_instant_after_the_gap(self) -> None:
        assert local_fires(LOS_ANGELES, SPRING, cycle="day", at="02:30") == ["03:00:00-07:00"]

    def test_what_falls_together_after_the_gap_is_one_fire(self) -> None:
        fires = local_fires(LOS_ANGELES, SPRING, cycle="hour", hours=[1, 2, 3])
        assert fires == ["01:00:00-08:00", "03:00:00-07:00"]

    def test_every_hour_fires_23_times(self) -> None:
        fires = local_fires(LOS_ANGELES, SPRING, cycle="hour", every=1)
        assert fires[1:4] == ["01:00:00-08:00", "03:00:00-07:00", "04:00:00-07:00"]
        assert len(fires) == 23

    def test_minutes_skip_the_gap_as_the_clock_does(self) -> None:
        fires = local_fires(
            LOS_ANGELES, SPRING, cycle="minute", every=20, from_="01:40", until="03:20"
        )
        assert fires == ["01:40:00-08:00", "03:00:00-07:00", "03:20:00-07:00"]

    @pytest.mark.item("T11.3")
    def test_weeks_months_years_and_one_time_lose_nothing(self) -> None:
        after = ["03:00:00-07:00"]
        assert local_fires(LOS_ANGELES, SPRING, cycle="week", weekdays=[7], at="02:00") == after
        assert local_fires(LOS_ANGELES, SPRING, cycle="month", days=[10], at="02:15") == after
        assert local_fires(LOS_ANGELES, SPRING, cycle="year", dates=["03-10"], at="02:59") == after
        once = local_fires(LOS_ANGELES, SPRING, cycle="one_time", at="2024-03-10 02:59")
        assert once == after


class TestAutumn:
    @pytest.mark.item("T11.3")
    def test_a_repeated_time_fires_at_its_first_occurrence(self) -> None:
        first = ["01:30:00-07:00"]
        assert local_fires(LOS_ANGELES, AUTUMN, cycle="day", at="01:30") == first
        assert local_fires(LOS_ANGELES, AUTUMN, cycle="hour", hours=[1], minute=30) == first
        assert local_fires(LOS_ANGELES, AUTUMN, cycle="week", weekdays=[7], at="01:30") == first
        assert local_fires(LOS_ANGELES, AUTUMN, cycle="month", days=[3], at="01:30") == first
        assert local_fires(LOS_ANGELES, AUTUMN, cycle="year", dates=["11-03"], at="01:30") == first
        once = local_fires(LOS_ANGELES, AUTUMN, cycle="one_time", at="2024-11-03 01:30")
        assert once == first

    def test_every_hour_fires_on_both_passes(self) -> None:
        fires = local_fires(LOS_ANGELES, AUTUMN, cycle="hour", every=1)
        assert fires[:4] == [
            "00:00:00-07:00",
            "01:00:00-07:00",
            "01:00:00-08:00",
            "02:00:00-08:00",
        ]
        assert len(fires) == 25

    def test_every_second_hour_fires_once_for_each_wall_time(self) -> None:
        fires = local_fires(LOS_ANGELES, AUTUMN, cycle="hour", every=2, from_="01:00")
        assert fires[:2] == ["01:00:00-07:00", "03:00:00-08:00"]
        assert len(fires) == 12

    def test_minutes_fire_on_both_passes(self) -> None:
        fires = local_fires(
            LOS_ANGELES, AUTUMN, cycle="minute", every=30, from_="01:00", until="02:00"
        )
        assert fires == [
            "01:00:00-07:00",
            "01:30:00-07:00",
            "01:00:00-08:00",
            "01:30:00-08:00",
            "02:00:00-08:00",
        ]

    @pytest.mark.item("T11.2")
    def test_an_effective_range_holds_both_passes_of_its_ends(self) -> None:
        fires = local_fires(
            LOS_ANGELES,
            AUTUMN,
            cycle="hour",
            every=1,
            effective_from="2024-11-03 01:00",
            effective_until="2024-11-03 01:00",
        )
        assert fires == ["01:00:00-07:00", "01:00:00-08:00"]


class TestCrontabs:
    """Debian's rules: by the wall clock where a star begins neither the minute nor the hour."""

    @pytest.mark.parametrize(
        ("expression", "fires"),
        [
            ("30 2 * * *", ["03:00:00-07:00"]),
            ("0,30 2,3 * * *", ["03:00:00-07:00", "03:30:00-07:00"]),
            ("*/30 2 * * *", []),
            ("30 */2 * 3 *", 11),
        ],
    )
    def test_in_spring(self, expression: str, fires: list[str] | int) -> None:
        found = local_fires(LOS_ANGELES, SPRING, cycle="crontab", expression=expression)
        assert (len(found) if isinstance(fires, int) else found) == fires

    @pytest.mark.parametrize(
        ("expression", "fires"),
        [
            ("30 1 * * *", ["01:30:00-07:00"]),
            ("*/30 1 * * *", 4),
            ("0 * * * *", 25),
        ],
    )
    def test_in_autumn(self, expression: str, fires: list[str] | int) -> None:
        found = local_fires(LOS_ANGELES, AUTUMN, cycle="crontab", expression=expression)
        assert (len(found) if isinstance(fires, int) else found) == fires


class TestUnusualZones:
    def test_lord_howe_moves_by_half_an_hour(self) -> None:
        zone = "Australia/Lord_Howe"
        spring, autumn = date(2024, 10, 6), date(2024, 4, 7)
        assert local_fires(zone, spring, cycle="day", at="02:15") == ["02:30:00+11:00"]
        assert local_fires(zone, autumn, cycle="day", at="01:45") == ["01:45:00+11:00"]
        half_hours = local_fires(
            zone, autumn, cycle="minute", every=30, from_="01:00", until="02:00"
        )
        assert half_hours == [
            "01:00:00+11:00",
            "01:30:00+11:00",
            "01:30:00+10:30",
            "02:00:00+10:30",
        ]

    @pytest.mark.parametrize(
        ("zone", "day", "fire"),
        [
            ("America/Sao_Paulo", date(2018, 11, 4), "01:00:00-02:00"),
            ("Africa/Cairo", date(2023, 4, 28), "01:00:00+03:00"),
            ("Asia/Beirut", date(2024, 3, 31), "01:00:00+03:00"),
        ],
    )
    def test_a_midnight_that_does_not_exist_is_the_first_instant_of_the_day(
        self, zone: str, day: date, fire: str
    ) -> None:
        assert local_fires(zone, day, cycle="day", at="00:00") == [fire]
        assert local_fires(zone, day, cycle="day", at="00:30") == [fire]
        around = [day - timedelta(days=1), day, day + timedelta(days=1)]
        assert [len(local_fires(zone, one, cycle="hour", every=1)) for one in around] == [
            24,
            23,
            24,
        ]

    def test_a_repeated_last_hour_of_a_day_belongs_to_that_day(self) -> None:
        # São Paulo went back from midnight to 23:00 of 17 February.
        hours = local_fires("America/Sao_Paulo", date(2018, 2, 17), cycle="hour", every=1)
        assert hours[-2:] == ["23:00:00-02:00", "23:00:00-03:00"]
        assert local_fires("America/Sao_Paulo", date(2018, 2, 18), cycle="day", at="00:00") == [
            "00:00:00-03:00"
        ]

    def test_a_change_back_over_midnight_keeps_the_fires_in_order(self) -> None:
        # At 00:01 on 7 November the clock of St. John's went back to 23:01.
        minutes = Schedule.from_mapping({"cycle": "minute", "every": 30}, "America/St_Johns")
        fires = fires_between(
            minutes,
            datetime(2010, 11, 7, 1, 30, tzinfo=UTC),
            datetime(2010, 11, 7, 4, 0, tzinfo=UTC),
        )
        assert [fire.astimezone(minutes.zone).isoformat() for fire in fires] == [
            "2010-11-06T23:30:00-02:30",
            "2010-11-07T00:00:00-02:30",
            "2010-11-06T23:30:00-03:30",
            "2010-11-07T00:00:00-03:30",
            "2010-11-07T00:30:00-03:30",
        ]
        assert next_fire(minutes, fires[0]) == fires[1]
        assert next_fire(minutes, fires[1]) == fires[2]

    def test_the_fires_of_a_day_that_was_left_out_come_together_after_it(self) -> None:
        # Samoa went from the end of 29 December straight to 31 December 2011.
        zone = "Pacific/Apia"
        assert local_fires(zone, date(2011, 12, 30), cycle="day", at="02:00") == []
        assert local_fires(zone, date(2011, 12, 31), cycle="day", at="02:00") == [
            "00:00:00+14:00",
            "02:00:00+14:00",
        ]
        assert local_fires(zone, date(2011, 12, 31), cycle="day", at="00:00") == ["00:00:00+14:00"]
        friday = {"cycle": "week", "weekdays": [5], "at": "02:00"}
        assert local_fires(zone, date(2011, 12, 31), **friday) == ["00:00:00+14:00"]
        once = Schedule.from_mapping({"cycle": "one_time", "at": "2011-12-30 12:00"}, zone)
        fire = datetime(2011, 12, 30, 10, tzinfo=UTC)
        assert next_fire(once, datetime(2011, 1, 1, tzinfo=UTC)) == fire
        hourly = Schedule.from_mapping({"cycle": "hour", "every": 1}, zone)
        assert counts_by_day(hourly, date(2011, 12, 29), date(2012, 1, 1)) == {
            date(2011, 12, 29): 24,
            date(2011, 12, 31): 24,
            date(2012, 1, 1): 24,
        }

    def test_utc_has_no_irregular_days(self) -> None:
        assert local_clock("UTC").irregular_days(2024) == ()

    def test_irregular_days_are_those_of_the_changes(self) -> None:
        assert local_clock(LOS_ANGELES).irregular_days(2024) == (SPRING, AUTUMN)
        assert local_clock("Asia/Kolkata").irregular_days(2024) == ()
        assert local_clock("Pacific/Apia").irregular_days(2011)[-2:] == (
            date(2011, 12, 30),
            date(2011, 12, 31),
        )
