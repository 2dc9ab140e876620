"""What the engine ought to do, in the plainest way: every rule looks at everything, no SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from instances.states import (
    FINISHED,
    FREEZABLE,
    MARKABLE,
    PENDING,
    RERUNNABLE,
    TERMINABLE,
    State,
)

MOST_LOSSES = 5
RETRY_AFTER = timedelta(minutes=10)

Slot = tuple[str, int]  # task, day


@dataclass(frozen=True, slots=True)
class Kind:
    """What a task is: one that is inline succeeds without running."""

    name: str
    group: str
    priority: int = 5
    retries: int = 0
    inline: bool = False


@dataclass(slots=True)
class Wait:
    """An edge: `upstream` is the id of the instance that it points at."""

    slot: Slot
    within_batch: bool
    upstream: int | None = None
    removed: bool = False


@dataclass(slots=True)
class Cell:
    """An instance."""

    id: int
    kind: Kind
    day: int
    batch: int | None
    not_before: datetime
    waiting_since: datetime
    waits: list[Wait]
    state: State = State.NOT_RUN
    sent: bool = False  # has an execution that no worker has started
    retries: int = 0
    losses: int = 0
    marked: bool = False  # TERMINATING, and then a success
    frozen_from: State | None = None

    @property
    def slot(self) -> Slot:
        return self.kind.name, self.day

    @property
    def is_live(self) -> bool:
        return self.sent or self.state in {State.RUNNING, State.TERMINATING}

    @property
    def order(self) -> tuple[int, int, int, int]:
        """By priority; then what is periodic; of plans each one's first, then each one's second."""
        place = 0 if self.batch is None else 1 + self.day
        return -self.kind.priority, place, self.day, self.id


@dataclass(slots=True)
class World:
    """All instances, and the limits on them. Each verb ends with `settle`."""

    slots: dict[str, int]
    limits: dict[str, int | None]  # by task
    cells: dict[int, Cell] = field(default_factory=dict)
    stopped: dict[int, datetime] = field(default_factory=dict)  # by batch
    paused: set[int] = field(default_factory=set)  # batches
    removed: set[tuple[Slot, Slot]] = field(default_factory=set)  # (waiting slot, upstream slot)
    lanes: dict[int, list[list[int]]] = field(default_factory=dict)  # by batch: its days
    whole: set[tuple[int, int]] = field(default_factory=set)  # (batch, day): all of it is made
    opened: set[tuple[int, int]] = field(default_factory=set)  # (batch, day)

    def make(self, made: Iterable[Cell], now: datetime) -> None:
        new = {cell.id: cell for cell in made}
        self.cells |= new
        for cell in self.cells.values():
            for wait in cell.waits:
                wait.removed = wait.removed or (
                    cell.id in new and (cell.slot, wait.slot) in self.removed
                )
                if wait.upstream is None:
                    wait.upstream = self._upstream(cell, wait, new)
        for cell in new.values():
            # Seen at once, also in a batch that is paused.
            waits = any(wait.upstream in new and not wait.removed for wait in cell.waits)
            if waits and cell.not_before <= now and not self._day_is_closed(cell):
                cell.state = State.WAITING_UPSTREAM
        self.settle(now)

    def _upstream(self, cell: Cell, wait: Wait, new: dict[int, Cell]) -> int | None:
        """A new edge looks at all there is, one from before only at what is new."""
        seen = self.cells if cell.id in new else new
        there = [other for other in seen.values() if other.slot == wait.slot]
        if wait.within_batch:
            return next((other.id for other in there if other.batch == cell.batch), None)
        periodic = [other.id for other in there if other.batch is None]
        filled = [other.id for other in there if other.state == State.SUCCESS]
        return next(iter(periodic + filled), None)

    def start(self, pk: int) -> bool:
        cell = self.cells[pk]
        if not cell.sent:
            return False
        cell.sent, cell.state = False, State.RUNNING
        return True

    def finish(self, pk: int, *, failed: bool, now: datetime) -> None:
        cell = self.cells[pk]
        if cell.state == State.TERMINATING:
            self._end_terminating(cell)
        elif not failed:
            cell.state = State.SUCCESS
        elif cell.retries < cell.kind.retries:
            cell.state, cell.not_before = State.RETRYING, now + RETRY_AFTER
            cell.retries += 1
        else:
            cell.state = State.FAILED
        self.settle(now)

    def lose_workers(self, now: datetime) -> None:
        for cell in self.cells.values():
            if cell.state == State.TERMINATING:
                self._end_terminating(cell)
            elif cell.state == State.RUNNING:
                kept = cell.losses < MOST_LOSSES
                cell.state = State.NOT_RUN if kept else State.FAILED
                cell.not_before = now if kept else cell.not_before
                cell.losses += 1
        self.settle(now)

    @staticmethod
    def _end_terminating(cell: Cell) -> None:
        cell.state = State.SUCCESS if cell.marked else State.FAILED
        cell.marked = False

    def terminate(self, ids: Iterable[int], now: datetime) -> set[int]:
        chosen = [self.cells[pk] for pk in ids if self.cells[pk].state in TERMINABLE]
        self._stop(chosen)
        self.settle(now)
        return {cell.id for cell in chosen}

    def stop_batch(self, batch: int, now: datetime) -> int:
        self.stopped[batch] = now
        self.paused.discard(batch)
        keep = FINISHED | {State.TERMINATING, State.FROZEN}
        chosen = [c for c in self.cells.values() if c.batch == batch and c.state not in keep]
        self._stop(chosen)
        self.settle(now)
        return len(chosen)

    def _stop(self, chosen: Iterable[Cell]) -> None:
        for cell in chosen:
            cell.state = State.TERMINATING if cell.state == State.RUNNING else State.FAILED
            cell.sent = False

    def mark_success(self, ids: Iterable[int], now: datetime) -> set[int]:
        chosen = [self.cells[pk] for pk in ids if self.cells[pk].state in MARKABLE]
        for cell in chosen:
            cell.marked = cell.state == State.RUNNING
            cell.state = State.TERMINATING if cell.marked else State.SUCCESS
            cell.sent = False
        self.settle(now)
        return {cell.id for cell in chosen}

    def rerun(self, ids: Iterable[int], now: datetime) -> set[int]:
        chosen = {pk for pk in ids if self.cells[pk].state in RERUNNABLE}
        for pk in chosen:
            cell = self.cells[pk]
            if cell.retries + cell.losses:
                cell.not_before = min(cell.not_before, now)
            cell.state, cell.sent, cell.waiting_since = State.NOT_RUN, False, now
            cell.retries = cell.losses = 0
        self._hold_back_below(chosen)
        self.settle(now)
        return chosen

    def _hold_back_below(self, chosen: set[int]) -> None:
        for cell in self.cells.values():
            below = any(wait.upstream in chosen and not wait.removed for wait in cell.waits)
            if below and cell.id not in chosen and cell.state == State.WAITING_EXECUTION:
                cell.state, cell.sent = State.WAITING_UPSTREAM, False

    def run_day_by_day(self, batch: int, lanes: list[list[int]]) -> None:
        self.lanes[batch] = lanes
        self.opened |= {(batch, lane[0]) for lane in lanes}

    def make_whole(self, batch: int, day: int, now: datetime) -> None:
        self.whole.add((batch, day))
        self.settle(now)

    def freeze(self, ids: Iterable[int], now: datetime) -> set[int]:
        chosen = [self.cells[pk] for pk in ids if self.cells[pk].state in FREEZABLE]
        successes = {cell.id for cell in chosen if cell.state == State.SUCCESS}
        for cell in chosen:
            cell.frozen_from, cell.state = cell.state, State.FROZEN
        self._hold_back_below(successes)
        self.settle(now)
        return {cell.id for cell in chosen}

    def unfreeze(self, ids: Iterable[int], now: datetime) -> set[int]:
        chosen = [self.cells[pk] for pk in ids if self.cells[pk].state == State.FROZEN]
        for cell in chosen:
            if cell.frozen_from in FINISHED:
                cell.state = cell.frozen_from
            else:
                cell.state, cell.waiting_since = State.NOT_RUN, now
            cell.frozen_from = None
        self.settle(now)
        return {cell.id for cell in chosen}

    def pause(self, batch: int, now: datetime) -> None:
        self.paused.add(batch)
        for cell in self.cells.values():
            if cell.batch == batch and cell.state == State.WAITING_EXECUTION:
                cell.state, cell.sent = State.WAITING_UPSTREAM, False
        self.settle(now)

    def resume(self, batch: int, now: datetime) -> None:
        self.paused.discard(batch)
        self.settle(now)

    def remove_waits(self, ids: Iterable[int], slots: set[Slot] | None, now: datetime) -> set[int]:
        """Of the cells, the waits for `slots`, or all; return the cells that lost one."""
        lost = set()
        for cell in (self.cells[pk] for pk in ids):
            for wait in cell.waits:
                if not wait.removed and (slots is None or wait.slot in slots):
                    wait.removed = True
                    self.removed.add((cell.slot, wait.slot))
                    lost.add(cell.id)
        self.settle(now)
        return lost

    def sweep(self, now: datetime) -> None:
        for cell in self.cells.values():
            if cell.state == State.RETRYING and cell.not_before <= now and self._goes_on(cell):
                cell.state = State.NOT_RUN
        self.settle(now)

    def settle(self, now: datetime) -> None:
        """Let everything go on that may, then give out the slots."""
        while self._advance(now) or self._open_days():
            pass
        for cell in sorted(self.cells.values(), key=lambda cell: cell.order):
            if cell.state == State.WAITING_EXECUTION and not cell.sent and self._has_room(cell):
                cell.sent = self._goes_on(cell)

    def _advance(self, now: datetime) -> bool:
        moved = False
        for cell in self.cells.values():
            for wait in cell.waits:
                if wait.upstream is None and not wait.within_batch:
                    wait.upstream = self._filled_by_a_plan(wait.slot)
        for cell in self.cells.values():
            if cell.state in PENDING and self._goes_on(cell):
                target = self._target(cell, now)
                moved |= target != cell.state
                cell.state = target
        return moved

    def _open_days(self) -> bool:
        """Open the days after those that are open, whole, and all SUCCESS."""
        before = len(self.opened)
        for batch, lanes in self.lanes.items():
            for day, following in (pair for lane in lanes for pair in pairwise(lane)):
                cells = [c for c in self.cells.values() if (c.batch, c.day) == (batch, day)]
                done = all(cell.state == State.SUCCESS for cell in cells)
                if done and (batch, day) in self.opened & self.whole:
                    self.opened.add((batch, following))
        return len(self.opened) > before

    def _day_is_closed(self, cell: Cell) -> bool:
        return cell.batch in self.lanes and (cell.batch, cell.day) not in self.opened

    def _filled_by_a_plan(self, slot: Slot) -> int | None:
        plans = [c for c in self.cells.values() if c.slot == slot and c.batch is not None]
        return next((cell.id for cell in plans if cell.state == State.SUCCESS), None)

    def _target(self, cell: Cell, now: datetime) -> State:
        if cell.not_before > now or self._day_is_closed(cell):
            return State.NOT_RUN
        for wait in cell.waits:
            upstream = self.cells.get(wait.upstream) if wait.upstream is not None else None
            done = upstream is not None and upstream.state == State.SUCCESS
            if not wait.removed and not done:
                return State.WAITING_UPSTREAM
        return State.SUCCESS if cell.kind.inline else State.WAITING_EXECUTION

    def _goes_on(self, cell: Cell) -> bool:
        if cell.batch in self.paused:
            return False
        stopped_at = self.stopped.get(cell.batch) if cell.batch is not None else None
        return stopped_at is None or cell.waiting_since > stopped_at

    def _has_room(self, cell: Cell) -> bool:
        live = [other for other in self.cells.values() if other.is_live]
        in_group = sum(other.kind.group == cell.kind.group for other in live)
        of_task = sum(other.kind.name == cell.kind.name for other in live)
        limit = self.limits[cell.kind.name]
        return in_group < self.slots[cell.kind.group] and (limit is None or of_task < limit)
