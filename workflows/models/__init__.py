"""The models of workflows."""

from __future__ import annotations

from workflows.models.dependency import Dependency
from workflows.models.folder import Folder
from workflows.models.task import Task
from workflows.models.version import TaskVersion
from workflows.models.workflow import Workflow

__all__ = ["Dependency", "Folder", "Task", "TaskVersion", "Workflow"]
