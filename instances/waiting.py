"""Why an instance waits (I12): what holds it back, in the words of who has to do something."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Count

from instances.models import BatchDay, Edge, Execution, Instance
from instances.states import LIVE, State
from projects.access import Actor, scope
from workflows.choices import TaskStatus

# Blockers listed one by one; the rest is counted.
MOST_BLOCKERS = 50


class Reason(StrEnum):
    """What kind of thing holds an instance back."""

    TIME = "time"  # its planned time, or its next try, has not come
    DAY = "day"  # its day has not opened: an earlier one of its plan is not done
    STOPPED = "stopped"  # its plan was terminated
    PAUSED = "paused"  # its plan is paused
    UPSTREAM = "upstream"  # an upstream instance has not succeeded
    MISSING = "missing"  # an upstream slot has no instance
    SLOT = "slot"  # its resource group has no free slot
    TASK_LIMIT = "task_limit"  # its task runs as often at a time as it may
    WORKER = "worker"  # it was sent, and no worker has started it yet
    FROZEN = "frozen"  # an operator froze it


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing that holds an instance back. `instance_id` names the upstream, where there is one.

    task_id and scheduled_at name the slot waited for; `state` is the upstream instance's.
    """

    reason: Reason
    text: str
    instance_id: int | None = None
    task_id: int | None = None
    project_id: int | None = None
    scheduled_at: datetime | None = None
    state: str = ""


def why_waiting(instance: Instance, *, actor: Actor, now: datetime) -> list[Blocker]:
    """Return what holds the instance back; empty when nothing does. At most eight queries.

    Upstream instances of projects that the actor does not see are named by id alone (P2).
    """
    match State(instance.state):
        case State.FROZEN:
            return [Blocker(Reason.FROZEN, "An operator has frozen it; unfreeze it to go on.")]
        case State.NOT_RUN | State.RETRYING if instance.not_before > now:
            time = Blocker(Reason.TIME, _time_text(instance), scheduled_at=instance.not_before)
            return [time, *_day(instance)]
        case State.WAITING_EXECUTION:
            return _paused(instance) or _waiting_for_a_slot(instance)
        case State.RETRYING:
            return _paused(instance)
        case State.NOT_RUN | State.WAITING_UPSTREAM | State.WAITING_EVENT:
            held = _stopped(instance) or _paused(instance)
            return held + _day(instance) + _waiting_for_upstream(instance, actor)
    return []


def _time_text(instance: Instance) -> str:
    at = f"{instance.not_before:%Y-%m-%d %H:%M:%S} UTC"
    if instance.state == State.RETRYING:
        return f"Failed, and is tried again at {at}."
    return f"Its time has not come: it is due at {at}."


def _stopped(instance: Instance) -> list[Blocker]:
    batch = instance.batch
    if batch is None or batch.stopped_at is None or instance.waiting_since > batch.stopped_at:
        return []
    return [Blocker(Reason.STOPPED, f"The plan {batch.name} was terminated.")]


def _paused(instance: Instance) -> list[Blocker]:
    batch = instance.batch
    if batch is None or batch.paused_at is None:
        return []
    return [Blocker(Reason.PAUSED, f"The plan {batch.name} is paused; resume it to go on.")]


def _day(instance: Instance) -> list[Blocker]:
    """What holds the instance's day back: the one that goes on in its lane."""
    day = instance.day
    if day is None or day.opened_at is not None:
        return []
    lane = BatchDay.objects.filter(batch=day.batch_id, lane=day.lane)
    present = lane.filter(opened_at__isnull=False).order_by("position").last()
    assert present is not None  # the first of a lane is open from the start
    others = Instance.objects.filter(day=present).exclude(state=State.SUCCESS).order_by()
    left = Counter(dict(others.values_list("state").annotate(Count("id"))))
    between = day.position - present.position - 1
    if left:
        failed = f", {left[State.FAILED]:,} failed" if left[State.FAILED] else ""
        why = f"{left.total():,} of its instances are not success{failed}"
    elif present.made_at is None:
        why = "its instances are still being made"
    else:
        why = "the next day opens within seconds"
    then = f"; {between:,} more days come between" if between else ""
    text = f"Its day has not opened. Its group is at what is planned on {present.day}: {why}{then}."
    return [Blocker(Reason.DAY, text)]


def _waiting_for_upstream(instance: Instance, actor: Actor) -> list[Blocker]:
    blocking = (
        Edge.objects.filter(instance=instance, removed_at__isnull=True)
        .exclude(upstream__state=State.SUCCESS)
        .select_related("upstream", "upstream_task__project")
        .order_by("upstream_scheduled_at", "id")
    )
    listed = list(blocking[: MOST_BLOCKERS + 1])
    tasks = {edge.upstream_task_id for edge in listed}
    seen = set(
        scope(type(instance.task).objects.filter(pk__in=tasks), actor).values_list("pk", flat=True)
    )
    blockers = [_blocker(edge, edge.upstream_task_id in seen) for edge in listed[:MOST_BLOCKERS]]
    if len(listed) > MOST_BLOCKERS:
        rest = blocking.count() - MOST_BLOCKERS
        blockers.append(Blocker(Reason.UPSTREAM, f"… and {rest:,} more upstream instances."))
    return blockers


def _blocker(edge: Edge, seen: bool) -> Blocker:
    task, upstream = edge.upstream_task, edge.upstream
    at = f"{edge.upstream_scheduled_at:%Y-%m-%d %H:%M} UTC"
    if not seen:
        return Blocker(
            Reason.UPSTREAM,
            f"It waits for task {task.pk} of a project that you are not a member of.",
            task_id=task.pk,
        )
    if upstream is None:
        reason = Reason.MISSING
        text = f"{task.name} has no instance planned at {at}; {_what_becomes_of(edge)}."
    else:
        reason = Reason.UPSTREAM
        text = f"{task.name} planned at {at} is {State(upstream.state).label.lower()}."
    return Blocker(
        reason,
        text,
        instance_id=edge.upstream_id,
        task_id=task.pk,
        project_id=task.project_id,
        scheduled_at=edge.upstream_scheduled_at,
        state=upstream.state if upstream else "",
    )


def _what_becomes_of(edge: Edge) -> str:
    """Say whether the instance that is missing will come, or what to do when it will not."""
    task = edge.upstream_task
    if edge.within_batch:
        return (
            "its plan has not made it yet, or it was deleted when it expired: then remove the "
            "dependency"
        )
    passed = task.generated_until is not None and edge.upstream_scheduled_at <= task.generated_until
    status = TaskStatus(task.status)
    if status != TaskStatus.SCHEDULING:
        why = f"the task is {status.label.lower()}"
    elif passed:
        why = "it was left out while the task was paused, or deleted when it expired"
    else:
        return "it will be made when it is due"
    return f"{why}: backfill that time, or remove the dependency"


def _waiting_for_a_slot(instance: Instance) -> list[Blocker]:
    group = instance.resource_group
    if instance.dispatched_at is not None:
        text = f"It was sent to the workers of {group.name}; none has started it yet."
        return [Blocker(Reason.WORKER, text)]
    blockers = []
    live = Execution.objects.filter(state__in=LIVE)
    used = live.filter(resource_group=group).count()
    if used >= group.slots:
        text = f"All {group.slots} slots of the resource group {group.name} are in use."
        blockers.append(Blocker(Reason.SLOT, text))
    limit = instance.task.max_parallel
    if limit is not None and live.filter(instance__task=instance.task).count() >= limit:
        text = f"Its task runs {limit} at a time at most, and as many are running."
        blockers.append(Blocker(Reason.TASK_LIMIT, text))
    if not blockers:
        blockers.append(Blocker(Reason.SLOT, "It gets a slot within seconds."))
    return blockers
