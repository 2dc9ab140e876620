"""Production: several processes on several machines, everything from the environment.

Needed: SECRET_KEY, TIDEMILL_KEYS (Fernet keys, newest first), ALLOWED_HOSTS, DATABASE_URL and
BROKER_URL. Without TLS in front (a trial in a closed network) set HTTPS=false.
docs/operations.md has all variables.
"""

from __future__ import annotations

from typing import Any

from config.embedded.data_directory import data_directory
from config.settings import broker
from config.settings.base import *  # noqa: F403  # Django's way of layering settings
from config.settings.base import BASE_DIR, EXECUTIONS_PER_PROCESS, env
from config.settings.database import bounded

DATA_DIRECTORY = data_directory()  # folders of running tasks, on this machine alone

DEBUG = False
SECRET_KEY = env.str("SECRET_KEY")
TIDEMILL_KEYS = env.list("TIDEMILL_KEYS")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# Threads of a process share connections: one for each that runs a task, and a few of its own.
_database: dict[str, Any] = dict(env.db_url_config(env.str("DATABASE_URL")))
DATABASES = {
    "default": bounded(
        _database, connections=env.int("DATABASE_POOL_SIZE", EXECUTIONS_PER_PROCESS + 4)
    )
}
CELERY_BROKER_URL = env.str("BROKER_URL")
CELERY_BROKER_TRANSPORT_OPTIONS = broker.bounded(CELERY_BROKER_URL)

HTTPS = env.bool("HTTPS", True)
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
# Probes and scrapers come straight to the process, not through the proxy that speaks TLS.
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
# A year. For a first trial of HTTPS take 3600, so that a mistake heals.
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 365 * 24 * 3600) if HTTPS else 0
# The proxy in front must set this header, and drop the one that a client sends.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for all subdomains is not ours to decide
    "security.W021",  # nor is the browsers' preload list
]

STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
