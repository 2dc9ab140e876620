"""Django's PostgreSQL backend, with a bound on everything that a session may wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql import base
from psycopg import Connection, IsolationLevel, sql

from projects.ground.database import PatientConnection, patience, session_settings


class DatabaseWrapper(base.DatabaseWrapper):
    """The connection; each new session is told its bounds."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.pool:
            return super().get_new_connection(conn_params)
        self.isolation_level = IsolationLevel.READ_COMMITTED
        return PatientConnection.connect(**conn_params)

    def lift_bounds(self) -> None:
        """Let this session take its time, for migrations."""
        self.ensure_connection()
        self._set(self.connection, dict.fromkeys(self._bounds(self.connection), "0"))
        self.connection.unbounded = True

    def keep_bounds(self) -> None:
        """Undo `lift_bounds`."""
        self.ensure_connection()
        self._set(self.connection, self._bounds(self.connection))
        self.connection.unbounded = False

    def _configure_connection(self, connection: Connection) -> bool:
        with patience(settings.DATABASE_CONNECT_SECONDS):
            changed = bool(super()._configure_connection(connection))  # type: ignore[misc]
            found = session_settings(connection.info.server_version)
            self._set(connection, found)
        return changed or bool(found)

    @staticmethod
    def _bounds(connection: Connection) -> dict[str, str]:
        found = session_settings(connection.info.server_version)
        return {name: value for name, value in found.items() if name.endswith("_timeout")}

    @staticmethod
    def _set(connection: Connection, values: dict[str, str]) -> None:
        if values:
            one = sql.SQL("set_config({}, {}, false)")
            each = [one.format(name, value) for name, value in values.items()]
            connection.execute(sql.SQL("SELECT ") + sql.SQL(", ").join(each))


@contextmanager
def without_bounds() -> Iterator[None]:
    """In the block, this thread's session takes its time, as for migrations."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    if not isinstance(wrapper, DatabaseWrapper):
        yield
        return
    wrapper.lift_bounds()
    try:
        yield
    finally:
        wrapper.keep_bounds()
