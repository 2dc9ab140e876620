"""The bounds of a connection to the database, whichever server it is."""

from __future__ import annotations

from typing import Any

from config.settings.base import (
    DATABASE_CONNECT_SECONDS,
    DATABASE_POOL_SECONDS,
    DATABASE_POOLER,
    DATABASE_SILENCE_SECONDS,
)
from projects.ground.database import PatientConnection


def bounded(database: dict[str, Any], *, connections: int) -> dict[str, Any]:
    """Return Django's mapping of a database with a pool, and a bound on all that it waits for.

    connections: of a process at most. They are opened when needed and closed after ten idle
    minutes.
    """
    if database["ENGINE"] == "django.db.backends.postgresql":
        database["ENGINE"] = "config.postgres_backend"
    database["CONN_HEALTH_CHECKS"] = True  # after a restart of the database old ones are dead
    # A cursor on the server belongs to a session, which a pooler may change in between.
    database["DISABLE_SERVER_SIDE_CURSORS"] = DATABASE_POOLER
    database.setdefault("OPTIONS", {}).update(
        connect_timeout=DATABASE_CONNECT_SECONDS,
        # The kernel asks a silent peer after half of the time, and gives it up when it has not
        # answered by the end of it; the same for what was sent and never received.
        keepalives_idle=max(DATABASE_SILENCE_SECONDS // 2, 1),
        keepalives_interval=max(DATABASE_SILENCE_SECONDS // 5, 1),
        keepalives_count=3,
        tcp_user_timeout=DATABASE_SILENCE_SECONDS * 1000,
        pool={
            "connection_class": PatientConnection,
            "min_size": 1,
            "max_size": connections,
            "timeout": DATABASE_POOL_SECONDS,
        },
    )
    return database
