"""Start, pause and take offline: a page that says what will happen, then one verb (T3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

from projects import clock
from projects.access import scope
from projects.admin.answering import report
from projects.admin.scoped import ScopedAdmin
from projects.operations import BatchResult
from workflows.choices import TaskStatus
from workflows.models import Task
from workflows.task_status import pause, start, status_at, take_offline

MOST_IDS = 10_000
MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class StatusVerb:
    """A change of status as its pages spell it. `effects`: what happens, by status now."""

    key: str
    title: str
    done: str
    icon: str
    verb: Callable[..., BatchResult]
    effects: Mapping[TaskStatus, str]
    dangerous: bool = False


_OUT = "makes no more instances, and only a new submission brings it back"

STATUS_VERBS = {
    one.key: one
    for one in (
        StatusVerb(
            "start",
            "Start",
            "started",
            "play_arrow",
            start,
            {
                TaskStatus.PAUSED: "makes instances from now on; those of the pause are not made "
                "up for"
            },
        ),
        StatusVerb(
            "pause",
            "Pause",
            "paused",
            "pause",
            pause,
            {TaskStatus.SCHEDULING: "makes no new instances; those there are go on"},
        ),
        StatusVerb(
            "offline",
            "Take offline",
            "taken offline",
            "power_settings_new",
            take_offline,
            {
                TaskStatus.SCHEDULING: _OUT,
                TaskStatus.PAUSED: _OUT,
                TaskStatus.INVALID: _OUT,
            },
            dangerous=True,
        ),
    )
}


def confirm_status(
    model_admin: ScopedAdmin, request: HttpRequest, verb: StatusVerb, ids: Iterable[int]
) -> HttpResponse:
    """Return the page that says what the change would do, and to how many."""
    wanted = list(dict.fromkeys(ids))[:MOST_IDS]
    now = clock.now()
    rows = scope(Task.objects.filter(pk__in=wanted), request.user)
    tasks = list(rows.select_related("workflow").defer("draft").order_by("workflow_id", "position"))
    statuses = {task.pk: status_at(task, now) for task in tasks}
    counts = Counter(statuses.values())
    acting = [
        (status, counts[status], verb.effects[status])
        for status in TaskStatus
        if counts[status] and status in verb.effects
    ]
    left = [
        (status, counts[status])
        for status in TaskStatus
        if counts[status] and status not in verb.effects
    ]
    chosen = [(task, statuses[task.pk]) for task in tasks if statuses[task.pk] in verb.effects]
    context = {
        "opts": model_admin.opts,
        "operation": verb,
        "acting": acting,
        "acting_total": sum(number for _, number, _ in acting),
        "left": left,
        "left_total": sum(number for _, number in left),
        "listed": chosen[:MOST_LISTED],
        "ids": ",".join(map(str, wanted)),
        "next": _next(model_admin, request),
    }
    return model_admin.page(request, "workflows/confirm_status.html", verb.title, context)


def status_view(model_admin: ScopedAdmin, request: HttpRequest, key: str) -> HttpResponse:
    """GET shows what would happen to the tasks `ids`; POST does it and goes back."""
    verb = STATUS_VERBS.get(key)
    if verb is None:
        raise Http404
    written = request.POST.get("ids") or request.GET.get("ids", "")
    ids = [int(part) for part in written.split(",") if part.isascii() and part.isdigit()]
    if not ids:
        return HttpResponseRedirect(_next(model_admin, request))
    if request.method != "POST" or "confirmed" not in request.POST:
        return confirm_status(model_admin, request, verb, ids)
    result = model_admin.attempt(request, verb.verb, task_ids=ids)
    if result is not None:
        report(request, result, verb.done, "task")
    return HttpResponseRedirect(_next(model_admin, request))


def _next(model_admin: ScopedAdmin, request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if not wanted and request.method == "POST":
        wanted = request.get_full_path()  # from an action: back to the list as it was filtered
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
    return wanted if wanted and safe else model_admin.url("changelist")
