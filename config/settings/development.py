"""The embedded default: one process, everything in the data directory, nothing to configure."""

from __future__ import annotations

from typing import Any

from config.embedded.data_directory import data_directory, load_secrets
from config.embedded.postgres import database_url
from config.settings import broker
from config.settings.base import *  # noqa: F403  # Django's way of layering settings
from config.settings.base import env
from config.settings.database import bounded

DATA_DIRECTORY = data_directory()
_secrets = load_secrets(DATA_DIRECTORY)

DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", _secrets.secret_key)
TIDEMILL_KEYS = env.list("TIDEMILL_KEYS", default=list(_secrets.encryption_keys))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])

_database: dict[str, Any] = dict(
    env.db_url_config(env.str("DATABASE_URL", "") or database_url(DATA_DIRECTORY))
)
if not env.str("DATABASE_URL", ""):
    _database["ENGINE"] = "config.embedded.backend"  # starts the server at the first connection
DATABASES = {"default": bounded(_database, connections=40)}

CELERY_BROKER_URL = env.str("BROKER_URL", "") or "memory://tidemill/"
CELERY_BROKER_TRANSPORT_OPTIONS = broker.bounded(CELERY_BROKER_URL)

WHITENOISE_USE_FINDERS = True  # static files straight from the packages, nothing to collect
WHITENOISE_AUTOREFRESH = False
