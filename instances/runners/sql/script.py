"""Runs a SQL task inside its process, statement by statement, whatever the database."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from instances.error_codes import ErrorCode
from instances.runners.spawner.child import Report
from instances.runners.sql.statements import Statement, split_statements
from instances.runners.sql.text_table import format_table

# PostgreSQL and DuckDB say in which line of the statement the mistake is.
_LINE_IN_MESSAGE: Final = re.compile(r"\bLINE (\d+):")
_BATCH: Final = 10_000


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave: rows (all counted, the first ones kept) or a number of changes."""

    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = field(default=())
    count: int | None = None


class NotConnected(Exception):
    """The database cannot be used: a kind of error, and a message."""


@dataclass(frozen=True, slots=True)
class Database:
    """A connection, the name of its dialect, and what its driver raises.

    execute: runs one statement on the connection, keeping at most so many rows.
    """

    connection: AbstractContextManager[Any]
    execute: Callable[[Any, str, int], Result]
    dialect: str
    errors: type[Exception]


def gather(columns: Sequence[str], fetch: Callable[[int], Sequence[Any]], rows: int) -> Result:
    """Keep the first rows of an answer and count all. fetch: so many of those that are left."""
    kept = [tuple(row) for row in fetch(rows)] if rows else []
    count = len(kept)
    while more := fetch(_BATCH):
        count += len(more)
    return Result(columns, kept, count)


def run_task(
    payload: bytes, report: Report, connect: Callable[[Mapping[str, Any]], Database]
) -> int:
    """Connect as the task says, run its statements, disconnect; return the exit code."""
    task = json.loads(payload)
    try:
        database = connect(task)
    except NotConnected as error:
        return failed(report, *error.args)
    with database.connection:
        return _run_script(task["code"], database, rows=task["rows"], report=report)


def _run_script(script: str, database: Database, *, rows: int, report: Report) -> int:
    shown: Result | None = None
    statements = split_statements(script, database.dialect)
    for statement in statements:
        started = time.monotonic()
        try:
            result = database.execute(database.connection, statement.text, rows)
        except MemoryError:
            return failed(report, ErrorCode.OUT_OF_MEMORY, "The statement needs too much memory.")
        except database.errors as error:
            return _failed_statement(report, statement, error)
        _tell(statement, result, time.monotonic() - started)
        if result.columns:
            shown = result
    if not statements:
        sys.stdout.write("The script holds no statement.\n")
    if shown is not None and shown.rows:
        sys.stdout.write(f"\n{format_table(shown.columns, shown.rows)}\n")
        if shown.count is not None and shown.count > len(shown.rows):
            sys.stdout.write(f"… {len(shown.rows)} of {shown.count} rows\n")
    report({"statements": len(statements)})
    return 0


def failed(report: Report, code: ErrorCode, message: str, **more: Any) -> int:
    """Write a failure to the log, report it, and return the exit code for it."""
    sys.stdout.write(f"{message}\n")
    report({"error_code": code, "message": message, **more})
    return 1


def _failed_statement(report: Report, statement: Statement, error: Exception) -> int:
    text = str(getattr(error, "orig", None) or error).strip()
    found = _LINE_IN_MESSAGE.search(text)
    line = statement.line + int(found[1]) - 1 if found else statement.line
    message = f"Statement {statement.number}, line {line}: {text}"
    return failed(report, ErrorCode.SQL_ERROR, message, statement=statement.number, line=line)


def _tell(statement: Statement, result: Result, seconds: float) -> None:
    first = statement.text.split(None, 1)[0].upper()
    rows = ""
    if result.count is not None and result.count >= 0:  # drivers say -1 for "not known"
        rows = f", {result.count} row{'' if result.count == 1 else 's'}"
    sys.stdout.write(
        f"Statement {statement.number}, line {statement.line}: {first}{rows}, {seconds:.3f} s\n"
    )
