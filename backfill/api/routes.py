"""The API's routes of backfill plans."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from backfill.api.plans import BackfillViewSet


def register(router: BaseRouter) -> None:
    """Add the view sets to the router."""
    router.register("backfills", BackfillViewSet, basename="backfill")
