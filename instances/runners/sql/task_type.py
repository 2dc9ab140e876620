"""SQL tasks: what they may be told."""

from __future__ import annotations

from projects.ground.fields.field import Field, Kind
from projects.ground.words import gettext_lazy
from workflows.definitions.task_types import TaskType

SQL = TaskType(
    name="sql",
    label=gettext_lazy("SQL"),
    help=gettext_lazy("SQL statements for a data source, or for DuckDB when none is named."),
    runner="instances.runners.sql.runner:SqlRunner",
    code_language="sql",
    config=(
        Field(
            name="data_source",
            label=gettext_lazy("Data source"),
            help=gettext_lazy("A data source of the project; empty: DuckDB."),
            kind=Kind.DATA_SOURCE,
            max_length=64,
        ),
        Field(
            name="database",
            label=gettext_lazy("Database"),
            help=gettext_lazy("The DuckDB database file; empty: in memory, gone after the task."),
            max_length=1000,
            not_with="data_source",
        ),
        Field(
            name="rows",
            label=gettext_lazy("Rows"),
            help=gettext_lazy("Rows of the last result that go to the log."),
            kind=Kind.INTEGER,
            default=20,
            maximum=10_000,
        ),
        Field(
            name="lock_wait",
            label=gettext_lazy("Lock wait"),
            help=gettext_lazy("Seconds to wait while another task writes the DuckDB file."),
            kind=Kind.INTEGER,
            default=60,
            maximum=24 * 3600,
        ),
    ),
)
