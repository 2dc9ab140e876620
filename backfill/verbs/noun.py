"""Plans, as what verbs act on."""

from __future__ import annotations

from django.utils.translation import ngettext

from backfill.models import Plan
from backfill.models.shown import shown_state
from backfill.running.settling import settle_plans
from backfill.states import PlanState
from projects.ground.words import gettext_lazy, thousands
from projects.verbs.verb import Noun


def _plans(number: int) -> str:
    return ngettext("{count} plan", "{count} plans", number).format(count=thousands(number))


PLANS = Noun(
    key="plan",
    plural="plans",
    model=Plan,
    states=PlanState,
    missing=gettext_lazy("There is no such plan in your projects."),
    filterset="backfill.filters.PlanFilter",
    counted=_plans,
    label=("name",),
    state=shown_state,
    prepare=settle_plans,
    record="backfill",
)
