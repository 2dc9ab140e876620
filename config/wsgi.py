"""The WSGI entry point."""

from __future__ import annotations

import os

from config.application import load_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.development")

application = load_application()
