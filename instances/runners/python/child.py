"""Runs the code of a Python task inside its process."""

from __future__ import annotations

import json
import linecache
import sys
import traceback
from types import CodeType, ModuleType, TracebackType
from typing import Any

from instances.error_codes import ErrorCode
from instances.runners.spawner.child import Report


def main(payload: bytes, report: Report) -> int:
    """Run the code as `__main__`; returns its exit code, as an interpreter would.

    A traceback shows the code's own lines, under the name of its task, and none of ours.
    """
    task = json.loads(payload)
    source: str = task["code"]
    name = f"<{task['name']}>"
    module = ModuleType("__main__")
    module.__dict__["__file__"] = name
    sys.modules["__main__"] = module
    sys.argv = [task["name"], *task["arguments"]]
    sys.path.insert(0, "")
    # Without a time of change the cache never looks for a file of that name.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        code = compile(source, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return _failed(error, None, report)
    return _run(code, module.__dict__, report)


def _run(code: CodeType, namespace: dict[str, Any], report: Report) -> int:
    try:
        exec(code, namespace)
    except SystemExit as end:
        return _exit_code(end)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the task's error
        # The first entry is the line above.
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        return _failed(error, trace, report)
    return 0


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1


def _failed(error: BaseException, trace: TracebackType | None, report: Report) -> int:
    sys.stdout.flush()
    traceback.print_exception(type(error), error.with_traceback(trace), trace)
    line = error.lineno if isinstance(error, SyntaxError) else _line(trace)
    message = traceback.format_exception_only(error)[-1].strip()
    if line is not None:
        message = f"{message} (line {line})"
    memory = isinstance(error, MemoryError)
    report(
        {
            "error_code": ErrorCode.OUT_OF_MEMORY if memory else ErrorCode.PYTHON_ERROR,
            "message": message,
            "line": line,
        }
    )
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _line(trace: TracebackType | None) -> int | None:
    """The line of the task's own code, not that of a library deep below it."""
    return trace.tb_lineno if trace else None
