"""The operation record is never changed nor deleted (P3): the database itself refuses.

What an operation is about never changes. Its progress, and the outcomes of its objects, may for as
long as it runs in the background: it has a column `ended_at`, which is empty. Retention deletes old
records under a setting of its transaction, and nothing else does
(`projects.administration.retention`).
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION projects_refuse_change_of_record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb;
    operation jsonb;
    progress text[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('tidemill.retention', true) = 'records' THEN
            RETURN OLD;
        END IF;
    ELSE
        before := to_jsonb(OLD);
        IF TG_TABLE_NAME = 'projects_operation' THEN
            operation := before;
            progress := ARRAY['total', 'succeeded', 'refused', 'ended_at', 'served_at', 'failures',
                              'cancelled_at', 'cancelled_by_id'];
        ELSE
            SELECT to_jsonb(o) INTO operation
                FROM projects_operation AS o WHERE o.id = OLD.operation_id;
            progress := ARRAY(
                SELECT key FROM jsonb_object_keys(before) AS key
                WHERE key NOT IN ('id', 'operation_id', 'project_id', 'object_type', 'object_id')
            );
        END IF;
        IF operation ? 'ended_at' AND operation->>'ended_at' IS NULL
           AND before - progress = to_jsonb(NEW) - progress THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'The operation record is never changed (% of %)', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER operation_stays
    BEFORE UPDATE OR DELETE ON projects_operation
    FOR EACH ROW EXECUTE FUNCTION projects_refuse_change_of_record();

CREATE TRIGGER operation_object_stays
    BEFORE UPDATE OR DELETE ON projects_operationobject
    FOR EACH ROW EXECUTE FUNCTION projects_refuse_change_of_record();
"""

DROP = """
DROP TRIGGER operation_object_stays ON projects_operationobject;
DROP TRIGGER operation_stays ON projects_operation;
DROP FUNCTION projects_refuse_change_of_record();
"""


class Migration(migrations.Migration):
    dependencies = [("projects", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, DROP)]
