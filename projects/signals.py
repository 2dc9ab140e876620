"""What must exist after the tables do."""

from __future__ import annotations

from typing import Any

from projects.models.resource_group import DEFAULT_GROUP, ResourceGroup


def ensure_default_group(**kwargs: Any) -> None:
    """Make the shared group that tasks use when they name none."""
    ResourceGroup.objects.using(kwargs["using"]).get_or_create(
        name=DEFAULT_GROUP, defaults={"description": "Used by tasks that name no other group."}
    )
