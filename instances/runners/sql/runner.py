"""SQL tasks: on DuckDB inside the task's process, or on a data source through SQLAlchemy."""

from __future__ import annotations

import json
from typing import Any

from instances.runners.base import Launch, Mode, Runner, TaskContext
from instances.runners.environment import build_environment


class SqlRunner(Runner):
    """Runs the statements of the code one after the other; the first that fails ends the task.

    Each statement is a transaction of its own unless the script says BEGIN and COMMIT. The log
    has a line for each, and the first `config.rows` rows of the last one that returns rows.

    Without a data source DuckDB runs them on the file `config.database`, or in memory; DuckDB
    lets one process at a time write a file, so a task waits up to `config.lock_wait` seconds for
    another to end.
    """

    def prepare(self, context: TaskContext) -> Launch:
        source, config = context.data_source, context.config
        payload: dict[str, Any] = {"code": context.code, "rows": config["rows"]}
        if source is None:
            module = "instances.runners.sql.duckdb_child"
            payload["database"] = config["database"] or ":memory:"
            payload["lock_wait"] = config["lock_wait"]
        else:
            module = "instances.runners.sql.sqlalchemy_child"
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
