"""Starts at the same moment: dispatchers, workers, and operators who come between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

import pytest

from instances.engine.dispatch import dispatch
from instances.models import Execution, Instance
from instances.states import LIVE, State
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from instances.verbs.terminate import terminate
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_resource_group, make_submitted_task, make_submitted_tasks
from tests.instances.races.acting import claim, claim_instance, create, finish, live_execution
from tests.support.engine import (
    DAY,
    Engine,
    live_executions,
    make_batch,
    new_instance,
    state_of,
    states_of,
    terminate_batch,
)
from tests.support.racing import ROUNDS, Racers, set_up_ahead
from workflows.models import Task

GROUP = {"resource_group": "wide"}

Wrong = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def wide(live_engine: Engine) -> ResourceGroup:
    return make_resource_group("wide", slots=100_000)


def only_once(sent: list[int]) -> bool:
    instances = Execution.objects.filter(pk__in=sent).values_list("instance_id", flat=True)
    return len(sent) == len(set(sent)) and set(Counter(instances).values()) <= {1}


def all_sent(engine: Engine, task: Task, days: range) -> Iterable[tuple[Instance, int]]:
    """Set up rounds with a sent instance each."""
    (instances,) = engine.make_days(days, [task])
    return zip(instances, live_executions(instances), strict=True)


@pytest.mark.feature("T13")
@pytest.mark.parametrize("dispatchers", [2, 4])
def test_dispatchers_at_once_never_exceed_slots_or_task_limits(
    live_engine: Engine, racers: Racers, wrong: Wrong, dispatchers: int
) -> None:
    groups = [make_resource_group(f"narrow_{number}", slots=0) for number in range(2)]
    tasks = make_submitted_tasks(
        {"limited": {**GROUP, "max_parallel": 3}, "free": GROUP, "single": {"max_parallel": 1}}
    )
    # Enough that all of them compete in every round.
    rows = [
        new_instance(task, day=day, resource_group_id=groups[day % 2].pk, not_before=DAY)
        for task, a_round in zip(tasks.values(), (3, 8, 1), strict=True)
        for day in range(a_round * ROUNDS)
    ]
    live_engine.make(*rows)
    ids = [group.pk for group in groups]
    for _ in range(ROUNDS):
        ResourceGroup.objects.filter(pk__in=ids).update(slots=4)
        racers.race(*[lambda: dispatch(ids, now=clock.now())] * dispatchers)
        assert wrong() == []
        ResourceGroup.objects.filter(pk__in=ids).update(slots=0)
        live = Instance.objects.filter(executions__state__in=LIVE)
        assert len(live) == 8
        live_engine.run_all(live)
    assert only_once(live_engine.sent)


@pytest.mark.feature("T13")
def test_a_limit_that_comes_free_in_one_group_wakes_who_becomes_ready_in_another(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    elsewhere = make_resource_group("elsewhere", slots=1).pk
    tasks = make_submitted_tasks({"limited": {**GROUP, "max_parallel": 2}, "upstream": GROUP})
    limited, upstream = tasks.values()
    for day in range(ROUNDS):
        *sent, there = live_engine.make(
            new_instance(limited, day=2 * day, not_before=DAY),
            new_instance(limited, day=2 * day + 1, not_before=DAY),
            new_instance(upstream, day=day, not_before=DAY),
            new_instance(
                limited,
                day=day - ROUNDS,
                resource_group_id=elsewhere,
                not_before=DAY,
                waits_for=[(upstream, day)],
            ),
        )
        racers.race(*[partial(finish, execution) for execution in live_engine.start_all(sent)])
        assert wrong() == []
        live_engine.run(there)


def test_ends_at_once_give_each_free_slot_to_one(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    make_resource_group("four", slots=4)
    task = make_submitted_task(resource_group="four")
    live_engine.make_days(range(4 * ROUNDS), [task])
    while live := Instance.objects.filter(executions__state__in=LIVE):
        racers.race(*[partial(finish, execution) for execution in live_engine.start_all(live)])
        assert wrong() == []
    assert only_once(live_engine.sent)
    assert set(states_of(Instance.objects.all())) == {State.SUCCESS}


def test_workers_that_hear_of_the_same_execution_start_it_once(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    task = make_submitted_task(**GROUP)
    for instance, execution in set_up_ahead(partial(all_sent, live_engine, task)):
        claims = [partial(claim, execution, f"worker-{number}") for number in range(4)]
        assert sorted(racers.race(*claims)) == [[], [], [], [execution]]
        instance.refresh_from_db()
        assert (instance.state, instance.total_runs) == (State.RUNNING, 1)
    assert wrong() == []


@pytest.mark.feature("I4")
def test_terminate_against_the_start_is_final(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    task = make_submitted_task(**GROUP)
    seen: set[object] = set()
    for instance, execution in set_up_ahead(partial(all_sent, live_engine, task), seen):
        claimed, stopped = racers.race(
            partial(claim, execution), partial(terminate, actor=None, ids=[instance.pk])
        )
        assert [outcome.ok for outcome in stopped.outcomes] == [True]
        expected = State.TERMINATING if claimed else State.FAILED
        assert state_of(instance) == expected
        assert claim(execution) == []
        seen.add(expected)
        assert wrong() == []
    assert len(seen) == 2, "one side won every round: this was no race"


@pytest.mark.feature("I5")
def test_a_downstream_starts_before_its_upstreams_rerun_or_after_its_success(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": GROUP, "b": {**GROUP, "depends_on": ["a"]}})
    upstream, downstream = tasks.values()

    def set_up(days: range) -> Iterable[tuple[Instance, Instance]]:
        a, b = live_engine.make_days(days, [upstream], [downstream, upstream])
        live_engine.run_all(a)
        return zip(a, b, strict=True)

    seen: set[object] = set()
    for a, b in set_up_ahead(set_up, seen):
        claimed, _ = racers.race(partial(claim_instance, b), partial(rerun, actor=None, ids=[a.pk]))
        assert state_of(b) == (State.RUNNING if claimed else State.WAITING_UPSTREAM)
        seen.add(bool(claimed))
        assert wrong() == []
    assert len(seen) == 2, "one side won every round: this was no race"


@pytest.mark.feature("I5")
def test_a_downstream_does_not_become_ready_beside_the_rerun_of_its_other_upstream(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": GROUP, "b": GROUP, "c": {**GROUP, "depends_on": ["a", "b"]}})
    upstream, other, downstream = tasks.values()

    def set_up(days: range) -> Iterable[tuple[Instance, Instance, Instance, int]]:
        rows = [upstream], [other], [downstream, upstream, other]
        a, b, c = live_engine.make_days(days, *rows)
        live_engine.run_all(a)
        return zip(a, b, c, live_engine.start_all(b), strict=True)

    for a, b, c, execution in set_up_ahead(set_up):
        racers.race(partial(rerun, actor=None, ids=[a.pk]), partial(finish, execution))
        assert states_of([a, b, c]) == [
            State.WAITING_EXECUTION,
            State.SUCCESS,
            State.WAITING_UPSTREAM,
        ]
        assert wrong() == []


def test_a_downstream_that_is_made_beside_the_rerun_of_its_upstream_does_not_start(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": GROUP, "b": {**GROUP, "depends_on": ["a"]}})
    upstream, downstream = tasks.values()

    def set_up(days: range) -> Iterable[tuple[int, Instance]]:
        (instances,) = live_engine.make_days(days, [upstream])
        live_engine.run_all(instances)
        return zip(days, instances, strict=True)

    for day, a in set_up_ahead(set_up):
        row = new_instance(downstream, day=day, waits_for=[(upstream, day)], not_before=DAY)
        (pk,), _ = racers.race(partial(create, row), partial(rerun, actor=None, ids=[a.pk]))
        b = Instance.objects.get(pk=pk)
        assert claim_instance(b) == []
        assert state_of(b) == State.WAITING_UPSTREAM
        assert wrong() == []
        live_engine.run(a)
        assert state_of(b) == State.WAITING_EXECUTION
        assert wrong() == []


@pytest.mark.feature("B23")
def test_nothing_of_a_batch_starts_once_it_is_stopped(
    live_engine: Engine, racers: Racers, wrong: Wrong, wide: ResourceGroup
) -> None:
    tasks = make_submitted_tasks({"a": GROUP, "b": {**GROUP, "depends_on": ["a"]}})
    for number in range(ROUNDS):
        batch = make_batch(tasks["a"], f"plan {number}")
        rows = [new_instance(tasks["a"], day=day, batch=batch) for day in range(3)]
        b = new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)])
        *sent, downstream = live_engine.make(*rows, b, batch=batch)
        execution = live_engine.start(sent[0])
        assert execution is not None
        racers.race(
            partial(terminate_batch, batch_id=batch.pk),
            partial(claim_instance, sent[1]),
            partial(finish, execution),
            partial(dispatch, [wide.pk], now=clock.now()),
        )
        assert [claim_instance(instance) for instance in (*sent, downstream)] == [[]] * 4
        assert wrong() == []
        for instance in sent:
            if state_of(instance) == State.TERMINATING:
                stopping = live_execution(instance)
                assert stopping is not None
                finish(stopping)
        ended = {State.SUCCESS, State.FAILED}
        assert set(states_of([*sent, downstream])) <= ended
        assert wrong() == []


@pytest.mark.feature("I6")
def test_what_is_marked_success_while_it_starts_is_one_at_once_or_after_its_end(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": GROUP, "b": {**GROUP, "depends_on": ["a"]}})
    upstream, downstream = tasks.values()

    def set_up(days: range) -> Iterable[tuple[Instance, Instance, int]]:
        a, b = live_engine.make_days(days, [upstream], [downstream, upstream])
        return zip(a, b, live_executions(a), strict=True)

    seen: set[object] = set()
    for a, b, execution in set_up_ahead(set_up, seen):
        claimed, marked = racers.race(
            partial(claim, execution), partial(mark_success, actor=None, ids=[a.pk])
        )
        assert [outcome.ok for outcome in marked.outcomes] == [True]
        expected = (
            [State.TERMINATING, State.WAITING_UPSTREAM]
            if claimed
            else [State.SUCCESS, State.WAITING_EXECUTION]
        )
        assert states_of([a, b]) == expected
        assert wrong() == []
        # The end is told by the worker and by rescue at once: one of them counts.
        told = racers.race(*[partial(finish, execution, "WORKER_LOST")] * 2)
        assert sorted(told) == ([[], [execution]] if claimed else [[], []])
        assert states_of([a, b]) == [State.SUCCESS, State.WAITING_EXECUTION]
        seen.add(bool(claimed))
        assert wrong() == []
    assert len(seen) == 2, "one side won every round: this was no race"
