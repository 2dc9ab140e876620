"""What holds an instance back by its edges: an upstream slot that is not SUCCESS, or not there."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from instances.holds.hold import Asked, Blocker, Hold, Stage
from instances.models import Edge
from instances.states import FINISHED, State, listed
from projects.ground.showing import data_time_text
from projects.ground.words import thousands
from workflows.choices import TaskStatus
from workflows.definitions.definition import TaskDefinition
from workflows.definitions.version_loading import read_definitions
from workflows.schedules import Schedule, data_time, has_fire

# Blockers listed one by one; the rest is counted.
MOST_BLOCKERS = 50
# The reason where the slot has no instance.
MISSING = "missing"


def _upstream(asked: Asked) -> list[Blocker]:
    instance = asked.instance
    if instance.not_before > asked.now:
        return []  # what is not due yet has upstreams that are not either
    blocking = Edge.objects.filter(instance=instance, removed_at__isnull=True).exclude(
        upstream__state=State.SUCCESS
    )
    seen, closed = blocking, Edge.objects.none()
    if (projects := asked.sight.projects) is not None:
        seen = blocking.filter(upstream_task__project__in=projects)
        closed = blocking.exclude(upstream_task__project__in=projects)
    listed = list(
        seen.select_related("upstream", "upstream_task__project").order_by(
            "upstream_scheduled_at", "id"
        )[: MOST_BLOCKERS + 1]
    )
    missing = {edge.upstream_task.version_id for edge in listed if edge.upstream is None}
    definitions, _faults = read_definitions(pk for pk in missing if pk is not None)
    blockers = [_blocker(edge, definitions) for edge in listed[:MOST_BLOCKERS]]
    if len(listed) > MOST_BLOCKERS:
        rest = seen.count() - MOST_BLOCKERS
        text = ngettext(
            "… and {count} more upstream instance.", "… and {count} more upstream instances.", rest
        )
        blockers.append(Blocker(text.format(count=thousands(rest))))
    tasks = closed.order_by("upstream_task_id").values_list("upstream_task_id", flat=True)
    return blockers + [_closed(pk) for pk in tasks.distinct()[:MOST_BLOCKERS]]


def _closed(task_id: int) -> Blocker:
    text = _("It waits for task {id} of a project that you are not a member of.")
    return Blocker(text.format(id=task_id), task_id=task_id)


def _blocker(edge: Edge, definitions: Mapping[int, TaskDefinition]) -> Blocker:
    task, upstream = edge.upstream_task, edge.upstream
    if upstream is None:
        reason = MISSING
        definition = definitions.get(task.version_id) if task.version_id is not None else None
        then = _what_becomes_of(edge, definition.schedule if definition else None)
        zone = definition.schedule.zone if definition else ZoneInfo(task.project.time_zone)
        local = data_time(edge.upstream_scheduled_at, zone)
        slot = data_time_text(local.date(), local.time())
        text = _("{task} has no instance of data time {time}; {then}.").format(
            task=task.name, time=slot, then=then
        )
    else:
        reason = ""
        text = (
            _(
                "{task} of data time {time} is {state}, and a success as soon as its process has"
                " ended."
            )
            if upstream.marked
            else _("{task} of data time {time} is {state}.")
        ).format(
            task=task.name,
            time=data_time_text(upstream.data_date, upstream.local_time),
            state=State(upstream.state).label.lower(),
        )
    return Blocker(
        text,
        reason,
        instance_id=edge.upstream_id,
        task_id=task.pk,
        project_id=task.project_id,
        scheduled_at=edge.upstream_scheduled_at,
        state=upstream.state if upstream else "",
    )


def _what_becomes_of(edge: Edge, schedule: Schedule | None) -> str:
    """Say whether the instance that is missing will come, or what to do when it will not.

    schedule: the upstream task's; None when it cannot be read.
    """
    task, at = edge.upstream_task, edge.upstream_scheduled_at
    if edge.within_batch:
        return _(
            "its plan has not made it yet, or it was deleted when it expired: then remove the "
            "dependency"
        )
    mark = task.owing_changed_since
    fires = schedule is None or has_fire(schedule, at)
    is_over = task.scheduling_until is not None and at > task.scheduling_until
    if mark is not None and at > mark and (is_over or not fires):
        return _("it will not come any more, and this dependency is removed within seconds")
    passed = task.generated_until is not None and at <= task.generated_until
    status = TaskStatus(task.status)
    if status == TaskStatus.OFFLINE:
        return _(
            "it was due before the task was taken offline: submit the task again and backfill "
            "that time, or remove the dependency"
        )
    if not fires:
        return _("the task's schedule has no such time any more: remove the dependency")
    if status != TaskStatus.SCHEDULING:
        why = _("the task is {status}").format(status=status.label.lower())
    elif passed:
        why = _("it was left out while the task was paused, or deleted when it expired")
    elif task.generation_error:
        return _("its definition has to be repaired first: the task's page says what is wrong")
    else:
        return _("it will be made when it is due")
    return _("{why}: backfill that time, or remove the dependency").format(why=why)


# An edge that was not removed has no upstream, or one that is not SUCCESS (design §5.1). Instance
# by instance and edge by edge, whatever the statistics: a scalar subquery is no join and is never
# hashed.
UPSTREAM = Hold(
    "upstream",
    Stage.READY,
    """coalesce((
            SELECT true FROM instances_edge e
            WHERE e.instance_id = i.id AND e.removed_at IS NULL AND (
                SELECT u.state = 'SUCCESS' FROM instances_instance u WHERE u.id = e.upstream_id
            ) IS NOT TRUE LIMIT 1
        ), false)""",
    _upstream,
    state=State.WAITING_UPSTREAM,
    again=True,
    needed=f"""EXISTS (
    SELECT FROM instances_edge e JOIN instances_instance d ON d.id = e.instance_id
    WHERE e.upstream_id = i.id AND e.removed_at IS NULL
        AND d.state NOT IN ({listed(FINISHED)}))""",
)
