"""The first page of the admin: how things stand, what failed, what runs, what is full."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from backfill.models import Plan
from backfill.models.shown import with_states
from backfill.reading.progress import progress_of
from backfill.states import ACTIVE, PlanResult, PlanState, spelled, tone_key
from instances.admin.order import PROGRESS_ORDER
from instances.admin.resource_groups import slots_bar, with_use
from instances.error_codes.explanations import explain
from instances.models import Instance
from instances.models.instance import LISTED
from instances.states import UNFINISHED, State
from projects.access import projects_with, scope
from projects.console.rights import may
from projects.ground import clock
from projects.ground.showing import state_bar
from projects.models import ResourceGroup
from projects.roles import Right
from workflows.models import Task, Workflow

HOURS = 24
MOST_PLANS = 8
MOST_ENDED = 5
MOST_FAILURES = 10
MOST_GROUPS = 8


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the page shows to the context; the number of queries does not grow with rows."""
    now = clock.now()
    since = now - timedelta(hours=HOURS)
    instances = scope(Instance.objects.all(), request.user)
    unfinished = _counts(instances.filter(LISTED, state__in=[one.value for one in UNFINISHED]))
    ended = _counts(instances.filter(ended_at__gte=since))
    instances_url = reverse("admin:instances_instance_changelist")
    since_text = since.strftime("%Y-%m-%dT%H:%M:%SZ")
    figures = [
        (state, unfinished.get(state, 0), f"{instances_url}?state={state.value}")
        for state in State
        if state in UNFINISHED and unfinished.get(state, 0)
    ]
    figures += [
        (
            state,
            ended.get(state, 0),
            f"{instances_url}?state={state.value}&ended_from={since_text}",
        )
        for state in (State.SUCCESS, State.FAILED)
    ]
    return context | {
        "title": _("Overview"),
        "now": now,
        "hours": HOURS,
        "figures": figures,
        "unfinished": sum(unfinished.values()),
        "plans": _plans(request),
        "failures": _failures(instances),
        "failed_url": f"{instances_url}?state=FAILED",
        "groups": _groups(request),
        "next_tasks": _next_tasks(request),
        "is_empty": not scope(Workflow.objects.all(), request.user).exists(),
        "has_projects": projects_with(request.user).exists(),
        "may_import": may(request, Right.DEVELOP),
    }


def _counts(rows: QuerySet[Instance]) -> dict[State, int]:
    found = rows.order_by().values_list("state").annotate(number=Count("id"))
    return {State(state): number for state, number in found}


def _plans(request: HttpRequest) -> list[dict[str, Any]]:
    """The plans under way with their progress, then the latest that have ended."""
    plans = with_states(Plan.objects.all()).select_related("project")
    rows = scope(plans, request.user).order_by("-pk")
    active = list(rows.filter(state__in=[one.value for one in ACTIVE])[:MOST_PLANS])
    ended = rows.filter(ended_at__isnull=False).exclude(pk__in=[plan.pk for plan in active])
    progress = progress_of([plan.pk for plan in active])
    under_way = [
        {
            "plan": plan,
            "progress": progress[plan.pk],
            "bar": state_bar(progress[plan.pk].by_state, progress[plan.pk].total, PROGRESS_ORDER),
        }
        for plan in active
    ]
    # What has ended is not counted again and again: its page has the figures.
    return under_way + [_ended(plan) for plan in ended[:MOST_ENDED]]


def _ended(plan: Any) -> dict[str, Any]:
    facts = PlanState(plan.shown_state), PlanResult(plan.result)
    return {"plan": plan, "tone": tone_key(*facts), "spelled": spelled(*facts)}


def _failures(instances: QuerySet[Instance]) -> list[tuple[Instance, str]]:
    rows = (
        instances.filter(LISTED, state=State.FAILED)
        .select_related("task__workflow", "version", "project")
        .defer("task__draft", "version__definition", "parameters")
        .order_by("-ended_at", "-pk")[:MOST_FAILURES]
    )
    return [(row, explain(row.error_code).title if row.error_code else _("Failed")) for row in rows]


def _groups(request: HttpRequest) -> list[tuple[Any, str]]:
    used = ResourceGroup.objects.all()
    if not request.user.is_superuser:
        mine = projects_with(request.user)
        used = used.filter(kind=ResourceGroup.Kind.SHARED) | used.filter(projects__in=mine)
    rows = with_use(ResourceGroup.objects.filter(pk__in=used.values("pk"))).order_by("name")
    return [(row, slots_bar(row.used, row.slots)) for row in rows[:MOST_GROUPS]]


def _next_tasks(request: HttpRequest) -> list[Task]:
    rows = scope(Task.objects.select_related("workflow", "version"), request.user)
    due = rows.filter(status="SCHEDULING", next_fire_at__isnull=False)
    return list(due.defer("draft", "version__definition").order_by("next_fire_at", "pk")[:6])
