"""SQL tasks: on DuckDB inside the task's process, or on a data source through SQLAlchemy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from instances.runners.base import Launch, Mode, Runner, TaskContext, unknown_settings
from instances.runners.environment import build_environment

_DEFAULT_ROWS: Final = 20
_MAX_ROWS: Final = 10_000
_DEFAULT_LOCK_WAIT: Final = 60


class SqlRunner(Runner):
    """Runs the statements of the code one after the other; the first that fails ends the task.

    Each statement is a transaction of its own unless the script says BEGIN and COMMIT. The log
    has a line for each, and the first `config.rows` (20) rows of the last one that returns rows.

    Without a data source DuckDB runs them on the file `config.database` (default `:memory:`);
    DuckDB lets one process at a time write a file, so a task waits up to `config.lock_wait` (60)
    seconds for another to end.
    """

    type: ClassVar[str] = "sql"
    title: ClassVar[str] = "SQL"

    def check(
        self, config: Mapping[str, Any], code: str, *, has_data_source: bool = False
    ) -> list[tuple[str, str]]:
        errors = unknown_settings(config, ("database", "rows", "lock_wait"))
        database = config.get("database", ":memory:")
        if not isinstance(database, str) or not database:
            errors.append(("config.database", "must be the path of a file, or :memory:"))
        elif has_data_source and "database" in config:
            errors.append(("config.database", "is for tasks without a data source"))
        for name, default, most in (
            ("rows", _DEFAULT_ROWS, _MAX_ROWS),
            ("lock_wait", _DEFAULT_LOCK_WAIT, 24 * 3600),
        ):
            value = config.get(name, default)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                errors.append((f"config.{name}", f"must be a whole number from 0 to {most}"))
        return errors

    def prepare(self, context: TaskContext) -> Launch:
        source = context.data_source
        self._require(context.config, context.code, has_data_source=source is not None)
        payload: dict[str, Any] = {
            "code": context.code,
            "rows": context.config.get("rows", _DEFAULT_ROWS),
        }
        if source is None:
            module = "instances.runners.duckdb_child"
            payload["database"] = context.config.get("database", ":memory:")
            payload["lock_wait"] = context.config.get("lock_wait", _DEFAULT_LOCK_WAIT)
        else:
            module = "instances.runners.sqlalchemy_child"
            payload["url"] = source.url
            payload["source"] = source.name
        return Launch(
            mode=Mode.CALL,
            target=f"{module}:main",
            payload=json.dumps(payload).encode(),
            environment=build_environment(context),
            working_directory=context.scratch,
            limits=context.limits,
        )
