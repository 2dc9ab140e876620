"""Backfill plans: selection, preview, expansion, control."""

from __future__ import annotations

from django.apps import AppConfig

from projects.ground.counterparts import Counterpart, add_counterpart
from projects.ground.words import gettext_lazy


class BackfillConfig(AppConfig):
    name = "backfill"
    verbose_name = gettext_lazy("Backfill")

    def ready(self) -> None:
        # Models load after apps.
        from backfill.models import Plan
        from instances.models import Batch

        add_counterpart(Batch, Counterpart(Plan, "batch", "plan", "admin:backfill_plan_change"))
