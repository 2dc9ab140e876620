"""The app that owns Tidemill's own processes, checks and metrics."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate

from config.postgres_backend.base import DatabaseWrapper


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Tidemill"

    def ready(self) -> None:
        # They register themselves: system checks, and what follows a run of a periodic job.
        import_module("config.checks")
        import_module("config.watching.ticks")
        accepted = import_module("projects.verbs.background").accepted
        accepted.connect(import_module("config.tasks").nudge_operations)
        pre_migrate.connect(_take_time, sender=self)
        post_migrate.connect(_take_time_no_more, sender=self)


def _take_time(using: str, **_: Any) -> None:
    if isinstance(wrapper := connections[using], DatabaseWrapper):
        wrapper.lift_bounds()


def _take_time_no_more(using: str, **_: Any) -> None:
    if isinstance(wrapper := connections[using], DatabaseWrapper):
        wrapper.keep_bounds()
