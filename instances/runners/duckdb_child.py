"""Runs a SQL task on DuckDB inside its process."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

import duckdb

from instances.runners.child import Report
from instances.runners.error_codes import ErrorCode
from instances.runners.sql_script import Result, failed, run_script

_CHANGES: Final = ["Count"]
_BATCH: Final = 10_000
_LOCK_POLL: Final = 0.1


def main(payload: bytes, report: Report) -> int:
    """Open the database, run the script, close it."""
    task = json.loads(payload)
    try:
        connection = _connect(task["database"], task["lock_wait"])
    except duckdb.Error as error:
        message = f"The database {task['database']} cannot be opened: {error}"
        return failed(report, ErrorCode.DATA_SOURCE_ERROR, message)
    with connection:

        def execute(statement: str, rows: int) -> Result:
            return _execute(connection, statement, rows)

        return run_script(
            task["code"],
            execute,
            rows=task["rows"],
            dialect="duckdb",
            errors=(duckdb.Error,),
            report=report,
        )


def _connect(database: str, lock_wait: float) -> Any:
    deadline = time.monotonic() + lock_wait
    waiting = False
    while True:
        try:
            return duckdb.connect(database)
        except duckdb.IOException as error:
            if "lock" not in str(error) or time.monotonic() >= deadline:
                raise
        if not waiting:
            waiting = True
            sys.stdout.write("Another process has the database open; waiting for it to end.\n")
        time.sleep(_LOCK_POLL)


def _execute(connection: Any, statement: str, rows: int) -> Result:
    connection.execute(statement)
    if not connection.description:
        return Result()
    columns = [column[0] for column in connection.description]
    kept = connection.fetchmany(rows) if rows else []
    count = len(kept)
    while more := connection.fetchmany(_BATCH):
        count += len(more)
    if columns == _CHANGES and count <= 1 and not _selects(statement):
        return Result(count=kept[0][0] if kept else None)
    return Result(columns, kept, count)


def _selects(statement: str) -> bool:
    return statement.split(None, 1)[0].upper() in ("SELECT", "WITH", "FROM", "VALUES", "TABLE")
