"""Settings of the test suite."""

from __future__ import annotations

from config.settings.base import env
from config.settings.development import *  # noqa: F403  # Django's way of layering settings

DATABASES["default"]["OPTIONS"].pop("pool")  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://tidemill/"
# What a change sets going is done when the verb returns, however slow the machine is.
GO_ON_SECONDS = 600.0
SYSTEM_JOB_SECONDS = 600.0
# Nor is what others are at for a moment left to the sweep.
ENGINE_LOCK_SECONDS = HELD_LOCK_SECONDS = 10.0
# Two runs at once on one server need two names.
DATABASES["default"]["TEST"] = {"NAME": env.str("TEST_DATABASE", "test_tidemill")}  # noqa: F405
# Tests as root look at what their tasks have written, in folders of root's own.
TASK_USERS = False
