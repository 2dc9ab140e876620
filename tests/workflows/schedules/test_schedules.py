"""Schedules: mappings, and when each cycle fires."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.utils.translation import override
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.strategies import mappings, moments, schedules, zones
from workflows.schedules import (
    Cycle,
    Schedule,
    ScheduleError,
    count_between_days,
    count_on,
    counts_by_day,
    data_date,
    data_time,
    describe,
    fires_between,
    fires_on,
    next_fire,
    planned_day_of_data_date,
    previous_fire,
)

pytestmark = pytest.mark.feature("T11")


def schedule(zone: str = "UTC", /, **mapping: object) -> Schedule:
    data = {key.rstrip("_"): value for key, value in mapping.items()}
    return Schedule.from_mapping(data, zone)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def times(fires: tuple[datetime, ...] | list[datetime]) -> list[str]:
    return [f"{fire:%m-%d %H:%M}" for fire in fires]


def errors_of(mapping: object, zone: str = "UTC") -> list[tuple[str, str]]:
    with pytest.raises(ScheduleError) as caught:
        Schedule.from_mapping(mapping, zone)  # type: ignore[arg-type]
    assert caught.value.errors[0] == (caught.value.field, caught.value.message)
    return caught.value.errors


class TestCycles:
    def test_minutes_fire_within_their_window_ends_included(self) -> None:
        every = schedule(cycle="minute", every=25, from_="10:10", until="11:00")
        assert times(fires_on(every, date(2024, 5, 5))) == [
            "05-05 10:10",
            "05-05 10:35",
            "05-05 11:00",
        ]

    def test_hours_fire_at_the_minute_of_from(self) -> None:
        every = schedule(cycle="hour", every=6, from_="01:20")
        assert times(fires_on(every, date(2024, 5, 5))) == [
            "05-05 01:20",
            "05-05 07:20",
            "05-05 13:20",
            "05-05 19:20",
        ]

    def test_listed_hours_fire_at_their_minute(self) -> None:
        listed = schedule(cycle="hour", hours=[13, 0, 5], minute=45)
        assert times(fires_on(listed, date(2024, 5, 5))) == [
            "05-05 00:45",
            "05-05 05:45",
            "05-05 13:45",
        ]

    def test_a_day_schedule_fires_once_a_day_to_the_second(self) -> None:
        daily = schedule(cycle="day", at="02:30:15")
        assert fires_on(daily, date(2024, 5, 5)) == (utc(2024, 5, 5, 2, 30, 15),)

    def test_a_week_schedule_fires_on_its_weekdays(self) -> None:
        weekly = schedule(cycle="week", weekdays=[7, 1], at="08:00")
        fires = fires_between(weekly, utc(2024, 5, 1), utc(2024, 5, 14))
        assert times(fires) == ["05-05 08:00", "05-06 08:00", "05-12 08:00", "05-13 08:00"]

    def test_a_month_leaves_out_the_days_it_lacks_and_last_always_fires(self) -> None:
        monthly = schedule(cycle="month", days=[30, "last", 31], at="00:00")
        fires = fires_between(monthly, utc(2023, 1, 1), utc(2023, 5, 1))
        assert times(fires) == [
            "01-30 00:00",
            "01-31 00:00",
            "02-28 00:00",
            "03-30 00:00",
            "03-31 00:00",
            "04-30 00:00",
        ]

    def test_29_february_fires_in_leap_years_only(self) -> None:
        yearly = schedule(cycle="year", dates=["02-29"], at="06:00")
        assert next_fire(yearly, utc(2096, 3, 1)) == utc(2104, 2, 29, 6)
        assert previous_fire(yearly, utc(1904, 2, 29, 6)) == utc(1896, 2, 29, 6)
        assert previous_fire(yearly, utc(2001, 1, 1)) == utc(2000, 2, 29, 6)

    def test_a_one_time_schedule_fires_once(self) -> None:
        once = schedule("Europe/Berlin", cycle="one_time", at="2024-07-01 12:00")
        assert next_fire(once, utc(2000, 1, 1)) == utc(2024, 7, 1, 10)
        assert next_fire(once, utc(2024, 7, 1, 10)) is None
        assert previous_fire(once, utc(2024, 7, 1, 10)) is None
        assert previous_fire(once, utc(2090, 1, 1)) == utc(2024, 7, 1, 10)

    @pytest.mark.parametrize(
        ("expression", "cycle"),
        [
            ("*/5 * * * *", Cycle.MINUTE),
            ("0 * * * *", Cycle.HOUR),
            ("0 3 * * *", Cycle.DAY),
            ("0 3 * * MON", Cycle.DAY),
        ],
    )
    def test_a_crontab_is_classed_by_what_it_does(self, expression: str, cycle: Cycle) -> None:
        cron = schedule(cycle="crontab", expression=expression)
        assert cron.effective_cycle is cycle
        assert cron.is_sub_day is (cycle is not Cycle.DAY)


class TestMappings:
    @settings(deadline=None)
    @given(mapping=mappings, zone=zones)
    def test_a_mapping_comes_back_as_it_was(self, mapping: dict[str, object], zone: str) -> None:
        made = Schedule.from_mapping(mapping, zone)
        assert made.to_mapping() == mapping
        again = Schedule.from_mapping(made.to_mapping(), zone)
        assert again == made
        assert hash(again) == hash(made)

    @pytest.mark.parametrize(
        "mapping",
        [
            {"cycle": "minute", "every": 5},
            {"cycle": "minute", "every": 5, "from": "00:00", "until": "23:59"},
            {"cycle": "hour", "hours": [3]},
            {"cycle": "hour", "hours": [3], "minute": 0},
            {"cycle": "day", "at": "02:30", "time_zone": "Asia/Tokyo"},
            {"cycle": "day", "at": "02:30:01", "effective_from": "2024-01-01"},
            {"cycle": "day", "at": "02:30", "effective_until": "2024-01-01 10:00:30"},
        ],
    )
    def test_what_was_spelled_out_is_written_back(self, mapping: dict[str, object]) -> None:
        assert Schedule.from_mapping(mapping, "UTC").to_mapping() == mapping

    def test_values_are_written_in_one_form(self) -> None:
        made = schedule(
            cycle="month",
            days=["last", 3, 3, 1],
            at="2:05:00",
            effective_from=date(2024, 1, 1),
            effective_until=datetime(2024, 2, 1, 5),
        )
        assert made.to_mapping() == {
            "cycle": "month",
            "days": [1, 3, "last"],
            "at": "02:05",
            "effective_from": "2024-01-01",
            "effective_until": "2024-02-01 05:00",
        }

    def test_equal_schedules_are_equal_however_they_were_written(self) -> None:
        short = schedule(cycle="hour", every=1)
        long = schedule(cycle="hour", every=1, from_="00:00", until="23:59", time_zone="UTC")
        assert short == long
        assert len({short, long}) == 1
        assert short != schedule("Asia/Tokyo", cycle="hour", every=1)

    def test_a_schedule_survives_pickling(self) -> None:
        made = schedule("Asia/Tokyo", cycle="hour", every=1, effective_from="2024-01-01")
        assert pickle.loads(pickle.dumps(made)) == made

    @pytest.mark.parametrize(
        ("mapping", "field"),
        [
            ({}, "schedule.cycle"),
            ({"cycle": "fortnight"}, "schedule.cycle"),
            ({"cycle": ["day"]}, "schedule.cycle"),
            ({"cycle": "day"}, "schedule.at"),
            ({"cycle": "day", "at": "24:00"}, "schedule.at"),
            ({"cycle": "day", "at": "12:60"}, "schedule.at"),
            ({"cycle": "day", "at": 750}, "schedule.at"),
            ({"cycle": "day", "at": "02:30", "every": 5}, "schedule.every"),
            ({"cycle": "day", "at": "02:30", "color": "red"}, "schedule.color"),
            ({"cycle": "day", "at": "02:30", "time_zone": "Mars/Base"}, "schedule.time_zone"),
            ({"cycle": "day", "at": "02:30", "time_zone": "America"}, "schedule.time_zone"),
            ({"cycle": "day", "at": "02:30", "time_zone": "../etc"}, "schedule.time_zone"),
            ({"cycle": "day", "at": "02:30", "time_zone": ""}, "schedule.time_zone"),
            ({"cycle": "minute"}, "schedule.every"),
            ({"cycle": "minute", "every": 0}, "schedule.every"),
            ({"cycle": "minute", "every": 60}, "schedule.every"),
            ({"cycle": "minute", "every": True}, "schedule.every"),
            ({"cycle": "minute", "every": "5"}, "schedule.every"),
            ({"cycle": "minute", "every": 5, "from": "10:00:30"}, "schedule.from"),
            (
                {"cycle": "minute", "every": 5, "from": "10:00", "until": "09:00"},
                "schedule.until",
            ),
            ({"cycle": "hour", "every": 24}, "schedule.every"),
            ({"cycle": "hour", "every": 1, "minute": 5}, "schedule.minute"),
            ({"cycle": "hour", "hours": [1], "every": 1}, "schedule.every"),
            ({"cycle": "hour", "hours": []}, "schedule.hours"),
            ({"cycle": "hour", "hours": [24]}, "schedule.hours"),
            ({"cycle": "hour", "hours": 5}, "schedule.hours"),
            ({"cycle": "week", "weekdays": [0], "at": "01:00"}, "schedule.weekdays"),
            ({"cycle": "month", "days": [32], "at": "01:00"}, "schedule.days"),
            ({"cycle": "month", "days": ["first"], "at": "01:00"}, "schedule.days"),
            ({"cycle": "year", "dates": ["02-30"], "at": "01:00"}, "schedule.dates"),
            ({"cycle": "year", "dates": ["13-01"], "at": "01:00"}, "schedule.dates"),
            ({"cycle": "year", "dates": ["May 1"], "at": "01:00"}, "schedule.dates"),
            ({"cycle": "one_time", "at": "2024-02-30 10:00"}, "schedule.at"),
            ({"cycle": "one_time", "at": "2024-02-03"}, "schedule.at"),
            ({"cycle": "one_time", "at": "0001-01-01 00:00"}, "schedule.at"),
            (
                {"cycle": "day", "at": "01:00", "effective_from": "soon"},
                "schedule.effective_from",
            ),
            (
                {
                    "cycle": "day",
                    "at": "01:00",
                    "effective_from": "2024-02-02",
                    "effective_until": "2024-02-01",
                },
                "schedule.effective_until",
            ),
        ],
    )
    def test_a_fault_is_named_at_its_field(self, mapping: dict[str, object], field: str) -> None:
        assert [where for where, _ in errors_of(mapping)] == [field]

    def test_all_faults_are_told_at_once(self) -> None:
        mapping = {
            "cycle": "week",
            "weekdays": [9],
            "at": "noon",
            "minute": 3,
            "effective_from": "x",
        }
        assert [field for field, _ in errors_of(mapping)] == [
            "schedule.minute",
            "schedule.weekdays",
            "schedule.at",
            "schedule.effective_from",
        ]

    def test_a_schedule_that_is_no_mapping_is_refused(self) -> None:
        assert [field for field, _ in errors_of(["day"])] == ["schedule"]

    def test_a_number_for_a_time_gets_the_hint_about_quotes(self) -> None:
        [(_, message)] = errors_of({"cycle": "day", "at": 750})
        assert "quotes" in message


class TestEffectiveRange:
    def test_both_ends_are_included(self) -> None:
        ranged = schedule(
            cycle="hour",
            every=1,
            effective_from="2024-05-05 03:00",
            effective_until="2024-05-05 05:00",
        )
        assert times(fires_on(ranged, date(2024, 5, 5))) == [
            "05-05 03:00",
            "05-05 04:00",
            "05-05 05:00",
        ]
        assert len(fires_on(ranged, date(2024, 5, 5), ignore_effective=True)) == 24
        assert next_fire(ranged, utc(2000, 1, 1)) == utc(2024, 5, 5, 3)
        assert next_fire(ranged, utc(2024, 5, 5, 5)) is None
        assert previous_fire(ranged, utc(2030, 1, 1)) == utc(2024, 5, 5, 5)
        assert previous_fire(ranged, utc(2024, 5, 5, 3)) is None

    def test_a_date_as_the_end_means_all_of_that_day(self) -> None:
        ranged = schedule(
            "America/Los_Angeles",
            cycle="day",
            at="23:59:59",
            effective_from="2024-05-04",
            effective_until="2024-05-05",
        )
        assert counts_by_day(ranged, date(2024, 1, 1), date(2024, 12, 31)) == {
            date(2024, 5, 4): 1,
            date(2024, 5, 5): 1,
        }

    def test_the_end_of_the_calendar_means_no_end(self) -> None:
        endless = schedule(cycle="day", at="00:00", effective_until="9999-12-31")
        assert endless.effective_end is None
        assert endless.to_mapping()["effective_until"] == "9999-12-31"


class TestRanges:
    def test_a_range_leaves_out_its_start_and_has_its_end(self) -> None:
        hourly = schedule(cycle="hour", every=1)
        fires = fires_between(hourly, utc(2024, 5, 5, 3), utc(2024, 5, 5, 5))
        assert times(fires) == ["05-05 04:00", "05-05 05:00"]

    def test_an_empty_or_reversed_range_has_no_fires(self) -> None:
        hourly = schedule(cycle="hour", every=1)
        assert fires_between(hourly, utc(2024, 5, 5, 3), utc(2024, 5, 5, 3)) == []
        assert fires_between(hourly, utc(2024, 5, 5, 3), utc(2024, 5, 4)) == []

    def test_a_limit_gives_the_first_fires(self) -> None:
        hourly = schedule(cycle="hour", every=1)
        fires = fires_between(hourly, utc(2, 1, 1), utc(9999, 12, 31), limit=2)
        assert len(fires) == 2
        assert fires[0] < fires[1]

    def test_naive_datetimes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="aware"):
            next_fire(schedule(cycle="hour", every=1), datetime(2024, 1, 1))

    @settings(deadline=None, max_examples=300)
    @given(made=schedules(), start=moments(), hours=st.tuples(*[st.integers(0, 100)] * 2))
    def test_adjacent_ranges_make_the_whole(
        self, made: Schedule, start: datetime, hours: tuple[int, int]
    ) -> None:
        middle = start + timedelta(hours=hours[0])
        end = middle + timedelta(hours=hours[1])
        whole = fires_between(made, start, end)
        assert fires_between(made, start, middle) + fires_between(made, middle, end) == whole
        assert sorted(set(whole)) == whole
        assert all(start < fire <= end and made.is_effective(fire) for fire in whole)
        assert fires_between(made, start, end, limit=3) == whole[:3]

    @settings(deadline=None, max_examples=300)
    @given(made=schedules(), moment=moments())
    def test_next_and_previous_are_inverse(self, made: Schedule, moment: datetime) -> None:
        following = next_fire(made, moment)
        before = previous_fire(made, moment)
        if following is not None:
            assert following > moment
            assert fires_between(made, moment, following) == [following]
            assert previous_fire(made, following + timedelta(microseconds=1)) == following
            inclusive = previous_fire(made, moment + timedelta(microseconds=1))
            assert previous_fire(made, following) == inclusive
        if before is not None:
            assert before < moment
            assert next_fire(made, before - timedelta(microseconds=1)) == before
            inclusive = next_fire(made, moment - timedelta(microseconds=1))
            assert next_fire(made, before) == inclusive

    @settings(deadline=None, max_examples=300)
    @given(made=schedules(), start=moments(), days=st.integers(0, 6))
    def test_the_days_of_a_range_make_the_range(
        self, made: Schedule, start: datetime, days: int
    ) -> None:
        end = start + timedelta(days=days)
        first, last = start.date() - timedelta(days=2), end.date() + timedelta(days=2)
        by_day = {
            first + timedelta(days=number): fires_on(made, first + timedelta(days=number))
            for number in range((last - first).days + 1)
        }
        for day, fires in by_day.items():
            assert all(fire.astimezone(made.zone).date() == day for fire in fires)
            assert count_on(made, day) == len(fires)
        together = sorted(fire for fires in by_day.values() for fire in fires)
        assert [fire for fire in together if start < fire <= end] == fires_between(made, start, end)
        counted = {day: len(fires) for day, fires in by_day.items() if fires}
        assert counts_by_day(made, first, last) == counted
        assert count_between_days(made, first, last) == sum(counted.values())


class TestTimeOfDay:
    @settings(deadline=None)
    @given(made=schedules(), start=moments(), ends=st.tuples(st.times(), st.times()))
    def test_counts_agree_with_the_fires_within_times_of_day(
        self, made: Schedule, start: datetime, ends: tuple[time, time]
    ) -> None:
        first, last = start.date(), start.date() + timedelta(days=40)
        span = {"time_from": ends[0], "time_until": ends[1]}
        days = [first + timedelta(days=number) for number in range(41)]
        expected = {day: len(fires_on(made, day, **span)) for day in days}
        assert counts_by_day(made, first, last, **span) == {
            day: count for day, count in expected.items() if count
        }
        assert count_between_days(made, first, last, **span) == sum(expected.values())

    @pytest.mark.feature("B6")
    @pytest.mark.item("0.15", "2.62")
    def test_times_of_day_cut_hours_and_minutes_to_the_minute(self) -> None:
        hourly = schedule("America/Los_Angeles", cycle="hour", every=1)
        fires = fires_on(hourly, date(2024, 5, 5), time_from=time(1), time_until=time(2, 0))
        assert times(fires) == ["05-05 08:00", "05-05 09:00"]
        crontab = schedule(cycle="crontab", expression="*/30 * * * *")
        fires = fires_on(crontab, date(2024, 5, 5), time_until=time(0, 30))
        assert times(fires) == ["05-05 00:00", "05-05 00:30"]

    @pytest.mark.feature("B6")
    def test_other_cycles_ignore_times_of_day(self) -> None:
        daily = schedule(cycle="day", at="23:00")
        span = {"time_from": time(1), "time_until": time(2)}
        assert fires_on(daily, date(2024, 5, 5), **span) == (utc(2024, 5, 5, 23),)
        assert count_between_days(daily, date(2024, 5, 1), date(2024, 5, 31), **span) == 31


class TestDataDates:
    def test_the_data_date_is_the_local_day_before(self) -> None:
        zone = schedule("America/Los_Angeles", cycle="day", at="00:00").zone
        fire = utc(2010, 7, 2, 12)  # 2 July 05:00 local
        assert data_date(fire, zone) == date(2010, 7, 1)
        assert data_time(fire, zone) == datetime(2010, 7, 1, 5)
        assert planned_day_of_data_date(date(2010, 7, 1)) == date(2010, 7, 2)

    def test_the_data_time_keeps_the_wall_time_on_both_passes_of_a_fold(self) -> None:
        zone = schedule("America/Los_Angeles", cycle="day", at="00:00").zone
        for fire in (utc(2024, 11, 3, 8, 30), utc(2024, 11, 3, 9, 30)):
            assert data_time(fire, zone) == datetime(2024, 11, 2, 1, 30)
            assert data_time(fire, zone).fold == 0


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"cycle": "day", "at": "02:30"}, "every day at 02:30"),
        ({"cycle": "minute", "every": 1}, "every minute"),
        (
            {"cycle": "minute", "every": 5, "from": "08:00"},
            "every 5 minutes from 08:00 until 23:59",
        ),
        ({"cycle": "hour", "every": 1}, "every hour"),
        ({"cycle": "hour", "hours": [0, 5, 13]}, "every day at 00:00, 05:00 and 13:00"),
        (
            {"cycle": "week", "weekdays": [1, 5], "at": "08:00"},
            "every Monday and Friday at 08:00",
        ),
        ({"cycle": "month", "days": [1], "at": "08:00"}, "every month on day 1 at 08:00"),
        (
            {"cycle": "month", "days": [1, "last"], "at": "08:00"},
            "every month on days 1 and the last at 08:00",
        ),
        (
            {"cycle": "month", "days": ["last"], "at": "08:00"},
            "on the last day of every month at 08:00",
        ),
        ({"cycle": "year", "dates": ["02-29"], "at": "08:00"}, "every year on 02-29 at 08:00"),
        ({"cycle": "crontab", "expression": "0  3 * * *"}, "by crontab 0 3 * * *"),
        ({"cycle": "one_time", "at": "2024-05-05 10:00"}, "once at 2024-05-05 10:00"),
    ],
)
@pytest.mark.item("T11.1")
def test_a_schedule_is_described_in_words(mapping: dict[str, object], text: str) -> None:
    assert describe(Schedule.from_mapping(mapping, "UTC")) == f"{text} UTC"


def test_each_reader_is_told_of_the_same_schedule_in_their_language() -> None:
    weekly = {"cycle": "week", "weekdays": [1], "at": "08:00"}
    schedule = Schedule.from_mapping(weekly, "UTC")
    for language, monday in (("en", "Monday"), ("zh-hans", "星期一"), ("en", "Monday")):
        with override(language):
            assert monday in describe(schedule)


def test_the_description_names_the_effective_range() -> None:
    ranged = {"cycle": "hour", "every": 1, "effective_from": "2024-01-01"}
    assert describe(Schedule.from_mapping(ranged, "UTC")) == "every hour UTC, from 2024-01-01"
    ranged["effective_until"] = "2024-02-01"
    text = "every hour UTC, from 2024-01-01 until 2024-02-01"
    assert describe(Schedule.from_mapping(ranged, "UTC")) == text
