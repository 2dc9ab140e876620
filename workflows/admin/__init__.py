"""The admin of folders, workflows and tasks."""

from __future__ import annotations

from workflows.admin import folders, tasks, workflows

__all__ = ["folders", "tasks", "workflows"]
