"""Events that tasks listen to, and alarms."""

from __future__ import annotations

from django.apps import AppConfig

from projects.ground.words import gettext_lazy


class EventsConfig(AppConfig):
    name = "events"
    verbose_name = gettext_lazy("Events")
