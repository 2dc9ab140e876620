"""Submitting plans: what was asked for is fixed, and instances are made of it (B1, design §7)."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.utils.translation import ngettext

from backfill import transitions
from backfill.models import Plan, PlanLink, PlanTask
from backfill.planning.context import PlanContext, load_context
from backfill.planning.counting import GridCount
from backfill.planning.dates import data_dates
from backfill.planning.lanes import lanes_of
from backfill.planning.preview import checked_count
from backfill.running.nudging import nudge_expansion
from backfill.spec import PlanSpec
from backfill.states import PlanState
from backfill.verbs.noun import PLANS
from instances.engine.days import make_days
from instances.models import Batch
from projects.access import Actor
from projects.ground import clock
from projects.ground.bulk import copy_rows
from projects.ground.refusals import Refusal
from projects.ground.words import gettext_lazy, thousands
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection


@declare(
    PLANS,
    "submit",
    title=gettext_lazy("Submit"),
    done=gettext_lazy("submitted"),
    icon="play_arrow",
    place=1,
    warning=gettext_lazy(
        "Tasks, versions, dependencies and dates are fixed as they are now, and instances are made"
        " and run at once. Look at the preview first."
    ),
    effects={PlanState.DRAFT: gettext_lazy("its instances are made and run")},
)
def submit_plans(selection: Selection) -> list[ItemOutcome]:
    """Fix the plans' tasks, versions, dependencies and cells, and let their instances be made.

    Each selects and counts as `preview` does, and refuses what it refuses. From here on a plan is
    EXPANDING; `expanding.expand_plan` does the work, told after the commit.
    """
    details: dict[int, str] = {}
    refused: dict[int, ItemOutcome] = {}
    for plan in Plan.objects.select_related("project").filter(pk__in=selection.rows).order_by("pk"):
        try:
            with transaction.atomic():
                number = _submit(plan, selection.actor)
                said = ngettext(
                    "{count} instances are made.", "{count} instances are made.", number
                )
                details[plan.pk] = said.format(count=thousands(number))
        except Refusal as error:
            refusal = selection.refuse(plan.pk, error.code, error.detail)
            refused[plan.pk] = replace(refusal, refusal=error)
    if details:
        transaction.on_commit(nudge_expansion)
    outcomes = selection.outcomes(selection.rows, details=details)
    return [refused.get(one.id, one) for one in outcomes]


def _submit(plan: Plan, actor: Actor) -> int:
    spec = PlanSpec.from_mapping(plan.spec)
    context = load_context(actor=actor, project=plan.project, spec=spec)
    count = checked_count(context)
    now = clock.now()
    plan.planned_count = count.cells
    write_spec(plan, context)
    plan.save(
        update_fields=["planned_count", "spec", "task_count", "first_data_date", "last_data_date"]
    )
    _fix_tasks(plan, context, count)
    _fix_links(plan, context)
    batch = Batch.objects.create(project=plan.project, name=plan.name, created_by=actor)
    make_days(batch.pk, lanes_of(spec), now=now)
    transitions.begin_expansion(plan, batch, now=now)
    return count.instances


def write_spec(plan: Plan, context: PlanContext) -> None:
    """Set what a plan asks for, and what lists show of it."""
    plan.spec = context.spec.to_mapping()
    plan.task_count = len(context.selection.task_ids)
    plan.first_data_date, plan.last_data_date = data_dates(context.spec)


def _fix_tasks(plan: Plan, context: PlanContext, count: GridCount) -> None:
    rows = []
    for position, task_id in enumerate(context.selection.task_ids):
        version_id = context.facts[task_id].version_id
        assert version_id is not None  # selection takes only tasks in operations
        rows.append(
            PlanTask(
                plan=plan,
                task_id=task_id,
                version_id=version_id,
                position=position,
                cell_count=count.by_task[position].cells,
            )
        )
    PlanTask.objects.bulk_create(rows)


def _fix_links(plan: Plan, context: PlanContext) -> None:
    copy_rows(
        PlanLink._meta.db_table,
        ("plan_id", "upstream_id", "upstream_version_id", "downstream_id", "offset", "scope"),
        (
            (
                plan.pk,
                link.upstream,
                context.facts[link.upstream].version_id,
                link.downstream,
                link.offset.value,
                link.scope.value,
            )
            for link in context.links
            if link.upstream in context.facts  # else it has no version, and owes nobody anything
        ),
    )
