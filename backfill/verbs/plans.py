"""Drafting plans (B1, design §7)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from backfill.models import Plan
from backfill.names import default_name
from backfill.planning.context import load_context
from backfill.spec import PlanSpec
from backfill.states import PlanState
from backfill.verbs.revisions import check_revision
from backfill.verbs.submit import write_spec
from projects.access import Actor, require, scope
from projects.ground import clock
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.fields.faults import FieldError
from projects.ground.fields.json import text_fault
from projects.ground.fields.reader import too_long
from projects.ground.refusals import Coded, Conflict, Invalid, NotFound
from projects.models import Project
from projects.roles import Right
from projects.verbs.recording import ItemOutcome, record
from workflows.editing.name_lock import lock_names
from workflows.editing.names import check_name

MAX_DESCRIPTION_LENGTH = 256


@repeat_on_deadlock
@transaction.atomic
def create_plan(
    *,
    actor: Actor,
    project_id: int,
    spec: PlanSpec,
    name: str | None = None,
    description: str = "",
) -> Plan:
    """Make a draft; without a name it is called patch_<yyyyMMddHHmmss>_<nnn> (B1).

    Raises NotFound, Forbidden, or Invalid at `name`, `description` or a field of the spec: a draft
    asks for tasks that exist and that its author may operate, within the limits.
    """
    require(actor, project_id, Right.OPERATE)
    project = Project.objects.get(pk=project_id)
    context = load_context(actor=actor, project=project, spec=spec)
    lock_names(project_id)
    plan = Plan(
        project=project,
        name=_free_name(project, clock.now()) if name is None else name,
        description=description,
        created_by=actor,
    )
    _check_texts(plan)
    write_spec(plan, context)
    plan.save()
    _record(actor, "backfill.create", plan)
    return plan


@repeat_on_deadlock
@transaction.atomic
def update_plan(
    *,
    actor: Actor,
    plan_id: int,
    name: str | None = None,
    description: str | None = None,
    spec: PlanSpec | None = None,
    revision: str | None = None,
) -> Plan:
    """Change a draft; what is None stays. Raises Conflict when the plan is no draft any more.

    revision: the one that the changes begin with; raises Outdated when it is not the present one.
    """
    plan = _lock_draft(actor, plan_id, _("The plan is {state}; only a draft can be changed."))
    check_revision(plan, revision, spec=spec, name=name, description=description)
    changed = []
    if name is not None and name != plan.name:
        plan.name = name
        changed.append("name")
    if description is not None:
        plan.description = description
        changed.append("description")
    if spec is not None:
        write_spec(plan, load_context(actor=actor, project=plan.project, spec=spec))
        changed += ["spec", "task_count", "first_data_date", "last_data_date"]
    if changed:
        lock_names(plan.project_id)
        _check_texts(plan)
        plan.save(update_fields=changed)
        _record(actor, "backfill.update", plan, {"changed": changed})
    return plan


@repeat_on_deadlock
@transaction.atomic
def delete_draft(*, actor: Actor, plan_id: int) -> None:
    """Delete a plan that was never submitted. Raises Conflict for any other."""
    plan = _lock_draft(actor, plan_id, _("The plan is {state}; only a draft can be deleted."))
    _record(actor, "backfill.delete", plan)
    plan.delete()


def find_plan(actor: Actor, plan_id: int, right: Right = Right.VIEW) -> Plan:
    """Return a plan of a project in which the user has the right; NotFound or Forbidden."""
    plan = scope(Plan.objects.select_related("project"), actor).filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(_missing(plan_id))
    require(actor, plan.project_id, right)
    return plan


def _missing(plan_id: int) -> str:
    return _("There is no plan {id} in your projects.").format(id=plan_id)


def _lock_draft(actor: Actor, plan_id: int, otherwise: str) -> Plan:
    find_plan(actor, plan_id, Right.OPERATE)
    locked = Plan.objects.select_related("project").select_for_update(of=("self",))
    plan = locked.filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(_missing(plan_id))
    if plan.state != PlanState.DRAFT:
        state = PlanState(plan.state).label.lower()
        raise Conflict(otherwise.format(state=state))
    return plan


def _check_texts(plan: Plan) -> None:
    """Raise Invalid unless name and description will do; the caller has locked the names."""
    faults = check_name(plan.name) + _check_description(plan.description)
    others = Plan.objects.filter(project=plan.project, name=plan.name).exclude(pk=plan.pk)
    if not faults and others.exists():
        taken = _("The project has a plan of this name already.")
        faults = [("name", Coded(taken, "name_taken"))]
    if faults:
        raise Invalid.from_pairs(faults)


def _check_description(description: object) -> list[FieldError]:
    if not isinstance(description, str):
        return [("description", _("Must be a text."))]
    if len(description) > MAX_DESCRIPTION_LENGTH:
        message = too_long(MAX_DESCRIPTION_LENGTH, len(description))
        return [("description", Coded(message, "description_too_long"))]
    fault = text_fault(description)
    return [("description", fault)] if fault else []


def _free_name(project: Project, now: datetime) -> str:
    local_now = now.astimezone(ZoneInfo(project.time_zone))
    of_this_second = Plan.objects.filter(
        project=project, name__startswith=f"patch_{local_now:%Y%m%d%H%M%S}_"
    )
    return default_name(local_now, set(of_this_second.values_list("name", flat=True)))


def _record(actor: Actor, verb: str, plan: Plan, options: dict[str, object] | None = None) -> None:
    record(
        actor=actor,
        verb=verb,
        object_type="plan",
        project_id=plan.project_id,
        options=options,
        outcomes=[ItemOutcome(plan.pk, label=plan.name)],
    )
