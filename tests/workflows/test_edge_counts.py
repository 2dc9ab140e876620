"""How many upstream instances one instance waits for: counted, bounded, refused with a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.factories import make_submitted_tasks
from workflows.network.edge_counts import most_upstreams
from workflows.schedules import Schedule
from workflows.schedules.matching import Offset, Scope
from workflows.verbs.submit import SubmissionRefused

DAY = datetime(2026, 11, 21, tzinfo=UTC)
MINUTELY = {"cycle": "minute", "every": 1}
HOURLY = {"cycle": "hour", "every": 1}
DAILY = {"cycle": "day", "at": "00:00"}


def crontab(expression: str) -> dict[str, object]:
    return {"cycle": "crontab", "expression": expression}


def count(
    downstream: dict[str, Any],
    upstream: dict[str, Any],
    scope: Scope = Scope.DEFAULT,
    offset: Offset = Offset.SAME,
    limit: int = 1_000_000,
) -> int:
    schedules = [Schedule.from_mapping(one, "UTC") for one in (downstream, upstream)]
    return most_upstreams(*schedules, offset, scope, False, day=DAY, limit=limit)


@pytest.mark.feature("T12")
@pytest.mark.parametrize(
    ("downstream", "upstream", "scope", "expected"),
    [
        (DAILY, HOURLY, Scope.DEFAULT, 24),
        (DAILY, MINUTELY, Scope.DEFAULT, 1_440),
        (HOURLY, MINUTELY, Scope.DEFAULT, 60),
        (HOURLY, DAILY, Scope.DEFAULT, 1),
        # The first fire after the pause waits for all of the pause.
        (crontab("0 8,9 * * 1"), MINUTELY, Scope.DEFAULT, 6 * 1_440 + 23 * 60),
        (crontab("0 8,9 1 1 *"), MINUTELY, Scope.DEFAULT, 364 * 1_440 + 23 * 60),
        ({"cycle": "month", "days": [1], "at": "06:00"}, DAILY, Scope.WHOLE_PERIOD, 31),
        (
            {"cycle": "year", "dates": ["01-01"], "at": "06:00"},
            HOURLY,
            Scope.WHOLE_PERIOD,
            366 * 24,
        ),
        ({"cycle": "week", "weekdays": [1], "at": "06:00"}, HOURLY, Scope.INTERVAL, 7 * 24),
        ({**DAILY, "effective_until": "2020-01-01"}, HOURLY, Scope.DEFAULT, 24),
    ],
)
def test_the_fire_that_waits_for_most_is_counted(
    downstream: dict[str, Any], upstream: dict[str, Any], scope: Scope, expected: int
) -> None:
    assert count(downstream, upstream, scope) == expected


def test_a_pause_is_seen_from_the_fire_after_it_too() -> None:
    pause = 6 * 1_440 + 23 * 60
    assert count(crontab("0 8,9 * * 1"), MINUTELY, offset=Offset.PREVIOUS) == pause


def test_counting_ends_at_the_limit() -> None:
    assert count(crontab("0 8,9 1 1 *"), MINUTELY, limit=101) == 101
    yearly = {"cycle": "year", "dates": ["01-01"], "at": "06:00"}
    assert count(yearly, MINUTELY, Scope.WHOLE_PERIOD, limit=101) == 101


@pytest.mark.django_db
@pytest.mark.feature("T12")
def test_more_than_the_bound_is_refused_with_a_sentence(settings: Any) -> None:
    settings.MOST_EDGES_PER_INSTANCE = 1_500
    definitions = {
        "minutely": {"schedule": MINUTELY},
        "hourly": {"schedule": HOURLY},
        "fits": {"depends_on": ["minutely", "hourly"]},
        "does_not": {
            "schedule": crontab("0 8,9 * * 1"),
            "depends_on": ["hourly", "minutely"],
        },
    }
    with pytest.raises(SubmissionRefused) as refusal:
        make_submitted_tasks(definitions)
    (problem,) = refusal.value.problems
    assert problem.label.endswith("/does_not")
    assert (problem.field, problem.code) == ("depends_on.1", "too_many_upstreams")
    assert "more than 1,500 upstream instances, most of them of “minutely”" in problem.message


@pytest.mark.django_db
@pytest.mark.feature("T12")
@pytest.mark.parametrize(
    ("schedule", "is_refused"),
    [
        (crontab("0 6 1 * *"), True),
        (crontab("0 6 * * 1"), True),
        (crontab("0 6,7 1 1 *"), True),
        (crontab("0 6 * 1-6 *"), True),
        (crontab("0 6 * * *"), False),
        (crontab("*/5 * * * *"), False),
        ({"cycle": "month", "days": [1], "at": "06:00"}, False),
        ({"cycle": "week", "weekdays": [1], "at": "06:00"}, False),
    ],
)
def test_a_crontab_without_a_period_has_no_whole_period(
    schedule: dict[str, object], is_refused: bool
) -> None:
    definitions = {
        "up": {},
        "down": {
            "schedule": schedule,
            "depends_on": [{"task": "up", "scope": "whole_period"}],
        },
    }
    if not is_refused:
        make_submitted_tasks(definitions)
        return
    with pytest.raises(SubmissionRefused) as refusal:
        make_submitted_tasks(definitions)
    (problem,) = refusal.value.problems
    assert (problem.field, problem.code) == ("depends_on.0", "no_period")
    assert "cycle week, month or year" in problem.message
