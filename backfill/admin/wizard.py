"""The wizard that makes a backfill plan: tasks, dates and rules, preview, submission (B2–B16)."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from backfill.admin.preview_page import preview_context
from backfill.admin.request import STEPS, PlanRequest
from backfill.context import load_context, read_spec
from backfill.models import Plan
from backfill.plans import create_plan, submit_plan, update_plan
from backfill.preview import preview
from backfill.spec import (
    MAX_GROUPS,
    MAX_PERIODS,
    MIN_GROUPS,
    DependencyCheck,
    EntryKind,
    FutureRuns,
    Order,
    PlanSpec,
    RangeBy,
    RunMode,
    Scope,
)
from projects import clock
from projects.access import projects_with, scope
from projects.admin.scoped import ScopedAdmin
from projects.models import Project
from projects.refusals import Refusal
from projects.roles import Right
from workflows.choices import BACKFILLABLE
from workflows.models import Folder, Task, Workflow

MOST_LISTED = 2_000

CHOICES: dict[str, list[tuple[str, str, str]]] = {
    "scope": [
        (Scope.SELECTED, "Chosen tasks", "Only the tasks chosen above."),
        (
            Scope.SELECTED_AND_DOWNSTREAM,
            "Chosen tasks and downstream",
            "They, and what depends on them.",
        ),
        (Scope.ONLY_DOWNSTREAM, "Only downstream", "What depends on them, without them."),
    ],
    "range_by": [
        (RangeBy.DATA_DATE, "Data dates", "The date of the data: the day before the planned one."),
        (RangeBy.PLANNED_TIME, "Planned dates", "The local day on which an instance is planned."),
    ],
    "dependency_check": [
        (
            DependencyCheck.ALL,
            "All upstream",
            "Waits for upstream instances of the plan and outside of it.",
        ),
        (DependencyCheck.SELECTED, "Within the plan", "Waits only for instances of the plan."),
        (DependencyCheck.NONE, "None", "Waits for nothing: tasks run side by side."),
    ],
    "order": [
        (Order.ASCENDING, "Oldest first", "Where dependencies leave a choice."),
        (Order.DESCENDING, "Newest first", "Where dependencies leave a choice."),
    ],
    "run_mode": [
        (RunMode.BY_DEPENDENCY, "By dependency", "As soon as what it waits for has succeeded."),
        (
            RunMode.DAY_BY_DAY,
            "Day by day",
            "A date starts after every instance of the one before it succeeded; a failure holds "
            "the later ones.",
        ),
    ],
    "future_runs": [
        (FutureRuns.WHEN_DUE, "When they are due", "Future instances wait for their time."),
        (FutureRuns.AT_ONCE, "At once", "The future date is what the task sees."),
    ],
}


def new_view(model_admin: ScopedAdmin, request: HttpRequest) -> HttpResponse:
    """Make a plan, from nothing, from what a list's entry chose, or like a former plan."""
    if request.method == "POST":
        return _posted(model_admin, request, None)
    former = request.GET.get("like", "")
    if former.isdigit():
        wanted = PlanRequest.from_plan(model_admin.require_object(request, former))
        wanted.name = ""
        return _show(model_admin, request, wanted, None, 1)
    wanted = PlanRequest.from_address(request.GET, today=clock.now().date())
    wanted.project_id = wanted.project_id or _project_of(request, wanted)
    return _show(model_admin, request, wanted, None, 1)


def edit_view(model_admin: ScopedAdmin, request: HttpRequest, plan: Plan) -> HttpResponse:
    """Change a draft, or look at its preview and submit it."""
    if request.method == "POST":
        return _posted(model_admin, request, plan)
    step = 3 if request.GET.get("step") == "3" else 1
    return _show(model_admin, request, PlanRequest.from_plan(plan), plan, step)


def downstream_view(request: HttpRequest) -> HttpResponse:
    """The tasks downstream of those chosen, to choose among; a part of the first step."""
    wanted = PlanRequest.from_post(request.POST)
    context: dict[str, Any] = {"wanted": wanted, "lines": []}
    project = _project(request, wanted)
    if wanted.scope != Scope.SELECTED and project is not None and _has_entry(wanted):
        spec = _spec(wanted.with_default_dates(), project)
        try:
            found = load_context(actor=request.user, project=project, spec=spec)
        except Refusal as refusal:
            context["fault"] = refusal.detail
        else:
            context["lines"] = [
                (pk, label, _is_chosen(pk, wanted)) for pk, label in found.choices.items()
            ]
            context["shown"] = ",".join(map(str, found.choices))
    return render(request, "backfill/downstream.html", context)


def _is_chosen(pk: int, wanted: PlanRequest) -> bool:
    """Whether a downstream task is to run: those shown for the first time are."""
    if wanted.downstream_shown:
        return pk in wanted.downstream or pk not in wanted.downstream_shown
    return pk in wanted.downstream or not wanted.downstream


def _posted(model_admin: ScopedAdmin, request: HttpRequest, plan: Plan | None) -> HttpResponse:
    wanted = PlanRequest.from_post(request.POST)
    go = request.POST.get("go", "1")
    if go in ("submit", "save"):
        saved = _save(request, wanted, plan, submit=go == "submit")
        if saved is not None:
            word = "was submitted: its instances are being made" if go == "submit" else "was saved"
            model_admin.message_user(request, f"Plan {saved.name} {word}.")
            return HttpResponseRedirect(model_admin.url("change", saved.pk))
        return _show(model_admin, request, wanted, plan, wanted.step_at_fault() or 3)
    return _show(model_admin, request, wanted, plan, int(go) if go in ("1", "2", "3") else 1)


def _save(
    request: HttpRequest, wanted: PlanRequest, plan: Plan | None, *, submit: bool
) -> Plan | None:
    """Save, and submit, all or nothing; None when it was refused, with the reasons in `wanted`."""
    project = _project(request, wanted)
    if project is None:
        wanted.refuse("project", "Choose a project.")
        return None
    try:
        spec = _spec(wanted, project)
        with transaction.atomic():
            if plan is None:
                saved = create_plan(
                    actor=request.user,
                    project_id=project.pk,
                    spec=spec,
                    name=wanted.name or None,
                    description=wanted.description,
                )
            else:
                saved = update_plan(
                    actor=request.user,
                    plan_id=plan.pk,
                    name=wanted.name or None,
                    description=wanted.description,
                    spec=spec,
                )
            return submit_plan(actor=request.user, plan_id=saved.pk) if submit else saved
    except Refusal as refusal:
        _note(wanted, refusal)
        return None


def _show(
    model_admin: ScopedAdmin,
    request: HttpRequest,
    wanted: PlanRequest,
    plan: Plan | None,
    step: int,
) -> HttpResponse:
    """Show a step; one before it that is at fault is shown instead."""
    found: dict[str, Any] = {}
    project = _project(request, wanted)
    if step > 1 and not wanted.errors:
        _check_tasks(request, wanted, project)
    if step > 2 and not wanted.errors and project is not None:
        try:
            shown = preview(
                actor=request.user,
                project_id=project.pk,
                spec=_spec(wanted, project),
                now=clock.now(),
            )
        except Refusal as refusal:
            _note(wanted, refusal)
        else:
            found = preview_context(shown, project)
    at_fault = wanted.step_at_fault()
    if at_fault is not None:
        step = min(step, at_fault)
    context = {
        "opts": model_admin.opts,
        "original": plan,
        "plan": plan,
        "wanted": wanted,
        "project": project,
        "step": step,
        "steps": list(enumerate(STEPS, 1)),
        "projects": projects_with(request.user, Right.OPERATE).order_by("name"),
        "choices": CHOICES,
        "entry_kinds": [(kind.value, kind.value.capitalize()) for kind in EntryKind],
        "periods_json": json.dumps(_period_rows(wanted)),
        "period_faults": wanted.errors.get("periods", []),
        "most_periods": MAX_PERIODS,
        "group_numbers": [str(number) for number in range(MIN_GROUPS, MAX_GROUPS + 1)],
        "faults": {name: wanted.errors_of(name) for name in _FIELDS},
        "other_errors": wanted.other_errors(),
        "candidates": _candidates(request, wanted, project),
        "now": clock.now(),
        **found,
    }
    title = f"Backfill plan {plan.name}" if plan else "New backfill plan"
    return model_admin.page(request, "backfill/wizard.html", title, context)


_FIELDS = (
    "project",
    "entry",
    "scope",
    "downstream_task_ids",
    "periods",
    "range_by",
    "time_from",
    "time_until",
    "dependency_check",
    "order",
    "future_runs",
    "run_mode",
    "groups",
    "name",
    "description",
)


def _check_tasks(request: HttpRequest, wanted: PlanRequest, project: Project | None) -> None:
    """Note what is wrong with the first step, before anybody fills in the second."""
    if project is None:
        wanted.refuse("project", "Choose a project in which you may operate.")
        return
    only_tasks = wanted.with_default_dates()
    only_tasks.downstream, only_tasks.downstream_shown = wanted.downstream, wanted.downstream_shown
    if wanted.scope != Scope.SELECTED and wanted.downstream_shown and not wanted.downstream:
        wanted.refuse("downstream_task_ids", "Choose at least one downstream task.")
        return
    try:
        load_context(actor=request.user, project=project, spec=_spec(only_tasks, project))
    except Refusal as refusal:
        _note(wanted, refusal)


def _note(wanted: PlanRequest, refusal: Refusal) -> None:
    for path, messages in refusal.fields.items():
        for message in messages:
            wanted.refuse(path, message)
    if not refusal.fields:
        wanted.refuse("", refusal.detail)


def _spec(wanted: PlanRequest, project: Project) -> PlanSpec:
    return read_spec(wanted.spec_mapping(), project=project, now=clock.now())


def _project(request: HttpRequest, wanted: PlanRequest) -> Project | None:
    """The project asked for; the only one there is when none was."""
    projects = projects_with(request.user, Right.OPERATE)
    if wanted.project_id is not None:
        return projects.filter(pk=wanted.project_id).first()
    first = list(projects[:2])
    if len(first) == 1:
        wanted.project_id = first[0].pk
        return first[0]
    return None


def _project_of(request: HttpRequest, wanted: PlanRequest) -> int | None:
    models: dict[str, Any] = {
        EntryKind.TASKS: Task,
        EntryKind.WORKFLOWS: Workflow,
        EntryKind.FOLDERS: Folder,
    }
    if wanted.kind not in models or not wanted.ids:
        return None
    rows = scope(models[wanted.kind].objects.filter(pk__in=wanted.ids), request.user)
    return rows.order_by("pk").values_list("project_id", flat=True).first()


def _has_entry(wanted: PlanRequest) -> bool:
    return wanted.kind == EntryKind.PROJECT or bool(wanted.ids)


def _period_rows(wanted: PlanRequest) -> list[dict[str, Any]]:
    rows = wanted.periods or [("", "")]
    return [
        {
            "first": first,
            "last": last,
            "errors": wanted.errors_of(f"periods.{index}"),
        }
        for index, (first, last) in enumerate(rows)
    ]


def _candidates(
    request: HttpRequest, wanted: PlanRequest, project: Project | None
) -> dict[str, list[tuple[int, str, str]]]:
    """What the first step lets choose from: (id, text, note), the chosen ones first."""
    if project is None:
        return {}
    chosen = set(wanted.ids)
    tasks = scope(Task.objects.all(), request.user, Right.OPERATE)
    own = tasks.filter(project=project, status__in=[one.value for one in BACKFILLABLE])
    listed = own | tasks.filter(pk__in=wanted.ids if wanted.kind == EntryKind.TASKS else [])
    rows = {
        EntryKind.TASKS.value: [
            (pk, f"{workflow}/{name}", cycle.replace("_", " "))
            for pk, workflow, name, cycle in listed.order_by(
                "workflow__name", "position", "name"
            ).values_list("pk", "workflow__name", "name", "cycle")[:MOST_LISTED]
        ],
        EntryKind.WORKFLOWS.value: [
            (pk, name, "")
            for pk, name in Workflow.objects.filter(project=project)
            .order_by("name")
            .values_list("pk", "name")[:MOST_LISTED]
        ],
        EntryKind.FOLDERS.value: [
            (pk, path, "")
            for pk, path in Folder.objects.filter(project=project)
            .order_by("path")
            .values_list("pk", "path")[:MOST_LISTED]
        ],
    }
    if wanted.kind in rows:
        rows[wanted.kind].sort(key=lambda row: row[0] not in chosen)
    return rows
