"""Which cycles block, and which only reach back in time: against the instances they make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.matching import upstream_fires
from workflows.network.cycle_check import blocking_cycle
from workflows.network.graph import Graph
from workflows.network.links import Link
from workflows.schedules import Schedule, fires_between
from workflows.schedules.matching import Offset, Scope

pytestmark = pytest.mark.feature("T12")

PREVIOUS, SAME = Offset.PREVIOUS, Offset.SAME


def schedule(cycle: str, zone: str = "UTC", **fields: Any) -> Schedule:
    usual: dict[str, dict[str, Any]] = {
        "day": {"at": "03:00"},
        "hour": {"every": 6},
        "week": {"weekdays": [1, 4], "at": "02:00"},
        "month": {"days": [2, "last"], "at": "05:00"},
    }
    return Schedule.from_mapping({"cycle": cycle, **usual[cycle], **fields}, zone)


DAY, HOUR, WEEK = schedule("day"), schedule("hour"), schedule("week")


def found(schedules: dict[int, Schedule], *links: Link) -> list[int] | None:
    return blocking_cycle(links, lambda ids: {task: schedules[task] for task in ids})


def test_without_a_cycle_no_schedule_is_asked_for() -> None:
    def never(ids: set[int]) -> dict[int, Schedule]:
        raise AssertionError(ids)

    links = [Link(number, number + 1) for number in range(3000)]
    assert blocking_cycle(links, never) is None
    assert blocking_cycle([], never) is None


def test_only_the_tasks_on_a_cycle_are_asked_for() -> None:
    asked: list[set[int]] = []

    def load(ids: set[int]) -> dict[int, Schedule]:
        asked.append(ids)
        return dict.fromkeys(ids, DAY)

    links = [Link(1, 2), Link(2, 3), Link(3, 2, PREVIOUS), Link(3, 4)]
    assert blocking_cycle(links, load) is None
    assert asked == [{2, 3}]


def test_a_cycle_of_same_cycle_dependencies_blocks() -> None:
    links = [Link(1, 2), Link(2, 3), Link(3, 1), Link(3, 4)]
    assert found(dict.fromkeys(range(1, 5), DAY), *links) == [1, 2, 3, 1]


@pytest.mark.parametrize(
    ("first", "second", "back", "blocks"),
    [
        pytest.param(DAY, DAY, Link(2, 1, PREVIOUS), False, id="day waits for yesterday's"),
        pytest.param(DAY, HOUR, Link(2, 1, PREVIOUS), False, id="day for yesterday's hours"),
        pytest.param(HOUR, DAY, Link(2, 1, PREVIOUS), True, id="hour before is of the same day"),
        pytest.param(HOUR, DAY, Link(2, 1, scope=Scope.PREVIOUS_DAY), False, id="day before"),
        pytest.param(HOUR, HOUR, Link(2, 1, PREVIOUS), False, id="one schedule: step by step"),
        pytest.param(
            HOUR, schedule("hour", every=4), Link(2, 1, PREVIOUS), True, id="two hourly schedules"
        ),
        pytest.param(HOUR, HOUR, Link(2, 1, PREVIOUS, Scope.LATEST), False, id="the last before"),
        pytest.param(HOUR, HOUR, Link(2, 1, PREVIOUS, Scope.WHOLE_PERIOD), True, id="out of step"),
        pytest.param(WEEK, DAY, Link(2, 1, PREVIOUS, Scope.WHOLE_PERIOD), True, id="looks ahead"),
        pytest.param(DAY, DAY, Link(2, 1, PREVIOUS, Scope.WHOLE_PERIOD), False, id="its own day"),
        pytest.param(
            DAY, schedule("day", "Asia/Tokyo"), Link(2, 1, PREVIOUS), True, id="two zones"
        ),
    ],
)
def test_a_round_through_the_past(
    first: Schedule, second: Schedule, back: Link, blocks: bool
) -> None:
    cycle = found({1: first, 2: second}, Link(1, 2), back)
    assert (cycle is not None) == blocks


def test_one_task_without_a_schedule_makes_a_round_uncertain() -> None:
    links = [Link(1, 2), Link(2, 1, PREVIOUS)]
    assert blocking_cycle(links, lambda ids: {1: DAY}) is not None


zones = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo"])
schedules = st.builds(schedule, st.sampled_from(["day", "hour", "week", "month"]), zones) | st.just(
    HOUR
)
links = st.builds(
    Link,
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(Offset),
    st.sampled_from(Scope),
).filter(lambda link: link.upstream != link.downstream)


@given(
    st.lists(schedules, min_size=4, max_size=4),
    st.lists(links, min_size=2, max_size=7),
    st.sets(st.integers(0, 3)),
)
def test_what_is_accepted_never_blocks_an_instance(
    chosen: list[Schedule], some: list[Link], self_dependent: set[int]
) -> None:
    if blocking_cycle(some, lambda ids: {task: chosen[task] for task in ids}) is not None:
        return
    # Around the end of summer time in Berlin, and over the end of a month.
    start = datetime(2030, 10, 20, tzinfo=UTC)
    fires = {
        task: fires_between(one, start, start + timedelta(days=20))
        for task, one in enumerate(chosen)
    }
    edges = [
        ((link.upstream, before), (link.downstream, fire))
        for link in some
        for fire in fires[link.downstream]
        for before in upstream_fires(
            chosen[link.downstream],
            chosen[link.upstream],
            fire,
            offset=link.offset,
            scope=link.scope,
            upstream_self_dependent=link.upstream in self_dependent,
        )
    ]
    edges += [
        ((task, before), (task, fire))
        for task in self_dependent
        for before, fire in pairwise(fires[task])
    ]
    numbers = {node: number for number, node in enumerate({one for edge in edges for one in edge})}
    numbered = [(numbers[before], numbers[after]) for before, after in edges]
    assert Graph.from_edges(range(len(numbers)), numbered).find_cycle() is None
