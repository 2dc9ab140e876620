"""Runs a SQL task on DuckDB inside its process."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import duckdb

from instances.error_codes import ErrorCode
from instances.runners.spawner.child import Report
from instances.runners.sql.script import Database, NotConnected, Result, gather, run_task

_CHANGES: Final = ["Count"]
_LOCK_POLL: Final = 0.1
_SHARE_OF_MEMORY: Final = 0.8  # DuckDB's own default, of what there is


def main(payload: bytes, report: Report) -> int:
    """Run the task; return the exit code."""
    return run_task(payload, report, _connect)


def _connect(task: Mapping[str, Any]) -> Database:
    try:
        connection = _open(task["database"], task["lock_wait"])
    except duckdb.Error as error:
        message = f"The database {task['database']} cannot be opened: {error}"
        raise NotConnected(ErrorCode.DATA_SOURCE_ERROR, message) from error
    return Database(connection, _execute, "duckdb", duckdb.Error)


def _open(database: str, lock_wait: float) -> Any:
    deadline = time.monotonic() + lock_wait
    waiting = False
    while True:
        try:
            return duckdb.connect(database, config=_settings())
        except duckdb.IOException as error:
            if "lock" not in str(error) or time.monotonic() >= deadline:
                raise
        if not waiting:
            waiting = True
            sys.stdout.write("Another process has the database open; waiting for it to end.\n")
        time.sleep(_LOCK_POLL)


def _settings() -> dict[str, Any]:
    """Let DuckDB keep to the task's limit: it then writes to disk what has no room in memory."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    if limit == resource.RLIM_INFINITY:
        return {}
    return {"memory_limit": f"{int(limit * _SHARE_OF_MEMORY) // 2**20}MiB"}


def _execute(connection: Any, statement: str, rows: int) -> Result:
    connection.execute(statement)
    if not connection.description:
        return Result()
    columns = [column[0] for column in connection.description]
    result = gather(columns, connection.fetchmany, rows)
    if columns == _CHANGES and (result.count or 0) <= 1 and not _selects(statement):
        return Result(count=result.rows[0][0] if result.rows else None)
    return result


def _selects(statement: str) -> bool:
    return statement.split(None, 1)[0].upper() in ("SELECT", "WITH", "FROM", "VALUES", "TABLE")
