"""The Celery tasks of plans: each calls its verbs."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.db.models import F, Q

from backfill.expanding import expand_plan
from backfill.models import Plan
from backfill.nudging import EXPAND_TASK, nudge_expansion
from backfill.settling import settle_plans
from backfill.states import PlanState

logger = structlog.get_logger(__name__)


@shared_task(name=EXPAND_TASK)
def expand_plans() -> None:
    """Make the instances of submitted plans, a share of each in turn, and settle finished plans."""
    waiting = Plan.objects.filter(
        Q(state=PlanState.EXPANDING)
        | Q(state=PlanState.TERMINATED, expanded_count__lt=F("planned_count"))
    )
    more = False
    for pk in waiting.order_by("pk").values_list("pk", flat=True):
        try:
            more |= expand_plan(pk)
        except Exception:  # one plan's trouble is not another's; the next tick tries again
            logger.exception("expansion_failed", plan_id=pk)
    settle_plans()
    if more:
        nudge_expansion()
