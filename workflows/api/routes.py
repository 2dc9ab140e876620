"""The API's routes of workflows."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from workflows.api.folders import FolderViewSet
from workflows.api.graph import DependencyViewSet, VersionViewSet
from workflows.api.tasks import TaskViewSet
from workflows.api.workflows import WorkflowViewSet


def register(router: BaseRouter) -> None:
    """Add the view sets to the router."""
    router.register("folders", FolderViewSet, basename="folder")
    router.register("workflows", WorkflowViewSet, basename="workflow")
    router.register("tasks", TaskViewSet, basename="task")
    router.register("versions", VersionViewSet, basename="version")
    router.register("dependencies", DependencyViewSet, basename="dependency")
