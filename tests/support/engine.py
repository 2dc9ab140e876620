"""Driving the engine step by step: a worker that is a few method calls, no process, no broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from django.db import transaction

from instances import transitions
from instances.completion import Result, complete
from instances.creation import NewEdge, NewInstance, create_instances, with_removals
from instances.engine import set_going
from instances.models import Batch, Execution, Instance
from instances.states import LIVE, Kind, State
from projects import clock
from workflows.models import Task
from workflows.version_loading import load_definitions

DAY = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)

Committing = Callable[[], AbstractContextManager[object]]


def make_batch(task: Task, name: str = "plan") -> Batch:
    """Make a batch in the task's project."""
    return Batch.objects.create(project_id=task.project_id, name=name)


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
        "sort_key": day,
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
                ids = create_instances(
                    with_removals(rows), now=clock.now(), batch_id=batch.pk if batch else None
                )
            set_going(ids)
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
