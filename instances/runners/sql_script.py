"""Runs a SQL script statement by statement and tells about it, whatever the database."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from instances.runners.child import Report
from instances.runners.error_codes import ErrorCode
from instances.runners.sql_statements import Statement, split_statements
from instances.runners.text_table import format_table

# PostgreSQL and DuckDB say in which line of the statement the mistake is.
_LINE_IN_MESSAGE: Final = re.compile(r"\bLINE (\d+):")


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave: rows (all counted, the first ones kept) or a number of changes."""

    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = field(default=())
    count: int | None = None


# Runs one statement, keeping at most so many rows.
Execute = Callable[[str, int], Result]


def run_script(
    script: str,
    execute: Execute,
    *,
    rows: int,
    dialect: str,
    errors: tuple[type[Exception], ...],
    report: Report,
) -> int:
    """Run all statements; returns the exit code. `errors` are what the driver raises."""
    shown: Result | None = None
    statements = split_statements(script, dialect)
    for statement in statements:
        started = time.monotonic()
        try:
            result = execute(statement.text, rows)
        except MemoryError:
            return failed(report, ErrorCode.OUT_OF_MEMORY, "The statement needs too much memory.")
        except errors as error:
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
