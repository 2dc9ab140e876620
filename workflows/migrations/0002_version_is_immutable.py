"""A version's definition never changes (T9): the database itself refuses."""

from django.db import migrations

CREATE = """
CREATE FUNCTION workflows_refuse_version_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The definition of a version never changes (version %)', OLD.id
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER version_is_immutable
    BEFORE UPDATE OF task_id, number, definition, time_zone ON workflows_taskversion
    FOR EACH ROW
    WHEN (
        OLD.definition IS DISTINCT FROM NEW.definition
        OR OLD.time_zone IS DISTINCT FROM NEW.time_zone
        OR OLD.task_id IS DISTINCT FROM NEW.task_id
        OR OLD.number IS DISTINCT FROM NEW.number
    )
    EXECUTE FUNCTION workflows_refuse_version_change();
"""

DROP = """
DROP TRIGGER version_is_immutable ON workflows_taskversion;
DROP FUNCTION workflows_refuse_version_change();
"""


class Migration(migrations.Migration):
    dependencies = [("workflows", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, DROP)]
