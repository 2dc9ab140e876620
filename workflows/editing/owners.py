"""Who may own workflows and tasks: the members of their project, and those who run everything."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from projects.ground.fields.faults import FieldError


def possible_owners(project_id: int) -> QuerySet:
    """Return the users who may own something in the project."""
    return (
        get_user_model()
        .objects.filter(Q(memberships__project=project_id) | Q(is_superuser=True), is_active=True)
        .distinct()
    )


def check_owners(
    project_id: int, user_ids: Iterable[int], field: str = "owners"
) -> tuple[set[int], list[FieldError]]:
    """Return those of the users who may own, and a fault for each other one; one query."""
    wanted = list(dict.fromkeys(user_ids))
    found = set(possible_owners(project_id).filter(pk__in=wanted).values_list("pk", flat=True))
    message = _("User {id} is not a member of this project.")
    faults = [
        (f"{field}.{index}", message.format(id=pk))
        for index, pk in enumerate(wanted)
        if pk not in found
    ]
    return found, faults
