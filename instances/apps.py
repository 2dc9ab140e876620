"""Instances and the engine that runs them."""

from __future__ import annotations

from django.apps import AppConfig

from projects.ground.words import gettext_lazy


class InstancesConfig(AppConfig):
    name = "instances"
    verbose_name = gettext_lazy("Instances")

    def ready(self) -> None:
        from instances.runners.registry import BUILT_IN
        from workflows.definitions.task_types import register

        register(*BUILT_IN)
