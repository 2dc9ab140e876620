"""Django's PostgreSQL backend, with a server that starts at the first connection.

Loading settings starts nothing: a command that needs no database needs no server.
"""

from __future__ import annotations

from typing import Any

from config.embedded.data_directory import data_directory
from config.embedded.postgres import ensure_server
from config.postgres_backend import base


class DatabaseWrapper(base.DatabaseWrapper):
    """The connection; every new one makes sure that there is a server to connect to."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        ensure_server(data_directory())
        return super().get_new_connection(conn_params)
