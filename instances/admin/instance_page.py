"""What an instance's page shows, in a number of queries that does not grow with its rows (I11)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from instances.admin.choices import plan_name, plan_shown
from instances.admin.edge_lines import downstream_lines, upstream_lines
from instances.error_codes.explanations import explain
from instances.models import Batch, Execution, Instance
from instances.reading.diagnosis import diagnose
from instances.reading.waiting import why_waiting
from instances.states import CLOCKED, FINISHED, State
from projects.access import scope
from projects.admin.operations import spell_verb
from projects.console.rights import may
from projects.ground import clock
from projects.ground.counterparts import counterpart_id
from projects.models import OperationObject
from projects.roles import Right

MOST_EXECUTIONS = 50
MOST_OPERATIONS = 20

_WAITING = frozenset(
    {State.NOT_RUN, State.WAITING_EVENT, State.WAITING_UPSTREAM, State.RETRYING, State.FROZEN}
)


@dataclass(frozen=True, slots=True)
class Phase:
    """One of the three phases of a round; `mark` is "done", "now" or empty.

    until: when the clock ends it, of a phase that only waits for that.
    """

    title: str
    tone: str
    mark: str
    started_at: datetime | None
    took: timedelta | None
    until: datetime | None = None


def detailed(rows: QuerySet[Instance]) -> QuerySet[Instance]:
    """Load what the list and the page show of instances themselves."""
    return (
        rows.select_related(
            "task__workflow__folder",
            "project",
            "version",
            "resource_group",
            "batch",
            "settled_by",
        )
        .prefetch_related("task__owners")
        .defer("task__draft", "version__definition")
        .annotate(plan_id=counterpart_id(Batch, "batch"))
    )


def page_context(request: HttpRequest, instance: Instance) -> dict[str, Any]:
    """Return what the page's live part shows."""
    now = clock.now()
    executions = _executions(instance)
    upstream, upstream_more = upstream_lines(request, instance)
    downstream, downstream_more = downstream_lines(request, instance)
    state = State(instance.state)
    filler = filled_by(request, instance)
    by = plan_name(request, filler) if filler else ""
    done_by = _("Done by instance {id} of {plan}")
    return {
        "instance": instance,
        "state": state,
        "now": now,
        "is_finished": state in FINISHED,
        "refresh_seconds": 2 if state not in {State.NOT_RUN, State.FROZEN} else 10,
        "phases": phases_of(instance, now),
        "filled_by": filler,
        "fill_plan": by,
        "fill_reason": done_by.format(id=filler.pk, plan=by) if filler else "",
        "blockers": why_waiting(instance, actor=request.user, now=now),
        "diagnosis": diagnose(instance),
        "plan": plan_shown(request, instance),
        "owners": list(instance.task.owners.all()),
        "executions": [(one, _took(one, now), _titled(one)) for one in executions],
        "runs_of_slot": len({one.instance_id for one in executions}) > 1,
        "latest": next((one for one in executions if one.instance_id == instance.pk), None),
        "upstream": upstream,
        "upstream_more": upstream_more,
        "removable": any(not line.removed for line in upstream),
        "downstream": downstream,
        "downstream_more": downstream_more,
        "operations": _operations(instance),
        "may_operate": may(request, Right.OPERATE, instance.project_id),
    }


def filled_by(request: HttpRequest, instance: Instance) -> Instance | None:
    """Return the plan's instance that succeeded on the slot of a failed periodic one, if any."""
    if instance.state != State.FAILED or instance.batch_id is not None:
        return None
    rows = scope(Instance.objects.select_related("batch"), request.user).filter(
        task=instance.task_id,
        scheduled_at=instance.scheduled_at,
        batch__isnull=False,
        state=State.SUCCESS,
    )
    rows = rows.annotate(plan_id=counterpart_id(Batch, "batch"))
    return rows.order_by("-ended_at", "-pk").first()


def phases_of(instance: Instance, now: datetime) -> list[Phase]:
    """Return the three phases of the instance's present round (I11)."""
    state = State(instance.state)
    ready, started, ended = instance.ready_at, instance.started_at, instance.ended_at
    waited_until = ready or ended
    queued_until = started or (ended if ready else None)
    # What was settled by hand ran without being a success: the colour says no more than that.
    tone = {State.SUCCESS: "green", State.FAILED: "red"}.get(state, "blue")
    if instance.settled_at is not None:
        tone = "slate"
    # Its clock comes first: before it nobody looks at what else it waits for.
    clocked = state in CLOCKED and instance.not_before > now
    return [
        Phase(
            _first_title(instance, clocked),
            "slate" if clocked else "amber",
            "done" if ready or started else ("now" if state in _WAITING else ""),
            instance.waiting_since,
            (waited_until or now) - instance.waiting_since,
            instance.not_before if clocked else None,
        ),
        Phase(
            _("Waiting for execution"),
            "violet",
            "done" if started else ("now" if state == State.WAITING_EXECUTION else ""),
            ready,
            (queued_until or now) - ready if ready else None,
        ),
        Phase(
            _("Running"),
            tone,
            "done" if started and ended else ("now" if started else ""),
            started,
            (ended or now) - started if started else None,
        ),
    ]


def _first_title(instance: Instance, clocked: bool) -> str:
    if clocked:
        retrying = instance.state == State.RETRYING
        return _("Waiting for its next try") if retrying else _("Waiting for its time")
    if instance.awaits_day and instance.state == State.NOT_RUN:
        return _("Waiting for its day to open")
    return _("Waiting for events and upstream")


def _executions(instance: Instance) -> list[Execution]:
    """The executions of the slot: periodic runs, reruns and plans together, newest first."""
    rows = Execution.objects.filter(
        instance__task=instance.task_id, instance__scheduled_at=instance.scheduled_at
    )
    if instance.project_id != instance.task.project_id:
        rows = rows.filter(instance=instance)
    return list(rows.select_related("instance", "resource_group").order_by("-id")[:MOST_EXECUTIONS])


def _took(execution: Execution, now: datetime) -> timedelta | None:
    if execution.started_at is None:
        return None
    return (execution.ended_at or now) - execution.started_at


def _titled(execution: Execution) -> str:
    return explain(execution.error_code).title if execution.error_code else ""


def _operations(instance: Instance) -> list[tuple[OperationObject, str]]:
    rows = (
        OperationObject.objects.filter(object_type="instance", object_id=instance.pk)
        .select_related("operation__actor")
        .order_by("-id")[:MOST_OPERATIONS]
    )
    return [(row, spell_verb(row.operation.verb)) for row in rows]
