"""The product's Celery app with a publisher that misbehaves when the tests want it to.

Named by FAULTS_DIRECTORY is a folder whose files are switches: while `twice` is there every message
is published twice, while `no-sweep` is there none that asks for a sweep is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kombu.messaging import Producer

from config.celery import app

__all__ = ["app"]

_FOLDER = Path(os.environ["FAULTS_DIRECTORY"])
_publish = Producer.publish

# The test's time is short.
for _name in ("sweep", "rescue", "expand_plans"):
    app.conf.beat_schedule[_name]["schedule"] = 2.0


def _misbehave(self: Producer, *arguments: Any, **options: Any) -> Any:
    task = (options.get("headers") or {}).get("task")
    if task == "instances.sweep" and (_FOLDER / "no-sweep").exists():
        return None
    sent = _publish(self, *arguments, **options)
    if (_FOLDER / "twice").exists():
        sent = _publish(self, *arguments, **options)
        with (_FOLDER / "published-twice").open("a") as count:
            count.write(".")
    return sent


Producer.publish = _misbehave
