"""The bounds of a connection to the message broker."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from config.settings.base import BROKER_SECONDS


def bounded(url: str) -> dict[str, Any]:
    """Return Celery's options of every connection to the broker, whoever reads or writes."""
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return {"polling_interval": 0.01}  # seconds from send to start
    if scheme.startswith(("redis", "sentinel")):
        return {
            "socket_timeout": BROKER_SECONDS,
            "socket_connect_timeout": BROKER_SECONDS,
            "socket_keepalive": True,
            "retry_on_timeout": False,
        }
    return {}  # AMQP has heartbeats; who publishes has more (`config.celery`)
