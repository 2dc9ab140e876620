"""Runs a SQL task on a data source, through SQLAlchemy, inside its process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from instances.error_codes import ErrorCode
from instances.runners.spawner.child import Report
from instances.runners.sql.script import Database, NotConnected, Result, gather, run_task


def main(payload: bytes, report: Report) -> int:
    """Run the task; return the exit code."""
    return run_task(payload, report, _connect)


def _connect(task: Mapping[str, Any]) -> Database:
    try:
        engine = sqlalchemy.create_engine(
            task["url"], poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        connection = engine.connect().execution_options(no_parameters=True)
    except (ArgumentError, ImportError) as error:
        message = f"The data source {task['source']} cannot be used: {error}"
        raise NotConnected(ErrorCode.BAD_CONFIG, message) from error
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        message = f"The data source {task['source']} cannot be reached: {reason}"
        raise NotConnected(ErrorCode.DATA_SOURCE_ERROR, message) from error
    return Database(connection, _execute, engine.dialect.name, SQLAlchemyError)


def _execute(connection: sqlalchemy.Connection, statement: str, rows: int) -> Result:
    """The statement goes to the driver as it is: `:name` and `%` mean nothing here."""
    result = connection.exec_driver_sql(statement)
    if not result.returns_rows:
        return Result(count=result.rowcount)
    return gather(list(result.keys()), result.fetchmany, rows)
