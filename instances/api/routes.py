"""The API's routes of instances."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from instances.api.executions import ExecutionViewSet
from instances.api.instances import InstanceViewSet


def register(router: BaseRouter) -> None:
    """Add the view sets to the router."""
    router.register("instances", InstanceViewSet, basename="instance")
    router.register("executions", ExecutionViewSet, basename="execution")
