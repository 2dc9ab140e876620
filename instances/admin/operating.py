"""Operations on instances: a page that says what will happen, then one verb (I4–I8)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

from instances.admin.edge_lines import upstream_lines
from instances.models import Instance
from instances.operations.freezing import freeze, unfreeze
from instances.operations.marking import mark_success
from instances.operations.removing import remove_dependencies
from instances.operations.rerunning import rerun
from instances.operations.selecting import MOST_IDS
from instances.operations.terminating import terminate
from instances.states import (
    FINISHED,
    FREEZABLE,
    IN_PROCESS,
    MARKABLE,
    RERUNNABLE,
    TERMINABLE,
    State,
)
from projects.access import projects_lacking, scope
from projects.admin.answering import report
from projects.admin.scoped import ScopedAdmin
from projects.operations import BatchResult
from projects.roles import Right

MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on instances as its pages spell it. `effects`: what happens, by state."""

    key: str
    title: str
    done: str
    icon: str
    warning: str
    verb: Callable[..., BatchResult]
    allowed: Collection[State]
    effects: Mapping[State, str]
    dangerous: bool = False
    # "Rerun" 3 instances, "Remove dependencies of" 3 instances; the title when empty.
    phrase: str = ""
    # Shown only to those that allow it: of two opposites one is enough.
    alternates: bool = False
    # Acts on upstream edges, which can be chosen when it is one instance.
    on_edges: bool = False


_SCHEDULED = "is not scheduled until it is unfrozen; what waits for it goes on waiting"
_UNHINDERED = "does not wait for them any more"
_NEXT_TIME = "stays as it is; run again, it does not wait for them"
_ENDS_AT_ONCE = "fails at once with code TERMINATED; it never runs"
_GOES_ON = "counts as done from now on; what waits for it goes on"

OPERATIONS = {
    one.key: one
    for one in (
        Operation(
            key="rerun",
            title="Rerun",
            done="run again",
            icon="replay",
            warning="Each runs again as soon as its upstream allows. Retries count from 0. "
            "What waits for one of them and has not started is held back until the new run "
            "succeeds; what has run stays as it is.",
            verb=rerun,
            allowed=RERUNNABLE,
            effects={
                State.FAILED: "runs again",
                State.SUCCESS: "runs again, and is no success until it has",
                State.WAITING_EXECUTION: "looks at its upstream again and takes its place anew",
                State.RETRYING: "is tried at once, not at its next try",
            },
        ),
        Operation(
            key="mark-success",
            title="Mark success",
            done="marked success",
            icon="check_circle",
            warning="Nothing of the work itself is done. Who reads the data downstream will find "
            "what is there.",
            verb=mark_success,
            allowed=MARKABLE,
            effects={
                State.RUNNING: "its process is killed and its result ignored; " + _GOES_ON,
                State.FAILED: _GOES_ON,
                State.WAITING_EVENT: _GOES_ON,
                State.WAITING_UPSTREAM: _GOES_ON,
                State.WAITING_EXECUTION: _GOES_ON,
            },
        ),
        Operation(
            key="terminate",
            title="Terminate",
            done="terminated",
            icon="cancel",
            warning="A running process and all its children are gone within 5 seconds. What waits "
            "for a terminated instance goes on waiting.",
            verb=terminate,
            allowed=TERMINABLE,
            effects={
                State.WAITING_EVENT: _ENDS_AT_ONCE,
                State.WAITING_UPSTREAM: _ENDS_AT_ONCE,
                State.WAITING_EXECUTION: _ENDS_AT_ONCE,
                State.RUNNING: "its process is killed, then it fails with code TERMINATED",
            },
            dangerous=True,
        ),
        Operation(
            key="freeze",
            title="Freeze",
            done="frozen",
            icon="ac_unit",
            warning="A frozen instance is not scheduled, and what waits for it waits until it is "
            "unfrozen. Nothing that runs is stopped.",
            verb=freeze,
            allowed=FREEZABLE,
            effects={
                State.WAITING_EVENT: _SCHEDULED,
                State.WAITING_UPSTREAM: _SCHEDULED,
                State.RETRYING: "is not tried again until it is unfrozen",
                State.SUCCESS: "is no success until it is unfrozen: what waits for it and has not "
                "started is held back",
                State.FAILED: "cannot be run again until it is unfrozen",
            },
            alternates=True,
        ),
        Operation(
            key="unfreeze",
            title="Unfreeze",
            done="unfrozen",
            icon="mode_heat",
            warning="What was finished when it was frozen is so again, and what waits for a "
            "success goes on. Any other waits anew for its time, events and upstream.",
            verb=unfreeze,
            allowed={State.FROZEN},
            effects={State.FROZEN: "goes on where it was set aside"},
            alternates=True,
        ),
        Operation(
            key="remove-dependencies",
            title="Remove dependencies",
            phrase="Remove dependencies of",
            done="freed of dependencies",
            icon="link_off",
            warning="There is no way back: neither a rerun nor a later plan's instance of the same "
            "planned time waits for a removed dependency. Other instances are not touched. What "
            "the upstream had to deliver may be missing or old.",
            verb=remove_dependencies,
            allowed=frozenset(State),
            effects={
                state: _NEXT_TIME if state in FINISHED | IN_PROCESS else _UNHINDERED
                for state in State
            },
            dangerous=True,
            on_edges=True,
        ),
    )
}


def confirm(
    model_admin: ScopedAdmin, request: HttpRequest, operation: Operation, ids: Iterable[int]
) -> HttpResponse:
    """Return the page that says what the operation would do, and to how many."""
    wanted = list(dict.fromkeys(ids))
    rows = scope(Instance.objects.filter(pk__in=wanted[:MOST_IDS]), request.user)
    counts = rows.order_by().values("project_id", "state").annotate(number=Count("id"))
    barred = projects_lacking(request.user, {row["project_id"] for row in counts}, Right.OPERATE)
    acting: dict[State, int] = {}
    left: dict[str, int] = {}
    for row in counts:
        state = State(row["state"])
        if row["project_id"] in barred:
            reason = "your role in its project does not allow it"
            left[reason] = left.get(reason, 0) + row["number"]
        elif state in operation.allowed:
            acting[state] = acting.get(state, 0) + row["number"]
        else:
            reason = f"it is {state.label.lower()}"
            left[reason] = left.get(reason, 0) + row["number"]
    listed = rows.select_related("task").only("id", "task__name", "scheduled_at", "state")
    allowed_states = [state.value for state in acting]
    context = {
        "opts": model_admin.opts,
        "operation": operation,
        "acting": [(state, number, operation.effects[state]) for state, number in acting.items()],
        "acting_total": sum(acting.values()),
        "left": sorted(left.items(), key=lambda item: -item[1]),
        "left_total": sum(left.values()),
        "too_many": len(wanted) > MOST_IDS,
        "limit": MOST_IDS,
        "ids": ",".join(map(str, wanted)),
        "next": _next(model_admin, request),
        "listed": listed.filter(state__in=allowed_states).order_by("id")[:MOST_LISTED],
        "edges": [],
    }
    if operation.on_edges and len(wanted) == 1 and (only := rows.first()) is not None:
        lines, context["more_edges"] = upstream_lines(request, only)
        context["edges"] = [line for line in lines if not line.removed]
    return model_admin.page(request, "instances/confirm.html", operation.title, context)


def operate_view(model_admin: ScopedAdmin, request: HttpRequest, key: str) -> HttpResponse:
    """GET shows what would happen to `ids`; POST does it and goes back."""
    operation = OPERATIONS.get(key)
    if operation is None:
        raise Http404
    ids = read_ids(request)
    if not ids:
        return HttpResponseRedirect(model_admin.url("changelist"))
    if request.method != "POST" or "confirmed" not in request.POST:
        return confirm(model_admin, request, operation, ids)
    options: dict[str, Any] = {}
    if operation.on_edges and "edges_listed" in request.POST:
        options["edges"] = numbers(request.POST.getlist("edges"))
        if not options["edges"]:
            messages.error(request, "Choose the dependencies to remove.")
            return confirm(model_admin, request, operation, ids)
    result = model_admin.attempt(request, operation.verb, ids=ids, **options)
    if result is not None:
        report(request, result, operation.done, "instance")
    return HttpResponseRedirect(_next(model_admin, request))


def read_ids(request: HttpRequest) -> list[int]:
    """Return the ids of the request's `ids`: "1,2,3"."""
    written = request.POST.get("ids") or request.GET.get("ids", "")
    return numbers(written.split(","))[: 10 * MOST_IDS]


def numbers(written: Iterable[str]) -> list[int]:
    """Return what are ids among the texts."""
    return [int(one) for one in written if one.isascii() and one.isdigit() and len(one) <= 18]


def offered(state: State | str) -> list[dict[str, Any]]:
    """Return the operations of a page's head, each with whether `state` allows it."""
    return [
        {"operation": one, "allowed": State(state) in one.allowed}
        for one in OPERATIONS.values()
        if not one.on_edges and (State(state) in one.allowed or not one.alternates)
    ]


def _next(model_admin: ScopedAdmin, request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if not wanted and request.method == "POST":
        wanted = request.get_full_path()  # from an action: back to the list as it was filtered
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
    return wanted if wanted and safe else model_admin.url("changelist")
