"""Definitions: folders, workflows, tasks, versions, schedules, dependencies."""

from __future__ import annotations

from django.apps import AppConfig

from projects.ground.words import gettext_lazy


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = gettext_lazy("Workflows")
