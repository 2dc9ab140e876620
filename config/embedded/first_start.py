"""What a start makes sure of before it serves: the tables are up to date, somebody can log in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.postgres_backend.base import without_bounds

FIRST_USER = "admin"
# Any number that is ours alone: two starts at once on one database migrate one after the other.
MIGRATION_LOCK = 7_463_291_005


@dataclass(frozen=True, slots=True)
class Login:
    """The first login. password is known only to the start that made it."""

    user_name: str
    password: str | None


def migrate_when_needed() -> bool:
    """Apply the migrations that are missing, and answer whether there were any."""
    if not _pending():
        return False
    # Whoever has the lock takes its time.
    with without_bounds(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            if _pending():
                call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
    return True


def ensure_first_login() -> Login | None:
    """Make the user `admin` with a random password when nobody can administer yet.

    Answers the login to show, or None when the administrators are other users by now.
    """
    users = get_user_model()._default_manager
    if not users.filter(is_superuser=True, is_active=True).exists():
        password = secrets.token_urlsafe(12)
        _, created = users.get_or_create(
            username=FIRST_USER,
            defaults={
                "password": make_password(password),
                "is_superuser": True,
                "is_staff": True,
            },
        )
        if created:
            return Login(FIRST_USER, password)
    if users.filter(username=FIRST_USER, is_superuser=True, is_active=True).exists():
        return Login(FIRST_USER, None)
    return None


def _pending() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
