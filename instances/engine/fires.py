"""What generation makes of tasks that are due: their fires, and the slots these wait for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from django.db import connection

from instances.engine.creation import NewEdge, NewInstance, Slot
from instances.ground.owing import is_owed
from instances.states import Kind
from projects.models import Project
from workflows.choices import CatchUp
from workflows.definitions.definition import TaskDefinition
from workflows.definitions.version_loading import read_definitions
from workflows.models import Dependency, Task
from workflows.schedules import (
    Cycle,
    data_date,
    data_time,
    fires_between,
    previous_fire,
)
from workflows.schedules.matching import Matcher, Offset, Scope, self_previous

# Bounds of a part: instances, and edges (one instance has its edges in one part).
INSTANCES_AT_ONCE = 2_500
EDGES_AT_ONCE = 25_000
_MICROSECOND = timedelta(microseconds=1)


class CannotGenerate(Exception):
    """Something that the instances of a task are made from cannot be read."""


@dataclass(slots=True)
class TaskPlan:
    """What is made of one task in a part: fires with the slots that they may wait for.

    until: the watermark after them. has_skipped: fires before them were passed over.
    """

    task: Task
    definition: TaskDefinition
    fires: dict[datetime, list[Slot]]
    until: datetime
    has_skipped: bool = False

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
            sort_key=0,
            retry_limit=self.definition.retries.limit,
            inline=virtual,
            dry=False,
            not_before=fire,
            edges=tuple(NewEdge(*slot, within_batch=False) for slot in waits_for),
        )


def plan_part(
    due: Sequence[Task], upstream: Upstreams, *, now: datetime
) -> tuple[list[TaskPlan], dict[int, str], bool]:
    """Return what to make now, {task that cannot be read: why}, and whether more is due.

    Each task gets the same share, so that who waits for whom is mostly made together.
    """
    share = max(INSTANCES_AT_ONCE // len(due), 1)
    room = EDGES_AT_ONCE
    plans: list[TaskPlan] = []
    errors: dict[int, str] = {}
    more = False
    for task in due:
        if room <= 0:
            more = True
            break
        try:
            plan = _plan_task(task, upstream, share=share, room=room, now=now)
        except Exception as error:  # noqa: BLE001  # one that is broken must not stop the others
            errors[task.pk] = str(error) or type(error).__name__
            continue
        plans.append(plan)
        room -= sum(map(len, plan.fires.values()))
        more |= plan.until < now
    return plans, errors, more


def _plan_task(
    task: Task, upstream: Upstreams, *, share: int, room: int, now: datetime
) -> TaskPlan:
    """Return at most `share` fires of the task, with about `room` edges at most; one at least."""
    assert task.generated_until is not None
    definition = upstream.definition_of(task)
    schedule = definition.schedule
    plan = TaskPlan(task, definition, {}, now)
    if definition.catch_up == CatchUp.LATEST:
        latest = previous_fire(schedule, now + _MICROSECOND)
        fires = [] if latest is None or latest <= task.generated_until else [latest]
        before = previous_fire(schedule, fires[0]) if fires else None
        plan.has_skipped = before is not None and before > task.generated_until
    else:
        fires = fires_between(schedule, task.generated_until, now, limit=share)
        if len(fires) == share:
            plan.until = fires[-1]
    for fire in fires:
        found = upstream.slots(plan, fire)
        if plan.fires and len(found) > room:
            plan.until = max(plan.fires)
            break
        plan.fires[fire] = found
        room -= len(found)
    return plan


@dataclass(slots=True)
class Upstreams:
    """The upstream slots of tasks' fires, and whether a slot that is not there will come."""

    tasks: dict[int, Task]
    definitions: dict[int, TaskDefinition]  # by task id
    errors: dict[int, Exception]  # by id of a task whose definition cannot be read
    links: dict[int, list[Dependency]]  # by downstream task id
    kept_since: dict[int, datetime]  # by project id: what ended before may have been deleted
    matchers: dict[tuple[int, int, Offset, Scope], Matcher] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Sequence[Task], *, now: datetime) -> Upstreams:
        links: dict[int, list[Dependency]] = defaultdict(list)
        known = {task.pk: task for task in tasks}
        dependencies = Dependency.objects.filter(downstream__in=tasks)
        for link in dependencies.select_related("upstream").defer("upstream__draft"):
            links[link.downstream_id].append(link)
            known.setdefault(link.upstream_id, link.upstream)
        loaded, faults = read_definitions(
            task.version_id for task in known.values() if task.version_id is not None
        )
        definitions = {
            task.pk: loaded[task.version_id] for task in known.values() if task.version_id in loaded
        }
        errors = {
            task.pk: faults[task.version_id] for task in known.values() if task.version_id in faults
        }
        projects = Project.objects.filter(pk__in={task.project_id for task in known.values()})
        kept = projects.values_list("pk", "periodic_retention_days")
        kept_since = {pk: now - timedelta(days=days) for pk, days in kept}
        return cls(known, definitions, errors, links, kept_since)

    def definition_of(self, task: Task) -> TaskDefinition:
        """Return what the task is; raise CannotGenerate when that cannot be read."""
        if task.pk in self.errors:
            raise CannotGenerate(f"Its definition cannot be read: {self.errors[task.pk]}")
        return self.definitions[task.pk]

    def slots(self, plan: TaskPlan, fire: datetime) -> list[Slot]:
        """Return the slots of other tasks that the instance of this fire waits for."""
        found: list[Slot] = []
        for link in self.links[plan.task.pk]:
            matcher = self._matcher(link, plan)
            if matcher is not None:
                found += [(link.upstream_id, at) for at in matcher.match(fire)]
        return list(dict.fromkeys(found))

    def chain(self, plans: Iterable[TaskPlan], existing: set[Slot]) -> None:
        """Let the fires of self-dependent tasks wait for those before them as well.

        Where the one before by the schedule is neither there nor owed (the schedule is new, the
        task comes back from OFFLINE, or passed it over), the task's last instance before takes its
        place: each builds on the one before, whatever happened between. `existing` is added to.
        """
        chained = [plan for plan in plans if plan.definition.self_dependent and plan.fires]
        first = {plan.task.pk: min(plan.fires) for plan in chained}
        by_schedule: dict[int, datetime | None] = {
            plan.task.pk: self_previous(plan.definition.schedule, first[plan.task.pk])
            for plan in chained
        }
        there = existing_slots((pk, at) for pk, at in by_schedule.items() if at is not None)
        existing |= there
        broken = {}
        for plan in chained:
            pk, fires = plan.task.pk, sorted(plan.fires)
            for before, fire in pairwise(fires):
                plan.fires[fire].append((pk, before))
            at = by_schedule[pk]
            passed_over = plan.has_skipped  # then the one before is, in this very part
            if at is not None and (
                (pk, at) in there or (not passed_over and self.will_come((pk, at)))
            ):
                plan.fires[fires[0]].append((pk, at))
            else:
                broken[pk] = fires[0]
        fires_of = {plan.task.pk: plan.fires for plan in chained}
        for pk, at in _last_before(broken.items()):
            existing.add((pk, at))
            fires_of[pk][first[pk]].append((pk, at))

    def _matcher(self, link: Dependency, plan: TaskPlan) -> Matcher | None:
        if link.upstream_id in self.errors:
            raise CannotGenerate(
                f"The definition of {link.upstream.name}, which it waits for, cannot be read:"
                f" {self.errors[link.upstream_id]}"
            )
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
            scheduling_until=task.scheduling_until,
            generated_until=task.generated_until,
            latest_only=self.definitions[task_id].catch_up == CatchUp.LATEST,
            kept_since=self.kept_since[task.project_id],
        )


def existing_slots(slots: Iterable[Slot], *, periodic_only: bool = False) -> set[Slot]:
    """Return those of the slots that a periodic instance, or else a plan's success, fills."""
    listed = list(slots)
    if not listed:
        return set()
    task_ids, times = zip(*listed, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            # Slot by slot, by its index: PostgreSQL is not to choose by old statistics, as they are
            # while an outage is caught up with.
            "SELECT s.task_id, s.scheduled_at"
            " FROM unnest(%s::bigint[], %s::timestamptz[]) AS s (task_id, scheduled_at)"
            " CROSS JOIN LATERAL (SELECT FROM instances_instance i"
            " WHERE i.task_id = s.task_id AND i.scheduled_at = s.scheduled_at"
            " AND (i.batch_id IS NULL OR (i.state = 'SUCCESS' AND NOT %s)) LIMIT 1) found",
            [list(task_ids), list(times), periodic_only],
        )
        return set(cursor.fetchall())


def _last_before(slots: Iterable[Slot]) -> list[Slot]:
    """Return the slot of each task's last periodic instance before the time given for it."""
    listed = list(slots)
    if not listed:
        return []
    task_ids, times = zip(*listed, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.task_id, last.scheduled_at"
            " FROM unnest(%s::bigint[], %s::timestamptz[]) AS s (task_id, before)"
            " CROSS JOIN LATERAL (SELECT i.scheduled_at FROM instances_instance i"
            " WHERE i.task_id = s.task_id AND i.batch_id IS NULL AND i.scheduled_at < s.before"
            " ORDER BY i.scheduled_at DESC LIMIT 1) last",
            [list(task_ids), list(times)],
        )
        return list(cursor.fetchall())
