"""The engine against the reference model again, on workflows of mixed cycles (design §6, T12).

Here tasks, dependencies, generation and plans are the product's own: what they make, and what it
waits for, is compared with the plainest reading of the table, which looks at every fire there is.
Tasks change meanwhile: their schedules and dependencies, offline and back, paused and started. A
plan is expanded in the moment in which it is submitted, so nothing changes under it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from functools import cache
from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from instances.engine.generation import generate
from instances.models import Edge, Instance
from instances.states import State
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_tasks, make_workflow
from tests.factories.definitions import mapping
from tests.factories.plans import make_expanded_plan, make_spec
from tests.instances.model.reference import RETRY_AFTER, Cell, Kind, Slot, Wait, World
from tests.instances.model.test_model import ACTS, FIRST, PROFILE, Life, seeds
from tests.support.engine import Engine
from workflows.models import Task
from workflows.verbs.submit import submit_tasks
from workflows.verbs.task_status import pause, start, take_offline

ORIGIN = datetime.fromisoformat("2026-05-01T00:00:00+00:00")
HOUR = timedelta(hours=1)
# A plan's planned days, each plan's own: a slot has one plan at most.
PLANS = ((date(2026, 5, 26), date(2026, 5, 28)), (date(2026, 5, 29), date(2026, 5, 31)))

# By cycle: a schedule, and when it fires, as (days of the month or None, hours of the day).
_Times = tuple[frozenset[int] | None, tuple[int, ...]]
CYCLES: dict[str, tuple[dict[str, object], _Times]] = {
    "sixes": ({"cycle": "hour", "every": 6}, (None, (0, 6, 12, 18))),
    "odd_sixes": (
        {"cycle": "hour", "every": 6, "from": "01:00", "until": "23:59"},
        (None, (1, 7, 13, 19)),
    ),
    "eights": ({"cycle": "hour", "every": 8}, (None, (0, 8, 16))),
    "early": ({"cycle": "day", "at": "01:00"}, (None, (1,))),
    "late": ({"cycle": "day", "at": "21:00"}, (None, (21,))),
    "monthly": (
        {"cycle": "month", "days": [2, 27, 30], "at": "03:00"},
        (frozenset({2, 27, 30}), (3,)),
    ),
}
SUB_DAY = {"sixes", "odd_sixes", "eights"}

# What happens to tasks, as often as it stands here, beside what happens to instances.
CHANGES = (*["resubmit"] * 3, *["go_offline"] * 2, "pause_a_task", *["start_a_task"] * 2)


@cache
def fires_of(cycle: str) -> tuple[int, ...]:
    """All fires of three months, in hours since ORIGIN."""
    days, hours = CYCLES[cycle][1]
    found = []
    for number in range(92):
        day = ORIGIN + timedelta(days=number)
        if days is None or day.day in days:
            found += [number * 24 + hour for hour in hours]
    return tuple(found)


def of_day(cycle: str, fire: int) -> list[int]:
    """The fires of the cycle on the day of a fire."""
    return [one for one in fires_of(cycle) if one // 24 == fire // 24]


def upstream_fires(downstream: str, upstream: str, fire: int, *, is_chain: bool) -> list[int]:
    """The table of design §6, read as it stands. is_chain: the upstream is self-dependent."""
    that_day = of_day(upstream, fire)
    if is_chain and upstream in SUB_DAY and downstream not in SUB_DAY:
        return [one for one in that_day if one <= fire][-1:] or that_day[:1]
    if not {downstream, upstream} <= SUB_DAY:
        return that_day  # in every row with a day or more in it
    mine = of_day(downstream, fire)
    if len(mine) == len(that_day):
        return [that_day[mine.index(fire)]]
    before = max(one for one in fires_of(downstream) if one < fire)
    between = [one for one in fires_of(upstream) if before < one <= fire]
    return between or [one for one in that_day if one <= fire][-1:] or that_day[:1]


class Cycles(Life):
    """A life whose instances are generated and expanded. A slot is (task, hours since ORIGIN)."""

    def begin_with(self, chance: Random) -> None:
        cycles = [chance.choice(list(CYCLES)) for _ in range(chance.randint(3, 5))]
        names = [f"{cycle}_{number}" for number, cycle in enumerate(cycles)]
        self.cycle_of = dict(zip(names, cycles, strict=True))
        self.kinds = {
            name: Kind(
                name,
                chance.choice(["small", "large"]),
                priority=chance.choice([1, 5, 8]),
                retries=chance.choice([0, 0, 1]),
                inline=chance.random() < 0.2,
            )
            for name in names
        }
        self.upstreams = {
            name: chance.sample(names[:number], chance.randint(0, min(number, 2)))
            for number, name in enumerate(names)
        }
        self.chains = {name for name in names if chance.random() < 0.3}
        limits: dict[str, int | None] = {name: chance.choice([None, None, 1, 2]) for name in names}
        self.limits = limits
        tasks = make_submitted_tasks(
            {name: self._definition(name) for name in names}, workflow=make_workflow()
        )
        self.task_ids = {task.pk: name for name, task in tasks.items()}
        self.world = World(slots={}, limits=limits)
        self._set_slots("small", chance.randint(1, 4))
        self._set_slots("large", chance.randint(2, 8))
        # In hours; one that ends in a half lies just before the next fire.
        begin = (FIRST - ORIGIN) // HOUR
        self.since: dict[str, float] = dict.fromkeys(names, begin)
        self.generated: dict[str, float] = dict.fromkeys(names, begin)
        self.offline: dict[str, int] = {}  # since when
        self.paused: set[str] = set()
        self.marks: dict[str, float] = {}  # after which a task may owe less than it did
        self._plan(chance)

    def _definition(self, name: str) -> dict[str, object]:
        kind = self.kinds[name]
        return {
            "type": "virtual" if kind.inline else "shell",
            "schedule": CYCLES[self.cycle_of[name]][0],
            "resource_group": kind.group,
            "priority": kind.priority,
            "retries": {"limit": kind.retries, "interval": int(RETRY_AFTER.total_seconds())},
            "depends_on": self.upstreams[name],
            "self_dependent": name in self.chains,
            "max_parallel": self.limits[name],
        }

    @rule(what=st.sampled_from(ACTS + CHANGES), seed=seeds)
    def act(self, what: str, seed: int) -> None:
        getattr(self, what)(Random(seed))

    def make(self, chance: Random) -> None:
        """Let time pass and generate what is due by then; now and then submit a plan instead."""
        if len(self._batches) < len(PLANS) and chance.random() < 0.3:
            self._plan(chance)
            return
        self._time += chance.choice([HOUR, 5 * HOUR, 12 * HOUR, 30 * HOUR])
        self._generate(chance)

    def _generate(self, chance: Random) -> None:
        self.sweep(chance)  # clocks that came meanwhile are not generation's business
        now = clock.now()
        with self.engine.committing():
            generate(now=now)
        until = (now - ORIGIN) // HOUR
        slots: set[Slot] = set()
        for name in self.kinds.keys() - self.offline.keys() - self.paused:
            fires = fires_of(self.cycle_of[name])
            slots |= {(name, fire) for fire in fires if self.generated[name] < fire <= until}
            self.generated[name] = until
        waits = {
            slot: [
                Wait(one, False)
                for one in self._before(slot)
                if one in slots or self._owes(one) or self._is_there(one)
            ]
            for slot in slots
        }
        for slot in slots:
            waits[slot] += [Wait(one, False) for one in self._chain(slot, slots)]
        self._look_at_what_was_made(None, waits)
        self._release()

    def _chain(self, slot: Slot, new: set[Slot]) -> list[Slot]:
        """What a self-dependent task's slot builds on: the one before it, or the last there is."""
        name, fire = slot
        if name not in self.chains:
            return []
        before = (name, max(one for one in fires_of(self.cycle_of[name]) if one < fire))
        if before in new or self._is_there(before) or self._owes(before):
            return [before]
        made = {cell.slot for cell in self.world.cells.values() if cell.batch is None} | new
        return sorted(one for one in made if one[0] == name and one[1] < fire)[-1:]

    def _owes(self, slot: Slot) -> bool:
        name, fire = slot
        is_over = name in self.offline and fire > self.offline[name]
        return fire in fires_of(self.cycle_of[name]) and fire > self.since[name] and not is_over

    def _release(self) -> None:
        """Nobody waits for what was owed once and will not come; then all goes on that may."""
        for cell in self.world.cells.values():
            for wait in cell.waits:
                name, fire = wait.slot
                is_open = wait.upstream is None and not wait.within_batch
                if is_open and fire > self.marks.get(name, fire) and not self._owes(wait.slot):
                    wait.removed = True
        self.marks.clear()
        self.world.settle(self._time)

    def _mark(self, name: str, at: float) -> None:
        self.marks[name] = min(at, self.marks.get(name, at))

    def _now(self) -> int:
        return (self._time - ORIGIN) // HOUR

    def _one_of(self, chance: Random, names: Collection[str]) -> str | None:
        return chance.choice(sorted(names)) if names else None

    def _look_at_changes(self, chance: Random) -> None:
        """Mostly generation comes soon after a change; sometimes another change is first."""
        if chance.random() < 0.7:
            self._generate(chance)

    def resubmit(self, chance: Random) -> None:
        """Submit a task with another schedule, other dependencies, or as it was."""
        names = list(self.kinds)
        name = chance.choice(names)
        old = self.cycle_of[name]
        if chance.random() < 0.7:
            self.cycle_of[name] = chance.choice(list(CYCLES))
        if chance.random() < 0.3:
            above = names[: names.index(name)]
            self.upstreams[name] = chance.sample(above, chance.randint(0, min(len(above), 2)))
        if chance.random() < 0.2:
            self.chains ^= {name}
        task = Task.objects.get(pk=self._task_id(name))
        task.draft = mapping(**self._definition(name))
        task.save(update_fields=["draft"])
        with self.engine.committing():
            submit_tasks(actor=None, ids=[task.pk])
        if name in self.offline:
            del self.offline[name]
            self.since[name] = self.generated[name] = self._now()
        elif CYCLES[old] != CYCLES[self.cycle_of[name]]:
            due = [one for one in fires_of(old) if self.generated[name] < one <= self._now()]
            is_behind = due and name not in self.paused
            begin = due[0] - 0.5 if is_behind else self._now()
            self.since[name] = self.generated[name] = max(self.generated[name], begin)
            self._mark(name, self.since[name])
        self._look_at_changes(chance)

    def go_offline(self, chance: Random) -> None:
        """Take a task offline; only a submission brings it back."""
        name = self._one_of(chance, self.kinds.keys() - self.offline.keys())
        if name is not None:
            take_offline(actor=None, ids=[self._task_id(name)])
            self.paused.discard(name)
            self.offline[name] = self._now()
            self._mark(name, self._now())
            self._look_at_changes(chance)

    def pause_a_task(self, chance: Random) -> None:
        name = self._one_of(chance, self.kinds.keys() - self.offline.keys() - self.paused)
        if name is not None:
            pause(actor=None, ids=[self._task_id(name)])
            self.paused.add(name)

    def start_a_task(self, chance: Random) -> None:
        name = self._one_of(chance, self.paused)
        if name is not None:
            start(actor=None, ids=[self._task_id(name)])
            self.paused.discard(name)
            self.generated[name] = self._now()

    def _task_id(self, name: str) -> int:
        return next(pk for pk, other in self.task_ids.items() if other == name)

    def _plan(self, chance: Random) -> None:
        first, last = PLANS[len(self._batches)]
        there = sorted(self.kinds.keys() - self.offline.keys())
        if not there:
            return
        names = chance.sample(there, chance.randint(1, len(there)))
        ids = {name: pk for pk, name in self.task_ids.items()}
        check = chance.choice(["all", "selected"])
        spec = make_spec(
            [ids[name] for name in names],
            first - timedelta(days=1),
            last - timedelta(days=1),
            dependency_check=check,
        )
        with self.engine.committing():
            plan = make_expanded_plan(spec)
        assert plan.batch is not None
        self._batches.append(plan.batch)
        slots = {
            (name, fire)
            for name in names
            for fire in fires_of(self.cycle_of[name])
            if first <= (ORIGIN + fire * HOUR).date() <= last
        }
        # Outside the plan nothing is owed: it was due before the tasks were scheduled.
        self._look_at_what_was_made(
            plan.batch.pk,
            {
                slot: [
                    Wait(one, one in slots)
                    for one in self._before(slot) + self._before_in_chain(slot)
                    if one in slots or (check == "all" and self._is_there(one))
                ]
                for slot in slots
            },
        )

    def _before_in_chain(self, slot: Slot) -> list[Slot]:
        name, fire = slot
        before = [one for one in fires_of(self.cycle_of[name]) if one < fire]
        return [(name, before[-1])] if before and name in self.chains else []

    def _is_there(self, slot: Slot) -> bool:
        cells = (cell for cell in self.world.cells.values() if cell.slot == slot)
        return any(cell.batch is None or cell.state == State.SUCCESS for cell in cells)

    def make_whole(self, chance: Random) -> None:
        """These plans have no days."""

    def _before(self, slot: Slot) -> list[Slot]:
        """The slots that a slot waits for, by the table."""
        name, fire = slot
        return [
            (upstream, one)
            for upstream in self.upstreams[name]
            for one in upstream_fires(
                self.cycle_of[name],
                self.cycle_of[upstream],
                fire,
                is_chain=upstream in self.chains,
            )
        ]

    def _look_at_what_was_made(self, batch: int | None, waits: dict[Slot, list[Wait]]) -> None:
        rows = list(Instance.objects.exclude(pk__in=self.world.cells).order_by("pk"))
        found = {self._slot(row.task_id, row.scheduled_at): row for row in rows}
        assert found.keys() == waits.keys()
        assert {row.batch_id for row in rows} <= {batch}
        edges: dict[int, list[tuple[Slot, bool]]] = {row.pk: [] for row in rows}
        for edge in Edge.objects.filter(instance__in=rows):
            upstream = self._slot(edge.upstream_task_id, edge.upstream_scheduled_at)
            edges[edge.instance_id].append((upstream, edge.within_batch))
        for slot, row in found.items():
            expected = [(wait.slot, wait.within_batch) for wait in waits[slot]]
            assert sorted(edges[row.pk]) == sorted(expected), slot
        self.world.make(
            [
                Cell(
                    row.pk,
                    self.kinds[name],
                    fire,
                    batch,
                    row.not_before,
                    row.waiting_since,
                    waits[name, fire],
                )
                for (name, fire), row in sorted(found.items(), key=lambda item: item[1].pk)
            ],
            self._time,
        )

    def _slot(self, task_id: int, at: datetime) -> Slot:
        return self.task_ids[task_id], (at - ORIGIN) // HOUR

    def _edges_to(self, pk: int, slots: Collection[Slot]) -> list[int]:
        edges = Edge.objects.filter(instance=pk)
        return [
            edge.pk
            for edge in edges
            if self._slot(edge.upstream_task_id, edge.upstream_scheduled_at) in slots
        ]


@pytest.mark.feature("T12", "B6", "B8")
@pytest.mark.item("T12.3")
def test_workflows_of_mixed_cycles_live_as_the_model_does(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for group in ("small", "large"):
        make_resource_group(group)

    class OneLife(Cycles):
        pass

    OneLife.engine = engine
    OneLife.set_clock = staticmethod(lambda now: monkeypatch.setattr(clock, "now", now))
    run_state_machine_as_test(OneLife, settings=PROFILE)
