"""Hypothesis strategies for schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from workflows.schedules import Schedule

ZONES = (
    "UTC",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/St_Johns",
)

# Around changes of the clock in the zones above, and around ordinary days.
MOMENTS = (
    datetime(1994, 12, 31, tzinfo=UTC),
    datetime(2007, 3, 11, 3, tzinfo=UTC),
    datetime(2010, 11, 7, 2, 30, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
    datetime(2018, 2, 18, 2, tzinfo=UTC),
    datetime(2018, 11, 4, 3, tzinfo=UTC),
    datetime(2023, 4, 27, 22, tzinfo=UTC),
    datetime(2023, 10, 26, 21, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2024, 3, 10, 10, tzinfo=UTC),
    datetime(2024, 3, 31, 1, tzinfo=UTC),
    datetime(2024, 4, 6, 15, tzinfo=UTC),
    datetime(2024, 10, 5, 15, 30, tzinfo=UTC),
    datetime(2024, 10, 27, 1, tzinfo=UTC),
    datetime(2024, 11, 3, 9, tzinfo=UTC),
    datetime(2025, 6, 15, tzinfo=UTC),
)

CRONTABS = (
    "*/20 * * * *",
    "30 2 * * *",
    "0 0 * * *",
    "15 */3 * * *",
    "0,30 0-3 * * 1-5",
    "0 0 1,15 * *",
    "5 0 * * SUN",
    "0 12 L * *",
    "* 2 * * *",
)

zones = st.sampled_from(ZONES)


def clock_texts() -> st.SearchStrategy[str]:
    """Times of day, many of them where clocks change."""
    anywhere = st.integers(0, 24 * 60 - 1)
    minutes = st.one_of(st.sampled_from([0, 30, 60, 90, 120, 150, 180, 1410, 1439]), anywhere)
    return minutes.map(lambda minute: f"{minute // 60:02d}:{minute % 60:02d}")


def _windows() -> st.SearchStrategy[dict[str, str]]:
    pair = st.tuples(clock_texts(), clock_texts()).map(sorted)
    window = pair.map(lambda ends: {"from": ends[0], "until": ends[1]})
    return st.one_of(st.just({}), window)


def _lists(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=1, max_size=5, unique=True).map(sorted)


def _with_window(cycle: str, every: st.SearchStrategy[int]) -> st.SearchStrategy[dict[str, object]]:
    return st.tuples(every, _windows()).map(lambda of: {"cycle": cycle, "every": of[0], **of[1]})


mappings: st.SearchStrategy[dict[str, object]] = st.one_of(
    _with_window("minute", st.sampled_from([5, 7, 15, 30, 59])),
    _with_window("hour", st.sampled_from([1, 2, 5, 23])),
    st.fixed_dictionaries(
        {"cycle": st.just("hour"), "hours": _lists(0, 23), "minute": st.sampled_from([0, 30])}
    ),
    st.fixed_dictionaries({"cycle": st.just("day"), "at": clock_texts()}),
    st.fixed_dictionaries(
        {"cycle": st.just("week"), "weekdays": _lists(1, 7), "at": clock_texts()}
    ),
    st.fixed_dictionaries(
        {
            "cycle": st.just("month"),
            "days": st.one_of(_lists(1, 31), st.just([1, "last"])),
            "at": clock_texts(),
        }
    ),
    st.fixed_dictionaries(
        {
            "cycle": st.just("year"),
            "dates": st.just(["02-29", "03-10", "11-04", "12-30"]),
            "at": clock_texts(),
        }
    ),
    st.sampled_from(CRONTABS).map(lambda text: {"cycle": "crontab", "expression": text}),
    st.fixed_dictionaries(
        {
            "cycle": st.just("one_time"),
            "at": st.sampled_from(["2011-12-30 10:00", "2018-11-04 00:30", "2024-03-10 02:30"]),
        }
    ),
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """A schedule of any cycle in any zone, sometimes with an effective range."""
    mapping = dict(draw(mappings))
    moment = draw(st.sampled_from(MOMENTS))
    if draw(st.booleans()):
        mapping["effective_from"] = moment.strftime("%Y-%m-%d %H:%M")
    if draw(st.booleans()):
        days = draw(st.sampled_from([0, 1, 40]))
        mapping["effective_until"] = (moment + timedelta(days=days)).strftime("%Y-%m-%d")
    return Schedule.from_mapping(mapping, draw(zones))


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    """An instant within days of one of the interesting ones."""
    minutes = draw(st.integers(-3 * 24 * 60, 3 * 24 * 60))
    return draw(st.sampled_from(MOMENTS)) + timedelta(minutes=minutes)
