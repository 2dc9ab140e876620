"""Generation: periodic instances of the tasks that are due (T11, T12).

A task's row is its lock and holds its watermark, so generation is idempotent and goes on where it
stopped: after an outage every missed fire is made, or only the latest, as the task says. The work
depends on what is due, not on how many tasks there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q

from instances.creation import NewEdge, NewInstance, Slot, create_instances, with_removals
from instances.engine import set_going
from instances.models import Edge
from instances.owing import is_owed
from instances.states import Kind
from projects import clock
from projects.bulk import repeat_on_deadlock
from projects.models import Project
from workflows.choices import CatchUp, TaskStatus
from workflows.definition import TaskDefinition
from workflows.matching import Matcher, Offset, Scope, self_previous
from workflows.models import Dependency, Task
from workflows.schedules import Cycle, data_date, data_time, fires_between, next_fire
from workflows.version_loading import load_definitions

# Tasks locked at a time, and fires made of one task at a time: bound a transaction's size.
TASKS_AT_ONCE = 500
FIRES_AT_ONCE = 1_000
# Any number that no other advisory lock of Tidemill uses.
_GENERATION_LOCK = 7_021_002


def generate(*, now: datetime) -> int:
    """Make every instance that is due by `now`; return how many were made.

    Safe to run at any time, anywhere, any number at once: one works, the others wait. Tasks that
    somebody else holds, as a submission does, are left to the next run.
    """
    made = 0
    while True:
        ids, more = _generate_some(now=now)
        set_going(ids)
        made += len(ids)
        if not more:
            return made


@repeat_on_deadlock
@transaction.atomic
def _generate_some(*, now: datetime) -> tuple[list[int], bool]:
    """Make the instances of the next due tasks; return their ids and whether to go on."""
    # One generator at a time: two would not see each other's instances and watermarks, and make
    # edges that nobody points, or to fires that the other has just passed over.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_GENERATION_LOCK])
    due = list(
        Task.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
        .filter(status=TaskStatus.SCHEDULING, next_fire_at__lte=now)
        .order_by("next_fire_at")[:TASKS_AT_ONCE]
    )
    if not due:
        return [], False
    plans = _plan(due, now=now)
    upstream = _Upstreams.of(due, now=now)
    wanted = [(plan, fire) for plan in plans for fire in plan.fires]
    slots = {(plan.task.pk, fire): upstream.slots(plan, fire) for plan, fire in wanted}
    existing = _existing({slot for found in slots.values() for slot in found})
    made_before = _existing(slots, periodic_only=True)
    rows = [
        plan.new_instance(
            fire,
            [
                slot
                for slot in slots[plan.task.pk, fire]
                if slot in existing or upstream.will_come(slot)
            ],
        )
        for plan, fire in wanted
        if (plan.task.pk, fire) not in made_before
    ]
    ids = create_instances(with_removals(rows), now=clock.now(), batch_id=None)
    for plan in plans:
        plan.task.generated_until = plan.until
        plan.task.next_fire_at = next_fire(plan.definition.schedule, plan.until)
    Task.objects.bulk_update(due, ["generated_until", "next_fire_at"])
    _release_skipped(plans)
    return ids, len(due) == TASKS_AT_ONCE or any(plan.until < now for plan in plans)


@dataclass(slots=True)
class _Plan:
    """What is due of one task: its fires, those passed over, and the watermark after them."""

    task: Task
    definition: TaskDefinition
    fires: Sequence[datetime]
    skipped: Sequence[datetime]
    until: datetime

    def new_instance(self, fire: datetime, waits_for: Iterable[Slot]) -> NewInstance:
        schedule = self.definition.schedule
        one_time = schedule.cycle is Cycle.ONE_TIME
        virtual = self.definition.task_type.virtual
        assert self.task.version_id is not None and self.task.resource_group_id is not None
        day = data_date(fire, schedule.zone)
        return NewInstance(
            project_id=self.task.project_id,
            task_id=self.task.pk,
            version_id=self.task.version_id,
            resource_group_id=self.task.resource_group_id,
            kind=Kind.ONE_TIME if one_time else Kind.PERIODIC,
            scheduled_at=fire,
            data_date=day,
            local_time=data_time(fire, schedule.zone).time(),
            priority=self.task.priority,
            sort_key=day.toordinal(),
            retry_limit=self.definition.retries.limit,
            inline=virtual,
            dry=False,
            not_before=fire,
            edges=tuple(NewEdge(*slot, within_batch=False) for slot in waits_for),
        )


def _plan(due: Sequence[Task], *, now: datetime) -> list[_Plan]:
    definitions = load_definitions(task.version_id for task in due if task.version_id is not None)
    plans = []
    for task in due:
        assert task.version_id is not None and task.generated_until is not None
        definition = definitions[task.version_id]
        latest_only = definition.catch_up == CatchUp.LATEST
        limit = None if latest_only else FIRES_AT_ONCE
        fires = fires_between(definition.schedule, task.generated_until, now, limit=limit)
        until = fires[-1] if len(fires) == limit else now
        skipped = fires[:-1] if latest_only else []
        plans.append(_Plan(task, definition, fires[len(skipped) :], skipped, until))
    return plans


@dataclass(slots=True)
class _Upstreams:
    """The upstream slots of tasks' fires, and whether a slot that is not there will come."""

    tasks: dict[int, Task]
    definitions: dict[int, TaskDefinition]  # by task id
    links: dict[int, list[Dependency]]  # by downstream task id
    kept_since: dict[int, datetime]  # by project id: what ended before may have been deleted
    matchers: dict[tuple[int, int, Offset, Scope], Matcher] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Sequence[Task], *, now: datetime) -> _Upstreams:
        links: dict[int, list[Dependency]] = defaultdict(list)
        known = {task.pk: task for task in tasks}
        for link in Dependency.objects.filter(downstream__in=tasks).select_related("upstream"):
            links[link.downstream_id].append(link)
            known.setdefault(link.upstream_id, link.upstream)
        loaded = load_definitions(
            task.version_id for task in known.values() if task.version_id is not None
        )
        definitions = {
            task.pk: loaded[task.version_id]
            for task in known.values()
            if task.version_id is not None
        }
        projects = Project.objects.filter(pk__in={task.project_id for task in known.values()})
        kept = projects.values_list("pk", "periodic_retention_days")
        kept_since = {pk: now - timedelta(days=days) for pk, days in kept}
        return cls(known, definitions, links, kept_since)

    def slots(self, plan: _Plan, fire: datetime) -> list[Slot]:
        """Return the slots that the instance of this fire waits for."""
        found: list[Slot] = []
        for link in self.links[plan.task.pk]:
            matcher = self._matcher(link, plan)
            if matcher is not None:
                found += [(link.upstream_id, at) for at in matcher.match(fire)]
        if plan.definition.self_dependent:
            previous = self_previous(plan.definition.schedule, fire)
            if previous is not None:
                found.append((plan.task.pk, previous))
        return list(dict.fromkeys(found))

    def _matcher(self, link: Dependency, plan: _Plan) -> Matcher | None:
        upstream = self.definitions.get(link.upstream_id)
        if upstream is None:  # deleted from operations: it owes nobody anything
            return None
        key = (link.upstream_id, link.downstream_id, Offset(link.offset), Scope(link.scope))
        if key not in self.matchers:
            self.matchers[key] = Matcher(
                plan.definition.schedule,
                upstream.schedule,
                offset=key[2],
                scope=key[3],
                upstream_self_dependent=upstream.self_dependent,
            )
        return self.matchers[key]

    def will_come(self, slot: Slot) -> bool:
        """True when a slot that does not exist is owed by its task, so that it is waited for."""
        task_id, at = slot
        task = self.tasks[task_id]
        return is_owed(
            at,
            scheduling_since=task.scheduling_since,
            generated_until=task.generated_until,
            latest_only=self.definitions[task_id].catch_up == CatchUp.LATEST,
            kept_since=self.kept_since[task.project_id],
        )


def _existing(slots: Iterable[Slot], *, periodic_only: bool = False) -> set[Slot]:
    """Return those of the slots that a periodic instance, or else a plan's success, fills."""
    listed = list(slots)
    if not listed:
        return set()
    task_ids, times = zip(*listed, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT i.task_id, i.scheduled_at FROM instances_instance i"
            " JOIN unnest(%s::bigint[], %s::timestamptz[]) AS s (task_id, scheduled_at)"
            " USING (task_id, scheduled_at)"
            " WHERE i.batch_id IS NULL OR (i.state = 'SUCCESS' AND NOT %s)",
            [list(task_ids), list(times), periodic_only],
        )
        return set(cursor.fetchall())


def _release_skipped(plans: Sequence[_Plan]) -> None:
    """Remove edges to fires that catch-up "latest" has just passed over: they will not come."""
    skipped = Q()
    for plan in plans:
        if plan.skipped:
            skipped |= Q(
                upstream_task=plan.task,
                upstream_scheduled_at__gte=plan.skipped[0],
                upstream_scheduled_at__lte=plan.skipped[-1],
            )
    if skipped:
        edges = Edge.objects.filter(
            skipped, upstream__isnull=True, within_batch=False, removed_at__isnull=True
        )
        waiting = list(edges.values_list("instance_id", flat=True))
        edges.update(removed_at=clock.now())
        transaction.on_commit(lambda: set_going(waiting))
