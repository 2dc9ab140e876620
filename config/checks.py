"""What must not be in production, found by `manage.py check --deploy`.

Django's own checks look at DEBUG, SECRET_KEY, cookies and HTTPS; these look at what Tidemill adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

# The pulse renews a lease every half a second; a pause of a worker must not look like its death.
SHORTEST_LEASE_SECONDS = 10
SHORTEST_TOKEN = 16
# Passwords that everybody tries first.
_GUESSED = {"guest", "password", "postgres", "tidemill", "changeme", "secret"}

Apps = Sequence[AppConfig] | None


@register(Tags.compatibility, deploy=True)
def check_broker(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """A broker in memory reaches nobody outside its process."""
    url = settings.CELERY_BROKER_URL
    if not url or url.startswith("memory:"):
        return [
            Error(
                "The message broker is in memory: other processes would hear nothing.",
                hint="Set BROKER_URL to RabbitMQ (amqp://…) or Redis (redis://…).",
                id="tidemill.E001",
            )
        ]
    return _check_login(url, "BROKER_URL", "tidemill.W002")


@register(Tags.compatibility, deploy=True)
def check_database(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """The embedded database serves one machine, without backups or a password."""
    database = settings.DATABASES["default"]
    engine = database["ENGINE"]
    if engine == "config.embedded_backend":
        return [
            Error(
                "The embedded database is for one machine.",
                hint="Set DATABASE_URL to a PostgreSQL server.",
                id="tidemill.E002",
            )
        ]
    if engine != "django.db.backends.postgresql":
        return [
            Error(
                f"Tidemill runs on PostgreSQL, not on {engine}.",
                hint="Set DATABASE_URL to postgresql://…",
                id="tidemill.E003",
            )
        ]
    password = str(database.get("PASSWORD") or "")
    if password and _is_guessed(str(database.get("USER")), password):
        return [_guessed("DATABASE_URL", "tidemill.W001")]
    return []


@register(Tags.security, deploy=True)
def check_keys(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Secrets in the database need keys of their own."""
    keys = [str(key) for key in getattr(settings, "TIDEMILL_KEYS", [])]
    if not keys:
        return [
            Error(
                "There is no key to encrypt secrets with.",
                hint="Set TIDEMILL_KEYS to one or more Fernet keys, the newest first.",
                id="tidemill.E004",
            )
        ]
    found: list[CheckMessage] = []
    for number, key in enumerate(keys, start=1):
        if not _is_fernet_key(key):
            found.append(
                Error(
                    f"Key {number} of TIDEMILL_KEYS is not a Fernet key.",
                    hint="It is 32 random bytes in URL-safe base64; docs/operations.md makes one.",
                    id="tidemill.E005",
                )
            )
    if settings.SECRET_KEY in keys:
        found.append(
            Error(
                "SECRET_KEY is one of TIDEMILL_KEYS: who learns one knows the other.",
                hint="Make each of its own.",
                id="tidemill.E006",
            )
        )
    return found


@register(Tags.security, deploy=True)
def check_metrics_token(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """A short token can be guessed."""
    if 0 < len(settings.METRICS_TOKEN) < SHORTEST_TOKEN:
        return [
            Warning(
                f"METRICS_TOKEN has fewer than {SHORTEST_TOKEN} characters.",
                hint="Take a random one, or none: then there is no /metrics.",
                id="tidemill.W003",
            )
        ]
    return []


@register(Tags.compatibility)
def check_engine(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Numbers that the engine cannot work with."""
    found: list[CheckMessage] = []
    if settings.EXECUTION_LEASE_SECONDS < SHORTEST_LEASE_SECONDS:
        found.append(
            Warning(
                f"EXECUTION_LEASE_SECONDS is {settings.EXECUTION_LEASE_SECONDS}: "
                "workers that pause for a moment will be taken for dead.",
                hint=f"Leave it at 30, or at {SHORTEST_LEASE_SECONDS} at least.",
                id="tidemill.W004",
            )
        )
    if settings.EXECUTIONS_PER_PROCESS < 1:
        found.append(
            Error(
                "EXECUTIONS_PER_PROCESS is below 1: workers would run nothing.",
                hint="Leave it at 16. A resource group with 0 slots holds its work back.",
                id="tidemill.E007",
            )
        )
    return found


def _check_login(url: str, name: str, check_id: str) -> list[CheckMessage]:
    parts = urlsplit(url)
    password = unquote(parts.password or "")
    if password and _is_guessed(unquote(parts.username or ""), password):
        return [_guessed(name, check_id)]
    return []


def _is_guessed(user: str, password: str) -> bool:
    return password.lower() in _GUESSED or password == user


def _guessed(name: str, check_id: str) -> CheckMessage:
    return Warning(
        f"The password in {name} is one that everybody tries first.",
        hint="Give the user a random password.",
        id=check_id,
    )


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:  # binascii.Error is one
        return False
    return True
