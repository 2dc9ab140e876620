"""Who sees and touches what (P1, P2): every query that serves a user goes through here.

A superuser runs the installation and has every right everywhere. `None` as a user is the system
itself (beat, commands): it has every right too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from projects.ground.closed_box import Sight
from projects.ground.refusals import Forbidden, NotFound
from projects.models import Member, Operation, OperationPart, Project
from projects.roles import Right, roles_with

Actor = Any  # a user of AUTH_USER_MODEL, AnonymousUser, or None for the system
M = TypeVar("M", bound=Model)


def is_unbounded(user: Actor) -> bool:
    """Return whether `user` has every right everywhere: a superuser, or the system itself."""
    return user is None or bool(
        isinstance(user, AbstractBaseUser)
        and getattr(user, "is_superuser", False)
        and user.is_active
    )


def projects_with(user: Actor, right: Right = Right.VIEW) -> QuerySet[Project]:
    """Return the projects in which `user` has `right`."""
    if is_unbounded(user):
        return Project.objects.all()
    if isinstance(user, AnonymousUser) or not user.is_active:
        return Project.objects.none()
    member = Member.objects.filter(user=user, role__in=roles_with(right))
    return Project.objects.filter(pk__in=member.values("project_id"))


def scope(
    queryset: QuerySet[M], user: Actor, right: Right = Right.VIEW, *, path: str = "project"
) -> QuerySet[M]:
    """Return the rows of `queryset` whose project, reached by `path`, gives `user` the right."""
    if is_unbounded(user):
        return queryset
    field = "pk__in" if path == "" else f"{path}__in"
    return queryset.filter(**{field: projects_with(user, right)})


def operations_of(user: Actor) -> QuerySet[Operation]:
    """Return the records that `user` may read: of their projects, also among others, and their own.

    Of one over several projects they see their part: see `projects.verbs.recording`.
    """
    rows = Operation.objects.all()
    if is_unbounded(user):
        return rows
    mine = projects_with(user)
    parts = OperationPart.objects.filter(operation=OuterRef("pk"), project__in=mine)
    own = Q(actor=user.pk) | Q(Exists(parts))
    return rows.filter(Q(project__in=mine) | Q(own, project=None))


def sight(user: Actor) -> Sight:
    """Return what `user` sees of neighbours; one query, however many are shown."""
    if is_unbounded(user):
        return Sight()
    return Sight(frozenset(projects_with(user).values_list("pk", flat=True)))


def projects_lacking(user: Actor, project_ids: Iterable[int], right: Right) -> set[int]:
    """Return those of `project_ids` in which `user` lacks `right`; one query."""
    wanted = set(project_ids)
    if is_unbounded(user):
        return set()
    allowed = projects_with(user, right).filter(pk__in=wanted).values_list("pk", flat=True)
    return wanted - set(allowed)


def require(user: Actor, project_id: int, right: Right) -> None:
    """Raise NotFound for who does not see the project, Forbidden for who lacks the right."""
    if not projects_lacking(user, [project_id], right):
        return
    if projects_lacking(user, [project_id], Right.VIEW):
        raise NotFound(_("There is no such project, or you are not a member of it."))
    refused = _("Your role in this project does not allow you to {right}.")
    raise Forbidden(refused.format(right=right.label))
