"""What race tests share: rivals, and an observer inside the database that sees every start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from tests.support.engine import Engine
from tests.support.invariants import violations
from tests.support.racing import HASTE, Racers

# Triggers look at the moment itself: afterwards the rows may be right again.
_WATCH = """
CREATE TABLE observed (what text);
CREATE FUNCTION observe_start() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO observed SELECT NEW.id || ' started before ' || e.upstream_task_id
    FROM instances_edge e LEFT JOIN instances_instance u ON u.id = e.upstream_id
    WHERE e.instance_id = NEW.id AND e.removed_at IS NULL AND u.state IS DISTINCT FROM 'SUCCESS';
    INSERT INTO observed SELECT NEW.id || ' started before its day was open'
    FROM instances_batchday d WHERE d.id = NEW.day_id AND d.opened_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER observe AFTER UPDATE ON instances_instance FOR EACH ROW
    WHEN (NEW.total_runs > OLD.total_runs) EXECUTE FUNCTION observe_start();
CREATE FUNCTION observe_slots() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO observed SELECT 'group ' || g.name || ' has more executions than slots'
    FROM projects_resourcegroup g WHERE g.slots < (SELECT count(*) FROM instances_execution x
        WHERE x.resource_group_id = g.id AND x.state IN ('SENT', 'RUNNING', 'TERMINATING'));
    INSERT INTO observed SELECT 'task ' || t.name || ' runs more often than it may'
    FROM workflows_task t WHERE t.max_parallel < (SELECT count(*) FROM instances_execution x
        JOIN instances_instance i ON i.id = x.instance_id
        WHERE i.task_id = t.id AND x.state IN ('SENT', 'RUNNING', 'TERMINATING'));
    RETURN NULL;
END $$;
CREATE TRIGGER observe AFTER INSERT ON instances_execution FOR EACH STATEMENT
    EXECUTE FUNCTION observe_slots();
"""
_LOOK_AWAY = """
DROP TRIGGER observe ON instances_instance;
DROP TRIGGER observe ON instances_execution;
DROP FUNCTION observe_start, observe_slots;
DROP TABLE observed;
"""


@pytest.fixture
def racers(live_engine: Engine) -> Iterator[Racers]:
    """Rivals with connections of their own."""
    with connection.cursor() as cursor:
        cursor.execute(HASTE)
    made = Racers()
    yield made
    made.close()


@pytest.fixture
def wrong(racers: Racers) -> Iterator[Callable[[], list[str]]]:
    """A function that tells what went wrong since it was last asked; [] is as it should be."""
    with connection.cursor() as cursor:
        cursor.execute(_WATCH)

    def ask() -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM observed RETURNING what")
            return [row[0] for row in cursor.fetchall()] + violations()

    yield ask
    with connection.cursor() as cursor:
        cursor.execute(_LOOK_AWAY)
