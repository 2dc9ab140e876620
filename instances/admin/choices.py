"""What the filter by plan offers: what the user may see."""

from __future__ import annotations

from django.apps import apps
from django.http import HttpRequest

from projects.access import scope


def plan_choices(request: HttpRequest) -> list[tuple[int, str]]:
    """Return the newest plans; their model belongs to an upper app, so it is asked for by name."""
    rows = scope(apps.get_model("backfill", "Plan").objects.all(), request.user)
    return list(rows.order_by("-pk").values_list("pk", "name")[:100])
