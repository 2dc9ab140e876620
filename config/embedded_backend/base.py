"""Django's PostgreSQL backend, with a server that starts at the first connection.

Loading settings starts nothing: a command that needs no database needs no server.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from config.data_directory import data_directory
from config.embedded_postgres import ensure_server


class DatabaseWrapper(base.DatabaseWrapper):
    """The connection; every new one makes sure that there is a server to connect to."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        ensure_server(data_directory())
        return super().get_new_connection(conn_params)
