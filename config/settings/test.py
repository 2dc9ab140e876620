"""Settings of the test suite."""

from __future__ import annotations

from config.settings.base import env
from config.settings.development import *  # noqa: F403  # Django's way of layering settings

DATABASES["default"]["OPTIONS"].pop("pool")  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://tidemill/"
# Two runs at once on one server need two names.
DATABASES["default"]["TEST"] = {"NAME": env.str("TEST_DATABASE", "test_tidemill")}  # noqa: F405
