"""Revisions of plan drafts: see workflows.editing.revisions."""

from __future__ import annotations

from typing import Any

from backfill.models import Plan
from backfill.spec import PlanSpec
from projects.ground.refusals import Outdated
from workflows.definitions.version_diff import FieldDifference
from workflows.editing.revisions import digest


def revision_of(plan: Plan) -> str:
    """Return the present revision."""
    return digest(_editable(plan))


def check_revision(
    plan: Plan, revision: str | None, *, spec: PlanSpec | None, **texts: str | None
) -> None:
    """Raise Outdated unless the locked draft has the revision still; None does not ask.

    spec, texts: what is to be saved; what is None stays.
    """
    if revision is None or revision == (present := revision_of(plan)):
        return
    saved = _editable(plan)
    sent: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
    if spec is not None:
        sent |= dict.fromkeys(plan.spec) | spec.to_mapping()
    differences = [
        FieldDifference(name, saved.get(name), value)
        for name, value in sent.items()
        if value != saved.get(name)
    ]
    if not differences:
        return  # what was sent is saved already
    raise Outdated(present, fields={one.field: one.lines for one in differences})


def _editable(plan: Plan) -> dict[str, Any]:
    return {**plan.spec, "name": plan.name, "description": plan.description}
