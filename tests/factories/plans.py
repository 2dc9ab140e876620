"""Backfill plans, made by the product's own verbs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from backfill.models import Plan
from backfill.running.expanding import expand_plan
from backfill.spec import PlanSpec
from backfill.verbs.plans import create_plan
from backfill.verbs.submit import submit_plans
from workflows.models import Task


def make_spec(
    tasks: Sequence[Task | int] = (),
    first: str | date = "2024-05-01",
    last: str | date | None = None,
    **fields: Any,
) -> PlanSpec:
    """Make a spec of the tasks over the data dates from `first` to `last` (default: `first`).

    make_spec([load], "2024-05-01", "2024-05-07", scope="selected_and_downstream")
    """
    entry = {"kind": "tasks", "ids": [getattr(task, "pk", task) for task in tasks]}
    period = {"first": str(first), "last": str(last or first)}
    return PlanSpec.from_mapping({"entry": entry, "periods": [period], **fields})


def make_plan(spec: PlanSpec, *, project_id: int | None = None, **fields: Any) -> Plan:
    """Make a draft in the project of the first task of the spec, unless one is given."""
    if project_id is None:
        project_id = Task.objects.values_list("project_id", flat=True).get(pk=spec.entry.ids[0])
    return create_plan(actor=None, project_id=project_id, spec=spec, **fields)


def make_submitted_plan(spec: PlanSpec, **fields: Any) -> Plan:
    """Make a plan and submit it; nothing of it is expanded yet."""
    return submit_plans.one(actor=None, pk=make_plan(spec, **fields).pk)


def make_expanded_plan(spec: PlanSpec, **fields: Any) -> Plan:
    """Make a plan, submit it, and make all of its instances and skips."""
    plan = make_submitted_plan(spec, **fields)
    while expand_plan(plan.pk):
        pass
    plan.refresh_from_db()
    return plan
