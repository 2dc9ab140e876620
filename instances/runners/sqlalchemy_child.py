"""Runs a SQL task on a data source, through SQLAlchemy, inside its process."""

from __future__ import annotations

import json

import sqlalchemy
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from instances.runners.child import Report
from instances.runners.error_codes import ErrorCode
from instances.runners.sql_script import Result, failed, run_script


def main(payload: bytes, report: Report) -> int:
    """Connect, run the script, disconnect."""
    task = json.loads(payload)
    try:
        engine = sqlalchemy.create_engine(
            task["url"], poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        connection = engine.connect().execution_options(no_parameters=True)
    except (ArgumentError, ImportError) as error:
        message = f"The data source {task['source']} cannot be used: {error}"
        return failed(report, ErrorCode.BAD_CONFIG, message)
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        message = f"The data source {task['source']} cannot be reached: {reason}"
        return failed(report, ErrorCode.DATA_SOURCE_ERROR, message)
    with connection:

        def execute(statement: str, rows: int) -> Result:
            return _execute(connection, statement, rows)

        return run_script(
            task["code"],
            execute,
            rows=task["rows"],
            dialect=engine.dialect.name,
            errors=(SQLAlchemyError,),
            report=report,
        )


def _execute(connection: sqlalchemy.Connection, statement: str, rows: int) -> Result:
    """The statement goes to the driver as it is: `:name` and `%` mean nothing here."""
    result = connection.exec_driver_sql(statement)
    if not result.returns_rows:
        return Result(count=result.rowcount)
    kept = [tuple(row) for row in result.fetchmany(rows)] if rows else []
    count = len(kept)
    while more := result.fetchmany(10_000):
        count += len(more)
    return Result(list(result.keys()), kept, count)
