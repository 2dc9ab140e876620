"""A chain of virtual tasks, or a day of very many instances, is no long transaction and holds up
neither the worker whose result set it going nor the slots that came free.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from django.conf import LazySettings

from instances.engine import days, readiness
from instances.engine.sweep import sweep
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task, make_submitted_tasks
from tests.support.engine import DAY, Engine, make_batch, new_instance, states_of
from tests.support.invariants import violations

CHAIN = 20


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that would have told the system queue to go on."""
    listed: list[str] = []
    monkeypatch.setattr("instances.engine.settling.nudge_sweep", lambda: listed.append("sweep"))
    return listed


def make_chain(engine: Engine, length: int = CHAIN) -> list[Instance]:
    """Make a shell instance and virtual ones, each waiting for the one before."""
    tasks = make_submitted_tasks({"first": {}, "next": {"type": "virtual"}})
    first, step = tasks["first"], tasks["next"]
    return engine.make(
        new_instance(first),
        *(
            new_instance(
                step, day=day, not_before=DAY, waits_for=[(step, day - 1) if day else (first, 0)]
            )
            for day in range(length)
        ),
    )


def done(instances: Iterable[Instance]) -> int:
    return states_of(list(instances)).count(State.SUCCESS)


def test_a_transaction_follows_a_chain_for_some_levels_only(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LEVELS_AT_ONCE", 4)
    chain = make_chain(live_engine)
    levels: list[int] = []
    advance = readiness.advance

    def counting(ids: Iterable[int], **named: object) -> readiness.Advanced:
        before = done(chain)
        advanced = advance(ids, **named)  # type: ignore[arg-type]
        levels.append(done(chain) - before)
        return advanced

    monkeypatch.setattr("instances.engine.settling.advance", counting)
    live_engine.run(chain[0])
    assert done(chain) == 1 + CHAIN
    assert max(levels) == 4
    assert violations() == []


def test_a_worker_leaves_a_long_chain_to_the_system_queue(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    nudged: list[str],
    settings: LazySettings,
) -> None:
    monkeypatch.setattr(readiness, "LEVELS_AT_ONCE", 4)
    settings.GO_ON_SECONDS = 0
    chain = make_chain(engine)
    engine.run(chain[0])
    # In the transaction of the result, and once after it.
    assert (done(chain), nudged) == (1 + 8, ["sweep"])
    while nudged:
        nudged.clear()
        before = done(chain)
        with engine.committing():
            sweep(now=clock.now())
        assert done(chain) > before
    assert done(chain) == 1 + CHAIN
    assert violations() == []


def test_a_chain_that_broke_off_is_found_by_the_sweep(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LEVELS_AT_ONCE", 4)
    chain = make_chain(engine)
    with monkeypatch.context() as killed:
        killed.setattr("instances.engine.settling._go_on", lambda *_: 0)
        engine.run(chain[0])
    assert done(chain) == 1 + 4
    with engine.committing():
        sweep(now=clock.now())
    assert done(chain) == 1 + CHAIN


def test_very_many_that_waited_for_one_result_go_on_in_steps(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LOOKED_AT_ONCE", 3)
    tasks = make_submitted_tasks({"first": {}, "below": {"type": "virtual"}})
    first, *below = engine.make(
        new_instance(tasks["first"]),
        *(
            new_instance(tasks["below"], day=day, not_before=DAY, waits_for=[(tasks["first"], 0)])
            for day in range(10)
        ),
    )
    engine.run(first)
    assert states_of(below) == [State.SUCCESS] * 10


def test_a_day_of_many_instances_fills_slots_before_all_of_it_goes_on(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    nudged: list[str],
    settings: LazySettings,
) -> None:
    monkeypatch.setattr("instances.engine.days.RELEASED_AT_ONCE", 2)
    settings.GO_ON_SECONDS = 0
    group = make_resource_group("few", slots=1)
    task = make_submitted_task(resource_group=group.name)
    batch = make_batch(task, lanes=[[0, 1]])
    rows = [new_instance(task, batch=batch, not_before=DAY)]
    others = [make_submitted_task(resource_group=group.name) for _ in range(9)]
    rows += [new_instance(other, day=1, batch=batch, not_before=DAY) for other in others]
    with engine.committing():
        first, *second = engine.make(*rows, batch=batch)
    days.mark_made({row.day_id for row in [first, *second] if row.day_id}, now=clock.now())
    engine.run(first)  # opens the day
    assert nudged.pop()
    with engine.committing():
        sweep(now=clock.now())
    # Some of the day went on, and one of them has the slot that came free.
    assert states_of(second).count(State.NOT_RUN) >= 5
    assert Execution.objects.filter(state=ExecutionState.SENT).count() == 1
    assert nudged
    for _ in range(5):
        with engine.committing():
            sweep(now=clock.now())
    assert states_of(second) == [State.WAITING_EXECUTION] * 9
    assert violations() == []
