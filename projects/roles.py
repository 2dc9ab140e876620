"""Who may do what in a project: the one table of roles and rights (P1)."""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """A member's role in one project."""

    VIEWER = "viewer", "Viewer"  # sees everything of the project, changes nothing
    DEVELOPER = "developer", "Developer"  # writes and submits definitions
    OPERATOR = "operator", "Operator"  # runs, steers and backfills
    ADMINISTRATOR = "administrator", "Administrator"  # all rights, members and approval included


class Right(models.TextChoices):
    """Something that a role allows."""

    VIEW = "view", "see the project"
    DEVELOP = "develop", "change and submit definitions"
    OPERATE = "operate", "operate tasks, instances and backfill plans"
    APPROVE = "approve", "approve backfill plans"
    ADMINISTER = "administer", "manage members, data sources and settings"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.VIEW}),
    Role.DEVELOPER: frozenset({Right.VIEW, Right.DEVELOP}),
    Role.OPERATOR: frozenset({Right.VIEW, Right.DEVELOP, Right.OPERATE}),
    Role.ADMINISTRATOR: frozenset(Right),
}


def roles_with(right: Right) -> list[Role]:
    """Return the roles that have `right`, in the order of the table."""
    return [role for role, rights in RIGHTS.items() if right in rights]
