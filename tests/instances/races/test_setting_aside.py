"""Pausing, freezing and removing dependencies, at the moment when work starts or ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from instances.engine.batches import hold_all_paused
from instances.engine.dispatch import dispatch
from instances.models import Edge, Instance
from instances.states import State
from instances.verbs.freezing import freeze, unfreeze
from instances.verbs.remove_dependencies import remove_dependencies
from instances.verbs.rerun import rerun
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_resource_group, make_submitted_tasks
from tests.instances.races.acting import claim, claim_instance, finish, live_execution
from tests.support.engine import (
    Engine,
    make_batch,
    new_instance,
    pause_batch,
    resume_batch,
    state_of,
    states_of,
)
from tests.support.racing import ROUNDS, Racers, rounds, set_up_ahead
from workflows.models import Task

GROUP = {"resource_group": "wide"}
NOT_A_RACE = "one side won every round: this was no race"

Wrong = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def wide(live_engine: Engine) -> ResourceGroup:
    return make_resource_group("wide", slots=100_000)


Pair = tuple[Instance, Instance]
Pairs = Callable[..., Iterator[Pair]]


@pytest.fixture
def tasks() -> dict[str, Task]:
    return make_submitted_tasks({"a": GROUP, "b": {**GROUP, "depends_on": ["a"]}})


@pytest.fixture
def pairs(live_engine: Engine, tasks: dict[str, Task]) -> Pairs:
    """A function that yields a pair for each round, given the ends seen: b waits for a."""

    def set_up(days: range) -> Iterable[Pair]:
        a, b = live_engine.make_days(days, [tasks["a"]], [tasks["b"], tasks["a"]])
        return zip(a, b, strict=True)

    return partial(set_up_ahead, set_up)


@pytest.mark.feature("B25")
def test_nothing_of_a_batch_is_sent_or_starts_once_it_is_paused(
    live_engine: Engine, racers: Racers, wrong: Wrong, wide: ResourceGroup, tasks: dict[str, Task]
) -> None:
    """Of three instances one ends, one starts and one gets its slot while the batch is paused."""
    seen: set[object] = set()
    for number in rounds(seen):
        batch = make_batch(tasks["a"], f"plan {number}")
        rows = [new_instance(tasks["a"], day=day, batch=batch) for day in range(2)]
        below = new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)])
        ending, starting, downstream = live_engine.make(*rows, below, batch=batch)
        ResourceGroup.objects.filter(pk=wide.pk).update(slots=0)
        (late,) = live_engine.make(new_instance(tasks["a"], day=2, batch=batch), batch=batch)
        ResourceGroup.objects.filter(pk=wide.pk).update(slots=100_000)
        execution, sent = live_engine.start(ending), live_execution(starting)
        assert execution is not None and sent is not None
        _, claimed, _, _ = racers.race(
            partial(pause_batch, batch_id=batch.pk),
            partial(claim, sent),
            partial(finish, execution),
            partial(dispatch, [wide.pk], now=clock.now()),
        )
        # A dispatcher that had looked before the pause may have sent one after it.
        hold_all_paused()
        assert [claim_instance(one) for one in (starting, downstream, late)] == [[]] * 3
        assert wrong() == []
        assert state_of(ending) == State.SUCCESS
        assert state_of(starting) == (State.RUNNING if claimed else State.WAITING_UPSTREAM)
        seen.add(bool(claimed))
        racers.race(
            partial(resume_batch, batch_id=batch.pk), partial(dispatch, [wide.pk], now=clock.now())
        )
        assert wrong() == []
        for one in (late, downstream) if claimed else (starting, late, downstream):
            live_engine.run(one)
    assert len(seen) == 2, NOT_A_RACE


@pytest.mark.feature("B25")
def test_pausing_and_resuming_at_once_ends_as_one_of_the_two(
    live_engine: Engine, racers: Racers, wrong: Wrong, tasks: dict[str, Task]
) -> None:
    for number in range(ROUNDS):
        batch = make_batch(tasks["a"], f"plan {number}")
        a, b = live_engine.make(
            new_instance(tasks["a"], batch=batch),
            new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)]),
            batch=batch,
        )
        execution = live_engine.start(a)
        assert execution is not None
        racers.race(
            partial(pause_batch, batch_id=batch.pk),
            partial(finish, execution),
            partial(resume_batch, batch_id=batch.pk),
        )
        hold_all_paused()
        batch.refresh_from_db()
        if batch.paused_at is not None:
            assert claim_instance(b) == []
            resume_batch(batch_id=batch.pk)
        assert wrong() == []
        live_engine.run(b)


@pytest.mark.feature("I8")
def test_a_downstream_starts_before_its_upstream_is_frozen_or_not_at_all(
    live_engine: Engine, racers: Racers, wrong: Wrong, pairs: Pairs
) -> None:
    seen: set[object] = set()
    for a, b in pairs(seen):
        live_engine.run(a)
        claimed, _ = racers.race(
            partial(claim_instance, b), partial(freeze, actor=None, ids=[a.pk])
        )
        assert state_of(b) == (State.RUNNING if claimed else State.WAITING_UPSTREAM)
        seen.add(bool(claimed))
        assert wrong() == []
        unfreeze(actor=None, ids=[a.pk])
        assert state_of(a) == State.SUCCESS
        if not claimed:
            live_engine.run(b)
        assert wrong() == []
    assert len(seen) == 2, NOT_A_RACE


@pytest.mark.feature("I8")
def test_an_instance_is_frozen_before_its_upstream_succeeds_or_goes_on(
    live_engine: Engine, racers: Racers, wrong: Wrong, pairs: Pairs
) -> None:
    seen: set[object] = set()
    for a, b in pairs(seen):
        execution = live_engine.start(a)
        assert execution is not None
        _, frozen = racers.race(partial(finish, execution), partial(freeze, actor=None, ids=[b.pk]))
        (outcome,) = frozen.outcomes
        assert state_of(b) == (State.FROZEN if outcome.ok else State.WAITING_EXECUTION)
        seen.add(outcome.ok)
        assert wrong() == []
        if outcome.ok:
            unfreeze(actor=None, ids=[b.pk])
        live_engine.run(b)
    assert len(seen) == 2, NOT_A_RACE


@pytest.mark.feature("I8")
def test_an_instance_is_unfrozen_once_and_sees_what_happens_at_that_moment(
    live_engine: Engine, racers: Racers, wrong: Wrong, pairs: Pairs
) -> None:
    for a, b in pairs():
        freeze(actor=None, ids=[b.pk])
        execution = live_engine.start(a)
        assert execution is not None
        *unfrozen, _ = racers.race(
            *[partial(unfreeze, actor=None, ids=[b.pk])] * 2, partial(finish, execution)
        )
        assert sorted(one.ok for result in unfrozen for one in result.outcomes) == [False, True]
        assert wrong() == []
        live_engine.run(b)


@pytest.mark.feature("I7")
def test_a_removed_dependency_lets_go_whatever_its_upstream_does_at_that_moment(
    live_engine: Engine, racers: Racers, wrong: Wrong, pairs: Pairs, tasks: dict[str, Task]
) -> None:
    for day, (a, b) in enumerate(pairs()):
        if day % 2:
            live_engine.run(a)
        do = partial(rerun, actor=None, ids=[a.pk])
        if not day % 2:
            execution = live_engine.start(a)
            assert execution is not None
            do = partial(finish, execution, "EXIT_NONZERO")
        removed, _ = racers.race(partial(remove_dependencies, actor=None, ids=[b.pk]), do)
        assert [outcome.ok for outcome in removed.outcomes] == [True]
        assert Edge.objects.get(instance=b).removed_at is not None
        assert state_of(b) == State.WAITING_EXECUTION
        assert wrong() == []
        live_engine.run(b)
    assert set(states_of(Instance.objects.filter(task=tasks["b"]))) == {State.SUCCESS}
