"""When the hot tables are vacuumed, and the room that their pages keep (docs/operations.md)."""

from django.db import migrations

# By default autovacuum waits until a fifth of a table is dead, and then works slowly: with ten
# million instances that are two million dead entries in the indexes that dispatch reads.
_VACUUM = {
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 1_000,
    "autovacuum_vacuum_cost_delay": 0,
    "autovacuum_analyze_scale_factor": 0.02,
    "autovacuum_analyze_threshold": 1_000,
}
# Rows of executions grow once (the code as executed) and are written again and again while they
# run (the lease); neither is indexed, so with room in the page no index is written.
_PARAMETERS = {
    "instances_instance": _VACUUM,
    "instances_edge": _VACUUM,
    "instances_execution": {**_VACUUM, "fillfactor": 70},
    "instances_logchunk": _VACUUM,
}


def _statement(table: str, settings: dict[str, float]) -> migrations.RunSQL:
    given = ", ".join(f"{name} = {value}" for name, value in settings.items())
    names = ", ".join(settings)
    return migrations.RunSQL(
        f"ALTER TABLE {table} SET ({given})", f"ALTER TABLE {table} RESET ({names})"
    )


class Migration(migrations.Migration):
    dependencies = [("instances", "0001_initial")]

    operations = [_statement(table, settings) for table, settings in _PARAMETERS.items()]
