"""Driving the engine step by step: a worker that is a few method calls, no process, no broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from django.db import transaction

from instances import transitions
from instances.engine import batches, days
from instances.engine.completion import Result, complete
from instances.engine.creation import NewEdge, NewInstance, create_instances, with_removals
from instances.engine.settling import go_on_with_days, set_going
from instances.engine.stopping import end_marked, mark_stopped
from instances.models import Batch, BatchDay, Execution, Instance
from instances.states import LIVE, Kind, State
from projects.ground import clock
from workflows.definitions.version_loading import load_definitions
from workflows.models import Task

DAY = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)

Committing = Callable[[], AbstractContextManager[object]]


def make_batch(task: Task, name: str = "plan", lanes: Iterable[Iterable[int]] = ()) -> Batch:
    """Make a batch in the task's project; `lanes` of days after DAY when it runs day by day."""
    batch = Batch.objects.create(project_id=task.project_id, name=name)
    dated = [[(DAY + timedelta(days=number)).date() for number in lane] for lane in lanes]
    days.make_days(batch.pk, dated, now=clock.now())
    return batch


def pause_batch(*, batch_id: int) -> None:
    """Pause a batch as the verb on its plan does: when this returns nothing of it starts."""
    batches.mark_paused([batch_id])
    batches.hold_paused([batch_id])


def resume_batch(*, batch_id: int) -> None:
    """Let a paused batch go on as the verb on its plan does."""
    batches.mark_resumed([batch_id])
    batches.go_on([batch_id])


def day_of(batch: Batch, number: int) -> BatchDay:
    """Return a day of a batch, `number` days after DAY."""
    return BatchDay.objects.get(batch=batch, day=(DAY + timedelta(days=number)).date())


def in_days(rows: Iterable[NewInstance], batch: Batch | None) -> list[NewInstance]:
    """Return the rows with the days of the batch that they are planned on, as expansion does."""
    found = {day.day: day for day in BatchDay.objects.filter(batch=batch)} if batch else {}
    closed = days.closed_among(day.pk for day in found.values())
    return [
        row._replace(day_id=day.pk, awaits_day=day.pk in closed)
        if (day := found.get(row.scheduled_at.date()))
        else row
        for row in rows
    ]


def new_instance(
    task: Task,
    *,
    day: int = 0,
    waits_for: Iterable[tuple[Task, int]] = (),
    batch: Batch | None = None,
    not_before: datetime | None = None,
    dry: bool = False,
    **fields: object,
) -> NewInstance:
    """Describe an instance of `task` planned `day` days after DAY; waits for (task, day) slots."""
    assert task.version_id is not None and task.resource_group_id is not None
    definition = load_definitions([task.version_id])[task.version_id]
    scheduled_at = DAY + timedelta(days=day)
    values: dict[str, object] = {
        "project_id": task.project_id,
        "task_id": task.pk,
        "version_id": task.version_id,
        "resource_group_id": task.resource_group_id,
        "kind": Kind.PERIODIC if batch is None else Kind.BACKFILL,
        "scheduled_at": scheduled_at,
        "data_date": date(2025, 12, 31) + timedelta(days=day),
        "local_time": time(0, 0),
        "priority": task.priority,
        "sort_key": 0 if batch is None else 1 + day,
        "retry_limit": definition.retries.limit,
        "inline": dry or definition.task_type.virtual,
        "dry": dry,
        "not_before": not_before or scheduled_at,
        "edges": tuple(
            NewEdge(upstream.pk, DAY + timedelta(days=at), batch is not None)
            for upstream, at in waits_for
        ),
    }
    return NewInstance(**{**values, **fields})  # type: ignore[arg-type]


class Engine:
    """A small world around the engine's verbs. `sent` lists the executions workers were told of."""

    def __init__(self, committing: Committing, sent: list[int]) -> None:
        self.committing = committing
        self.sent = sent

    def make(self, *rows: NewInstance, batch: Batch | None = None) -> list[Instance]:
        """Make instances and set them going; return them in order."""
        with self.committing():
            with transaction.atomic():
                placed = in_days(with_removals(rows), batch)
                ids = create_instances(
                    placed, now=clock.now(), batch_id=batch.pk if batch else None
                )
            set_going(ids)
            go_on_with_days(row.day_id for row in placed if row.day_id is not None)
        found = Instance.objects.in_bulk(ids)
        return [found[pk] for pk in ids]

    def make_days(self, days: Iterable[int], *rows: Sequence[Task]) -> list[list[Instance]]:
        """Make instances of tasks for all days, due at once; return a list for each row.

        rows: a task each, and the upstream tasks whose slots of the same day it waits for.
        """
        listed = list(days)
        made = iter(
            self.make(
                *[
                    new_instance(
                        task,
                        day=day,
                        waits_for=[(above, day) for above in upstream],
                        not_before=DAY,
                    )
                    for task, *upstream in rows
                    for day in listed
                ]
            )
        )
        return [list(islice(made, len(listed))) for _ in rows]

    def make_whole(self, batch: Batch, *numbers: int) -> None:
        """Say that all instances of days of the batch were made; of all days without numbers."""
        chosen = BatchDay.objects.filter(batch=batch)
        if numbers:
            chosen = chosen.filter(day__in=[day_of(batch, number).day for number in numbers])
        ids = list(chosen.values_list("pk", flat=True))
        with self.committing():
            days.mark_made(ids, now=clock.now())
            go_on_with_days(ids)

    def start(self, instance: Instance, *, worker: str = "worker") -> int | None:
        """Claim the instance's execution as a worker would; return its id, or None."""
        execution = Execution.objects.filter(instance=instance, state__in=LIVE).first()
        if execution is None:
            return None
        now = clock.now()
        with self.committing(), transaction.atomic():
            claimed = transitions.claim_executions(
                [execution.resource_group.name],
                room=1,
                only=[execution.pk],
                worker=worker,
                lease_until=now + LEASE,
                now=now,
            )
        return execution.pk if claimed else None

    def start_all(self, instances: Sequence[Instance]) -> list[int]:
        """Claim the executions of instances that were sent; return their ids, in order."""
        ids = live_executions(instances)
        groups = set(Execution.objects.filter(pk__in=ids).values_list("resource_group__name"))
        now = clock.now()
        with self.committing(), transaction.atomic():
            claimed = transitions.claim_executions(
                [name for (name,) in groups],
                room=len(ids),
                only=ids,
                worker="worker",
                lease_until=now + LEASE,
                now=now,
            )
        assert claimed == sorted(ids)
        return ids

    def finish(self, execution_id: int, error_code: str = "") -> list[int]:
        """Report the end of an execution; return the ids that counted."""
        with self.committing():
            return complete([Result(execution_id, error_code)], now=clock.now())

    def run(self, instance: Instance, error_code: str = "") -> None:
        """Start the instance and end it."""
        execution_id = self.start(instance)
        assert execution_id is not None, f"{instance} is {state_of(instance)}"
        assert self.finish(execution_id, error_code) == [execution_id]

    def run_all(self, instances: Sequence[Instance]) -> None:
        """Start instances that were sent, and end them, together."""
        ids = self.start_all(instances)
        with self.committing():
            assert complete([Result(pk) for pk in ids], now=clock.now()) == sorted(ids)


def live_executions(instances: Sequence[Instance]) -> list[int]:
    """Return the live execution of each instance, in order."""
    live = Execution.objects.filter(instance__in=instances, state__in=LIVE)
    found = dict(live.values_list("instance_id", "pk"))
    return [found[instance.pk] for instance in instances]


def state_of(instance: Instance) -> State:
    """Return the instance's present state."""
    return State(Instance.objects.values_list("state", flat=True).get(pk=instance.pk))


def states_of(instances: Iterable[Instance]) -> list[State]:
    """Return the present states, in order."""
    ids = [instance.pk for instance in instances]
    found = dict(Instance.objects.filter(pk__in=ids).values_list("pk", "state"))
    return [State(found[pk]) for pk in ids]


def terminate_batch(*, batch_id: int) -> int:
    """Stop a batch as the verb on plans does; return the number of instances stopped."""
    mark_stopped([batch_id])
    return end_marked([batch_id], seconds=60)
