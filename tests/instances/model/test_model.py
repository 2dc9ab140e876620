"""The engine against the reference model: random graphs, random lives, the same states.

MODEL_EXAMPLES sets how many lives are lived, MODEL_STEPS how long each is at most. Without the
first the lives are the same each time: what fails then is due to the change at hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from instances.engine.creation import NewEdge, NewInstance
from instances.engine.rescue import rescue
from instances.engine.sweep import sweep
from instances.models import Batch, BatchDay, Edge, Execution, Instance
from instances.states import (
    FREEZABLE,
    LIVE,
    MARKABLE,
    RERUNNABLE,
    TERMINABLE,
    ExecutionState,
    State,
)
from instances.verbs.freezing import freeze, unfreeze
from instances.verbs.mark_success import mark_success
from instances.verbs.remove_dependencies import remove_dependencies
from instances.verbs.rerun import rerun
from instances.verbs.terminate import terminate
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_resource_group, make_submitted_tasks, make_workflow
from tests.instances.model.reference import RETRY_AFTER, Cell, Kind, Slot, Wait, World
from tests.support.engine import (
    DAY,
    Engine,
    make_batch,
    new_instance,
    pause_batch,
    resume_batch,
    terminate_batch,
)
from tests.support.invariants import violations
from workflows.models import Task

PROFILE = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "20")),
    stateful_step_count=int(os.environ.get("MODEL_STEPS", "30")),
    derandomize="MODEL_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    print_blob=True,
    # A failure is told at once; MODEL_SHRINK=1 looks for its shortest form, for minutes.
    phases=[p for p in Phase if p is not Phase.shrink or "MODEL_SHRINK" in os.environ],
    suppress_health_check=list(HealthCheck),
)

KINDS = (
    Kind("start", "small"),
    Kind("gate", "small", inline=True),
    Kind("urgent", "small", priority=8, retries=1),
    Kind("work", "small", priority=1, retries=2),
    Kind("other", "large", retries=1),
    Kind("end", "large", inline=True),
)
DAYS = 4
LANES = [[4, 5, 6], [7, 8]]  # days of the third plan, which runs day by day
FIRST = datetime.fromisoformat("2026-06-01T12:00:00+00:00")
LATER = timedelta(hours=6)

# What happens, as often as it stands here.
ACTS = (
    *["start"] * 6,
    *["finish"] * 8,
    *["rerun"] * 4,
    *["make"] * 3,
    *["sweep"] * 3,
    *["terminate"] * 2,
    *["mark_success"] * 2,
    *["wait"] * 2,
    *["freeze"] * 2,
    *["unfreeze"] * 3,
    *["make_whole"] * 2,
    "stop_batch",
    "pause_a_batch",
    *["resume_a_batch"] * 2,
    "remove_dependencies",
    "lose_workers",
    "tell_late",
    "change_slots",
)
seeds = st.integers(0, 2**32)
T = TypeVar("T")


class Life(RuleBasedStateMachine):
    """One life of a small world, in the engine and in the model."""

    engine: Engine
    tasks: dict[str, Task]
    set_clock: Callable[[Callable[[], datetime]], None]

    def __init__(self) -> None:
        super().__init__()
        self._transaction = transaction.atomic()
        self._transaction.__enter__()
        self._time = FIRST
        self.set_clock(self._tick)
        self.engine.sent.clear()
        self._batches: list[Batch] = []
        self._claimed: list[int] = []

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._transaction.__exit__(None, None, None)

    def _tick(self) -> datetime:
        """Time never stands still: two rounds never begin at the same instant."""
        self._time += timedelta(microseconds=1)
        return self._time

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        self.begin_with(Random(seed))

    def begin_with(self, chance: Random) -> None:
        limits = {kind.name: chance.choice([None, None, 1, 2]) for kind in KINDS}
        for name, limit in limits.items():
            Task.objects.filter(pk=self.tasks[name].pk).update(max_parallel=limit)
        self.world = World(slots={}, limits=limits)
        self._set_slots("small", chance.randint(1, 3))
        self._set_slots("large", chance.randint(1, 4))
        self._batches = [make_batch(self.tasks["start"], f"plan {n}") for n in range(2)]
        self._batches.append(make_batch(self.tasks["start"], "day by day", LANES))
        self.world.run_day_by_day(self._batches[2].pk, LANES)
        self.make(chance)

    # One rule that is told what to do: many rules would be chosen evenly, and little would run.
    @rule(what=st.sampled_from(ACTS), seed=seeds)
    def act(self, what: str, seed: int) -> None:
        getattr(self, what)(Random(seed))

    def _set_slots(self, group: str, slots: int) -> None:
        self.world.slots[group] = slots
        ResourceGroup.objects.filter(name=group).update(slots=slots)

    def change_slots(self, chance: Random) -> None:
        group = chance.choice(["small", "large"])
        live = sum(c.is_live and c.kind.group == group for c in self.world.cells.values())
        self._set_slots(group, max(chance.randint(0, 4), live))
        self.sweep(chance)

    def make(self, chance: Random) -> None:
        """Make instances on free slots; each waits for slots before it, there or not."""
        number = chance.choice([None, None, 0, 1, 2, 2])
        batch = None if number is None else self._batches[number]
        if batch is not None and batch.pk in self.world.stopped:
            return
        # The plans have days of their own, so that a slot has one plan at most.
        days = list(range(DAYS) if number is None else range(number * 2, number * 2 + 2))
        batch_id = batch.pk if batch else None
        if number == 2:
            days = self._days_left()
        within = batch is not None and chance.random() < 0.7
        taken = {c.slot for c in self.world.cells.values() if c.batch == batch_id}
        free = [(k.name, day) for day in days for k in KINDS if (k.name, day) not in taken]
        chosen: dict[Slot, list[Wait]] = {}
        new = chance.sample(free, min(len(free), chance.randint(2, 8)))
        for slot in new:
            before = _slots_before(slot)
            if chance.random() < 0.8:  # few edges lead nowhere
                before = [one for one in before if one in taken or one in new]
            slots = chance.sample(before, min(len(before), chance.choice([0, 1, 1, 2, 3])))
            chosen[slot] = [Wait(one, within) for one in slots]
        now = self._time
        not_before = now + LATER / 2 if chance.random() < 0.2 else now
        made = self.engine.make(
            *[self._row(slot, waits, batch, not_before) for slot, waits in chosen.items()],
            batch=batch,
        )
        by_name = {kind.name: kind for kind in KINDS}
        self.world.make(
            [
                Cell(one.pk, by_name[name], day, batch_id, not_before, one.waiting_since, waits)
                for one, ((name, day), waits) in zip(made, chosen.items(), strict=True)
            ],
            self._time,
        )

    def _row(
        self, slot: Slot, waits: list[Wait], batch: Batch | None, not_before: datetime
    ) -> NewInstance:
        edges = tuple(
            NewEdge(self.tasks[name].pk, DAY + timedelta(days=day), wait.within_batch)
            for wait in waits
            for name, day in [wait.slot]
        )
        name, day = slot
        return new_instance(
            self.tasks[name], day=day, batch=batch, not_before=not_before, edges=edges
        )

    def make_whole(self, chance: Random) -> None:
        """Say of a day that all of it was made."""
        for day in self._days_left()[:1]:
            self.engine.make_whole(self._batches[2], day)
            self.world.make_whole(self._batches[2].pk, day, self._time)

    def _days_left(self) -> list[int]:
        whole = {day for _, day in self.world.whole}
        return [day for lane in LANES for day in lane if day not in whole]

    def start(self, chance: Random) -> None:
        for pk in self._some(chance, self._in(State.WAITING_EXECUTION)):
            execution = self.engine.start(Instance.objects.get(pk=pk))
            assert self.world.start(pk) is (execution is not None)
            if execution is not None:
                self._claimed.append(execution)

    def finish(self, chance: Random) -> None:
        for pk in self._some(chance, self._in(State.RUNNING, State.TERMINATING)):
            failed = chance.random() < 0.4
            execution = Execution.objects.get(instance=pk, state__in=LIVE).pk
            assert self.engine.finish(execution, "EXIT_NONZERO" if failed else "") == [execution]
            self.world.finish(pk, failed=failed, now=self._time)

    def tell_late(self, chance: Random) -> None:
        """A result that was told before, or whose execution is not the live one any more."""
        ended = Execution.objects.exclude(state__in=LIVE).filter(pk__in=self._claimed)
        for pk in self._some(chance, list(ended.order_by("pk").values_list("pk", flat=True))):
            assert self.engine.finish(pk, chance.choice(["", "EXIT_NONZERO"])) == []

    def terminate(self, chance: Random) -> None:
        ids = self._pick(chance, TERMINABLE)
        if ids:
            with self.engine.committing():
                done = terminate(actor=None, ids=ids).succeeded
            assert {outcome.id for outcome in done} == self.world.terminate(ids, self._time)

    def rerun(self, chance: Random) -> None:
        ids = self._pick(chance, RERUNNABLE)
        if ids:
            with self.engine.committing():
                done = rerun(actor=None, ids=ids).succeeded
            assert {outcome.id for outcome in done} == self.world.rerun(ids, self._time)

    def mark_success(self, chance: Random) -> None:
        ids = self._pick(chance, MARKABLE)
        if ids:
            with self.engine.committing():
                done = mark_success(actor=None, ids=ids).succeeded
            assert {outcome.id for outcome in done} == self.world.mark_success(ids, self._time)

    def stop_batch(self, chance: Random) -> None:
        batch = chance.choice(self._batches)
        with self.engine.committing():
            stopped = terminate_batch(batch_id=batch.pk)
        assert stopped == self.world.stop_batch(batch.pk, self._time)

    def freeze(self, chance: Random) -> None:
        ids = self._pick(chance, FREEZABLE)
        if ids:
            with self.engine.committing():
                done = freeze(actor=None, ids=ids).succeeded
            assert {outcome.id for outcome in done} == self.world.freeze(ids, self._time)

    def unfreeze(self, chance: Random) -> None:
        ids = self._pick(chance, {State.FROZEN})
        if ids:
            with self.engine.committing():
                done = unfreeze(actor=None, ids=ids).succeeded
            assert {outcome.id for outcome in done} == self.world.unfreeze(ids, self._time)

    def pause_a_batch(self, chance: Random) -> None:
        batch = chance.choice(self._batches)
        with self.engine.committing():
            pause_batch(batch_id=batch.pk)
        self.world.pause(batch.pk, self._time)

    def resume_a_batch(self, chance: Random) -> None:
        batch = chance.choice(self._batches)
        with self.engine.committing():
            resume_batch(batch_id=batch.pk)
        self.world.resume(batch.pk, self._time)

    def remove_dependencies(self, chance: Random) -> None:
        """Of some instances all, or of one of them one."""
        waiting = self._in(*State) if chance.random() < 0.2 else self._in(State.WAITING_UPSTREAM)
        ids = self._some(chance, [pk for pk in waiting if self.world.cells[pk].waits])
        if not ids:
            return
        slots: set[Slot] | None = None
        edges: list[int] | None = None
        if chance.random() < 0.7:
            ids = ids[:1]
            slots = {chance.choice(self.world.cells[ids[0]].waits).slot}
            edges = self._edges_to(ids[0], slots)
        with self.engine.committing():
            done = remove_dependencies(actor=None, ids=ids, edges=edges).succeeded
        assert {outcome.id for outcome in done} == self.world.remove_waits(ids, slots, self._time)

    def _edges_to(self, pk: int, slots: Collection[Slot]) -> list[int]:
        return [
            Edge.objects.values_list("pk", flat=True).get(
                instance=pk,
                upstream_task=self.tasks[name],
                upstream_scheduled_at=DAY + timedelta(days=day),
            )
            for name, day in slots
        ]

    def lose_workers(self, chance: Random) -> None:
        self._time += timedelta(hours=1)
        self.sweep(chance)  # clocks that came meanwhile are not rescue's business
        with self.engine.committing():
            rescue(now=clock.now())
        self.world.lose_workers(self._time)
        self.sweep(chance)

    def wait(self, chance: Random) -> None:
        self._time += chance.choice([LATER, RETRY_AFTER / 2])
        self.sweep(chance)

    def sweep(self, chance: Random) -> None:
        with self.engine.committing():
            sweep(now=clock.now())
        self.world.sweep(self._time)

    @invariant()
    def the_engine_is_where_the_model_is(self) -> None:
        rows = Instance.objects.values_list("pk", "state", "retry_count", "lost_count", "marked")
        sent = Execution.objects.filter(state=ExecutionState.SENT)
        is_sent = set(sent.values_list("instance_id", flat=True))
        expected = {
            cell.id: (cell.state, cell.retries, cell.losses, cell.marked, cell.sent)
            for cell in self.world.cells.values()
        }
        found = {pk: (State(state), *counts, pk in is_sent) for pk, state, *counts in rows}
        assert found == expected
        opened = BatchDay.objects.filter(opened_at__isnull=False)
        first = DAY.date().toordinal()
        assert self.world.opened == {
            (batch_id, day.toordinal() - first)
            for batch_id, day in opened.values_list("batch_id", "day")
        }

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert violations(now=self._time) == []

    def _in(self, *states: State) -> list[int]:
        return [pk for pk, cell in self.world.cells.items() if cell.state in states]

    def _pick(self, chance: Random, allowed: Collection[State]) -> list[int]:
        """Choose instances, most of them in a state in which the operation is allowed."""
        return sorted(set(self._some(chance, self._in(*allowed) * 3 + list(self.world.cells))))

    @staticmethod
    def _some(chance: Random, candidates: Sequence[T]) -> list[T]:
        return chance.sample(candidates, min(len(candidates), chance.randint(1, 3)))


def _slots_before(slot: Slot) -> list[Slot]:
    names = [kind.name for kind in KINDS]
    name, day = slot
    earlier = [(one, before) for before in range(day) for one in names]
    return earlier + [(one, day) for one in names[: names.index(name)]]


@pytest.mark.feature("I4", "I5", "I6", "I7", "I8", "I14", "T13", "B10", "B23", "B25")
def test_the_engine_lives_as_the_model_does(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for group in ("small", "large"):
        make_resource_group(group)
    definitions = {
        kind.name: {
            "type": "virtual" if kind.inline else "shell",
            "resource_group": kind.group,
            "priority": kind.priority,
            "retries": {"limit": kind.retries, "interval": int(RETRY_AFTER.total_seconds())},
        }
        for kind in KINDS
    }
    tasks = make_submitted_tasks(definitions, workflow=make_workflow())

    class World(Life):
        pass

    World.engine, World.tasks = engine, tasks
    World.set_clock = staticmethod(lambda now: monkeypatch.setattr(clock, "now", now))
    run_state_machine_as_test(World, settings=PROFILE)
