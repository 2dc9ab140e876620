"""What must not be in production, found by `manage.py check --deploy`.

Django's own checks look at DEBUG, SECRET_KEY, cookies and HTTPS; these look at what Tidemill adds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from instances.runners.users import why_not

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
    if engine == "config.embedded.backend":
        return [
            Error(
                "The embedded database is for one machine.",
                hint="Set DATABASE_URL to a PostgreSQL server.",
                id="tidemill.E002",
            )
        ]
    if engine not in ("config.postgres_backend", "django.db.backends.postgresql"):
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


@register(Tags.security, deploy=True)
def check_proxies(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Behind a proxy that nobody speaks of, all clients have its address."""
    if settings.SECURE_PROXY_SSL_HEADER and not settings.REST_FRAMEWORK["NUM_PROXIES"]:
        return [
            Warning(
                "NUM_PROXIES is 0 behind a proxy: every client has the proxy's address, and who "
                "fails to log in uses up the tries of all.",
                hint="Set it to the number of proxies in front, usually 1.",
                id="tidemill.W008",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_users(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Whom tasks run as must not be who holds the secrets, as far as processes run here by now."""
    workers, web = _users_of(_is_task_worker), _users_of(_is_web)
    hint = "Give workers a user of their own: docs/operations.md, “Who tasks run as”."
    found: list[CheckMessage] = []
    if 0 in workers:
        worker = f"A worker runs as root (process {workers[0]})"
        if settings.TASK_USERS and os.geteuid() != 0:
            found.append(
                Warning(
                    f"{worker}; only root can try whether its tasks get users of their own.",
                    hint="Run this check as root.",
                    id="tidemill.W005",
                )
            )
        elif (reason := why_not()) is not None:
            found.append(
                Error(
                    f"{worker}, and its tasks as root too: {reason}.",
                    hint=hint,
                    id="tidemill.E008",
                )
            )
        if not found or found[0].id != "tidemill.E008":
            del workers[0]  # it is not that user whom its tasks run as
    for user in workers.keys() & web.keys():
        found.append(
            Error(
                f"Web (process {web[user]}) and a worker (process {workers[user]}) run as the same "
                "user: what tasks write, web may run.",
                hint=hint,
                id="tidemill.E009",
            )
        )
    return found


def _users_of(wanted: Callable[[list[str]], bool]) -> dict[int, int]:
    """Return the users that processes of a kind run as on this machine, each with one of them."""
    found: dict[int, int] = {}
    for process in psutil.process_iter(["pid", "uids", "cmdline"]):
        if process.info["uids"] and wanted(process.info["cmdline"] or []):
            found.setdefault(process.info["uids"].effective, process.info["pid"])
    return found


def _is_task_worker(command: list[str]) -> bool:
    """Whether it is a worker of a resource group; that of the system queue runs no tasks."""
    return "worker" in command and any("tidemill.group." in word for word in command)


def _is_web(command: list[str]) -> bool:
    return any(word.partition(":")[0] == "config.wsgi" for word in command)


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
