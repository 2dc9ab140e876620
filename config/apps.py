"""The app that owns Tidemill's own processes, checks and metrics."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Tidemill"

    def ready(self) -> None:
        # They register themselves: system checks, and what follows a run of a periodic job.
        import_module("config.checks")
        import_module("config.ticks")
