"""Settings of a benchmark's processes: as shipped, with queues that nobody else consumes."""

from __future__ import annotations

import os

from config.settings.development import *  # noqa: F403  # Django's way of layering settings

SYSTEM_QUEUE = CELERY_TASK_DEFAULT_QUEUE = f"{os.environ['BENCH_RUN']}.system"
# Workers in production are not root, whoever runs the benchmarks.
TASK_USERS = False
