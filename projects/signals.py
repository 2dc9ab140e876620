"""What must exist after the tables do, and what follows a changed password or a failed login."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import User

from projects.administration.logins import login_failed
from projects.administration.users import password_changed
from projects.models.resource_group import DEFAULT_GROUP, ResourceGroup


def ensure_default_group(**kwargs: Any) -> None:
    """Make the shared group that tasks use when they name none."""
    ResourceGroup.objects.using(kwargs["using"]).get_or_create(
        name=DEFAULT_GROUP, defaults={"description": "Used by tasks that name no other group."}
    )


def note_password(instance: User, update_fields: frozenset[str] | None, **_: Any) -> None:
    """Note on a user who is about to be saved whether that changes the password."""
    instance._changes_password = False  # type: ignore[attr-defined]
    if instance.pk is None or (update_fields is not None and "password" not in update_fields):
        return
    stored = User.objects.filter(pk=instance.pk).values_list("password", flat=True).first()
    # Django saves the same password anew under a better hash when its owner logs in.
    rehashed = (
        update_fields == {"password"}
        and getattr(instance, "_password", None) is None
        and is_password_usable(instance.password)
    )
    instance._changes_password = (  # type: ignore[attr-defined]
        stored is not None and stored != instance.password and not rehashed
    )


def end_tokens(instance: User, **_: Any) -> None:
    """After a changed password, whoever changed it: admin, command or code."""
    if instance._changes_password:  # type: ignore[attr-defined]
        password_changed(instance)


def record_failed_login(credentials: dict[str, Any], request: Any = None, **_: Any) -> None:
    """Put a login that failed on record."""
    login_failed(str(credentials.get("username") or ""), request)
