"""Backfill plans: selection, preview, expansion, control."""

from __future__ import annotations

from django.apps import AppConfig


class BackfillConfig(AppConfig):
    name = "backfill"
    verbose_name = "Backfill"
