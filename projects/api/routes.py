"""The API's routes of projects."""

from __future__ import annotations

from django.urls import URLPattern, path
from rest_framework.routers import BaseRouter

from projects.api.data_sources import DataSourceViewSet
from projects.api.login import LogoutView, MeView, TokenView
from projects.api.members import MemberViewSet
from projects.api.operations import OperationViewSet
from projects.api.projects import ProjectViewSet
from projects.api.resource_groups import ResourceGroupViewSet
from projects.api.tokens import TokenViewSet


def register(router: BaseRouter) -> None:
    """Add the view sets to the router."""
    router.register("projects", ProjectViewSet, basename="project")
    router.register("members", MemberViewSet, basename="member")
    router.register("resource-groups", ResourceGroupViewSet, basename="resource-group")
    router.register("data-sources", DataSourceViewSet, basename="data-source")
    router.register("tokens", TokenViewSet, basename="api-token")
    router.register("operations", OperationViewSet, basename="operation")


urlpatterns: list[URLPattern] = [
    path("auth/token/", TokenView.as_view(), name="token"),
    path("auth/logout/", LogoutView.as_view(), name="logout"),
    path("me/", MeView.as_view(), name="me"),
]
