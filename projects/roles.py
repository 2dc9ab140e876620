"""Who may do what in a project: the one table of roles and rights (P1)."""

from __future__ import annotations

from django.db import models

from projects.ground.words import gettext_lazy


class Role(models.TextChoices):
    """A member's role in one project."""

    VIEWER = "viewer", gettext_lazy("Viewer")  # sees everything of the project, changes nothing
    DEVELOPER = "developer", gettext_lazy("Developer")  # writes and submits definitions
    OPERATOR = "operator", gettext_lazy("Operator")  # runs, steers and backfills
    # All rights, members and approval included.
    ADMINISTRATOR = "administrator", gettext_lazy("Administrator")


class Right(models.TextChoices):
    """Something that a role allows."""

    VIEW = "view", gettext_lazy("see the project")
    DEVELOP = "develop", gettext_lazy("change and submit definitions")
    OPERATE = "operate", gettext_lazy("operate tasks, instances and backfill plans")
    APPROVE = "approve", gettext_lazy("approve backfill plans")
    ADMINISTER = "administer", gettext_lazy("manage members, data sources and settings")


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.VIEW}),
    Role.DEVELOPER: frozenset({Right.VIEW, Right.DEVELOP}),
    Role.OPERATOR: frozenset({Right.VIEW, Right.DEVELOP, Right.OPERATE}),
    Role.ADMINISTRATOR: frozenset(Right),
}


def roles_with(right: Right) -> list[Role]:
    """Return the roles that have `right`, in the order of the table."""
    return [role for role, rights in RIGHTS.items() if right in rights]
