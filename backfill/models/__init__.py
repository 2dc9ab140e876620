"""The models of backfill."""

from __future__ import annotations

from backfill.models.plan import Plan
from backfill.models.plan_link import PlanLink
from backfill.models.plan_task import PlanTask
from backfill.models.skip import Skip

__all__ = ["Plan", "PlanLink", "PlanTask", "Skip"]
