"""Definitions: folders, workflows, tasks, versions, schedules, dependencies."""

from __future__ import annotations

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Workflows"
