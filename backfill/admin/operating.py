"""Operations on plans: a page that says what will happen, then one verb (B23, B25)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from backfill.control import pause_plans, resume_plans, terminate_plans
from backfill.progress import progress_of
from backfill.states import ALLOWING, PlanState
from instances.admin.operating import numbers
from instances.states import State
from projects.admin.answering import report
from projects.admin.scoped import ScopedAdmin
from projects.operations import BatchResult

MOST_OPERATED = 200


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on plans as its pages spell it.

    running, waiting, finished: what becomes of such instances. needs: the plans that it acts on.
    """

    key: str
    title: str
    done: str
    icon: str
    warning: str
    running: str
    waiting: str
    finished: str
    needs: str
    verb: Callable[..., BatchResult]
    dangerous: bool = False


OPERATIONS = {
    one.key: one
    for one in (
        Operation(
            key="pause",
            title="Pause",
            done="paused",
            icon="pause_circle",
            warning="From this moment nothing of it starts, until it is resumed. What runs goes on "
            "to its end, and instances that were not made yet are made.",
            running="go on",
            waiting="wait",
            finished="stay",
            needs="an active plan",
            verb=pause_plans,
        ),
        Operation(
            key="resume",
            title="Resume",
            done="resumed",
            icon="play_circle",
            warning="What is ready gets slots at once, in the order of priority and plan.",
            running="go on",
            waiting="go on",
            finished="stay",
            needs="a paused plan",
            verb=resume_plans,
        ),
        Operation(
            key="terminate",
            title="Terminate",
            done="terminated",
            icon="cancel",
            warning="From this moment nothing of it starts. What waits fails with code TERMINATED; "
            "running processes are killed within 5 seconds; what is finished or frozen stays as it "
            "is. Instances that were not made yet are recorded as skipped.",
            running="killed",
            waiting="fail",
            finished="stay",
            needs="an active plan",
            verb=terminate_plans,
            dangerous=True,
        ),
    )
}


def offered(state: PlanState) -> list[Operation]:
    """Return the operations that a plan in the shown state allows."""
    return [one for one in OPERATIONS.values() if state in ALLOWING[one.key]]


def confirm(
    model_admin: ScopedAdmin, request: HttpRequest, operation: Operation, ids: list[int]
) -> HttpResponse:
    """Return the page that says what the operation would do, and to how many."""
    plans = list(model_admin.get_queryset(request).filter(pk__in=ids))
    progress = progress_of([plan.pk for plan in plans])
    rows = []
    for plan in plans:
        shown = progress[plan.pk]
        running = shown.by_state.get(State.RUNNING, 0)
        rows.append(
            {
                "plan": plan,
                "state": shown.state,
                "acts": shown.state in ALLOWING[operation.key],
                "running": running,
                "waiting": shown.total - shown.finished - running,
                "finished": shown.finished,
            }
        )
    context = {
        "opts": model_admin.opts,
        "operation": operation,
        "rows": rows,
        "acting_total": sum(row["acts"] for row in rows),
        "ids": ",".join(str(pk) for pk in ids),
    }
    return model_admin.page(request, "backfill/confirm.html", operation.title, context)


def operate_view(model_admin: ScopedAdmin, request: HttpRequest, key: str) -> HttpResponse:
    """GET shows what would happen to `ids`; POST does it and goes back."""
    operation = OPERATIONS.get(key)
    if operation is None:
        raise Http404
    written = request.POST.get("ids") or request.GET.get("ids", "")
    ids = numbers(written.split(","))[:MOST_OPERATED]
    if not ids:
        return HttpResponseRedirect(model_admin.url("changelist"))
    if request.method != "POST":
        return confirm(model_admin, request, operation, ids)
    result = model_admin.attempt(request, operation.verb, plan_ids=ids)
    if result is not None:
        report(request, result, operation.done, "plan")
    only_one = len(ids) == 1
    return HttpResponseRedirect(
        model_admin.url("change", ids[0]) if only_one else model_admin.url("changelist")
    )
