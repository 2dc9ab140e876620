"""Users and members."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from projects.models import Member, Project
from projects.roles import Role
from tests.factories.naming import fresh


def make_user(username: str = "", *, password: str = "", **fields: object) -> User:
    """Make a user; without a password it can only be forced in."""
    return get_user_model().objects.create_user(
        username or fresh("user"), password=password or None, **fields
    )


def make_superuser(username: str = "", *, password: str = "") -> User:
    """Make a user with every right everywhere."""
    return make_user(username, password=password, is_superuser=True, is_staff=True)


def make_member(project: Project, role: Role = Role.DEVELOPER, *, user: User | None = None) -> User:
    """Make a user (or take the given one) a member of the project; return the user."""
    user = user or make_user(is_staff=True)
    Member.objects.create(project=project, user=user, role=role)
    return user
