"""The admin of instances, and what instances add to the pages of tasks and resource groups."""

from __future__ import annotations

from instances.admin import instances, resource_groups, task_panels

__all__ = ["instances", "resource_groups", "task_panels"]
