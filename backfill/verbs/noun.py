"""Plans, as what verbs act on."""

from __future__ import annotations

from backfill.models import Plan
from backfill.models.shown import shown_state
from backfill.running.settling import settle_plans
from backfill.states import PlanState
from projects.verbs.verb import Noun

PLANS = Noun(
    key="plan",
    plural="plans",
    model=Plan,
    states=PlanState,
    missing="There is no such plan in your projects.",
    filterset="backfill.filters.PlanFilter",
    label=("name",),
    state=shown_state,
    prepare=settle_plans,
    record="backfill",
)
