"""The WSGI entry point."""

from __future__ import annotations

import os

from config.embedded.application import load_application
from projects.ground.memory_guard import guard_memory

guard_memory()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.development")

application = load_application()
