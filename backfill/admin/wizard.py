"""The wizard that makes a backfill plan: tasks, dates and rules, preview, submission (B2–B16)."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from backfill.admin.preview_page import preview_context
from backfill.admin.request import FIELDS, STEPS, PlanRequest
from backfill.admin.wizard_state import forget, keep, told
from backfill.models import Plan
from backfill.options.dates import MAX_PERIODS
from backfill.options.entry import ENTRY_LABELS, EntryKind
from backfill.options.selection import Scope
from backfill.planning.context import load_context, read_spec
from backfill.planning.preview import preview
from backfill.spec import PlanSpec, options
from backfill.verbs.plans import create_plan, update_plan
from backfill.verbs.submit import submit_plans
from projects.access import projects_with, scope
from projects.console.logged_out import not_saved, take_kept
from projects.console.scoped import ScopedAdmin
from projects.ground import clock
from projects.ground.fields.field import Kind
from projects.ground.refusals import Outdated, Refusal
from projects.ground.showing import use_zone
from projects.models import Project
from projects.roles import Right
from workflows.choices import BACKFILLABLE, cycle_label
from workflows.models import Folder, Task, Workflow

MOST_LISTED = 2_000
MOST_NUMBERS = 20  # of which one is chosen from a list


def new_view(model_admin: ScopedAdmin, request: HttpRequest) -> HttpResponse:
    """Make a plan, from nothing, from what a list's entry chose, or like a former plan."""
    if request.method == "POST":
        return _posted(model_admin, request, None)
    if shown := _go_on(model_admin, request, None):
        return shown
    former = request.GET.get("like", "")
    if former.isdigit():
        wanted = PlanRequest.from_plan(model_admin.require_object(request, former))
        wanted.name = ""
        return keep(request, wanted, 1)
    today = timezone.localtime(clock.now()).date()
    wanted = PlanRequest.from_address(request.GET, today=today)
    wanted.project_id = wanted.project_id or _project_of(request, wanted)
    return keep(request, wanted, 1)


def edit_view(model_admin: ScopedAdmin, request: HttpRequest, plan: Plan) -> HttpResponse:
    """Change a draft, or look at its preview and submit it."""
    if request.method == "POST":
        return _posted(model_admin, request, plan)
    shown = _go_on(model_admin, request, plan)
    return shown or keep(request, PlanRequest.from_plan(plan), _step(request.GET))


def _go_on(
    model_admin: ScopedAdmin, request: HttpRequest, plan: Plan | None
) -> HttpResponse | None:
    """Show a step of a wizard that is under way; None when none is at this address."""
    if (typed := take_kept(request)) is not None:
        model_admin.message_user(request, not_saved().detail, "warning")
        return keep(request, PlanRequest.from_post(typed), _step(request.GET))
    wanted = told(request)
    return None if wanted is None else _show(model_admin, request, wanted, plan, _step(request.GET))


def _step(data: QueryDict) -> int:
    written = data.get("step", "1")
    return int(written) if written in ("1", "2", "3") else 1


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
            said = _("Plan {name} was saved.")
            if go == "submit":
                said = _("Plan {name} was submitted: its instances are being made.")
            model_admin.message_user(request, said.format(name=saved.name))
            forget(request)
            return HttpResponseRedirect(model_admin.url("change", saved.pk))
        return keep(request, wanted, wanted.step_at_fault() or 3)
    return keep(request, wanted, int(go) if go in ("1", "2", "3") else 1)


def _save(
    request: HttpRequest, wanted: PlanRequest, plan: Plan | None, *, submit: bool
) -> Plan | None:
    """Save, and submit, all or nothing; None when it was refused, with the reasons in `wanted`."""
    project = _project(request, wanted)
    if project is None:
        wanted.refuse("project", _("Choose a project."))
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
                    revision=wanted.revision or None,
                )
            return submit_plans.one(actor=request.user, pk=saved.pk) if submit else saved
    except Outdated as refusal:
        wanted.revision = refusal.revision  # who has seen what differs may save all the same
        # Told on the last step, where it is saved: on several, no one would show all that differs.
        wanted.refuse("", refusal.spoken)
        for name, lines in refusal.fields.items():
            for line in lines:
                wanted.refuse("", f"{name}: {line}")
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
    if project is not None:
        use_zone(project.time_zone)
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
            found = preview_context(shown)
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
        "options_of": {number: lines(wanted, number) for number in (1, 2)},
        "leading": json.dumps(
            {"kind": wanted.kind} | {name: wanted.values[name] for name in sorted(_LEADING)}
        ),
        "entry_kinds": [(kind.value, ENTRY_LABELS[kind]) for kind in EntryKind],
        "periods_json": json.dumps(_period_rows(wanted)),
        "period_faults": wanted.errors.get("periods", []),
        "most_periods": MAX_PERIODS,
        "faults": {name: wanted.errors_of(name) for name in FIELDS},
        "other_errors": wanted.other_errors(),
        "candidates": _candidates(request, wanted, project),
        "now": clock.now(),
        **found,
    }
    title = _("New backfill plan")
    if plan:
        title = _("Backfill plan {name}").format(name=plan.name)
    return model_admin.page(request, "backfill/wizard.html", title, context)


def lines(wanted: PlanRequest, step: int) -> list[dict[str, Any]]:
    """Return the options of a step as backfill/option.html shows them."""
    return [
        {
            "field": field,
            "name": field.name,
            "value": wanted.values.get(field.name, ""),
            "faults": wanted.errors_of(field.name),
            "leads": field.name in _LEADING,
            "hidden": not field.applies(wanted.values),
            "numbers": [str(number) for number in range(field.minimum, field.maximum + 1)]
            if field.kind is Kind.INTEGER and field.maximum - field.minimum < MOST_NUMBERS
            else [],
        }
        for field in options(step)
    ]


# What other parts of the form are shown by.
_LEADING = frozenset({"scope", *(one.only_with[0] for one in options() if one.only_with)})


def _check_tasks(request: HttpRequest, wanted: PlanRequest, project: Project | None) -> None:
    """Note what is wrong with the first step, before anybody fills in the second."""
    if project is None:
        wanted.refuse("project", _("Choose a project in which you may operate."))
        return
    only_tasks = wanted.with_default_dates()
    only_tasks.downstream, only_tasks.downstream_shown = wanted.downstream, wanted.downstream_shown
    if wanted.scope != Scope.SELECTED and wanted.downstream_shown and not wanted.downstream:
        wanted.refuse("downstream_task_ids", _("Choose at least one downstream task."))
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
            (pk, f"{workflow}/{name}", cycle_label(cycle))
            for pk, workflow, name, cycle in listed.order_by(
                "workflow__name", "position", "name", "pk"
            ).values_list("pk", "workflow__name", "name", "cycle")[:MOST_LISTED]
        ],
        EntryKind.WORKFLOWS.value: [
            (pk, name, "")
            for pk, name in Workflow.objects.filter(project=project)
            .order_by("name", "pk")
            .values_list("pk", "name")[:MOST_LISTED]
        ],
        EntryKind.FOLDERS.value: [
            (pk, path, "")
            for pk, path in Folder.objects.filter(project=project)
            .order_by("path", "pk")
            .values_list("pk", "path")[:MOST_LISTED]
        ],
    }
    if wanted.kind in rows:
        rows[wanted.kind].sort(key=lambda row: row[0] not in chosen)
    return rows
