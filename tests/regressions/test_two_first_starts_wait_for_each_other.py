"""However long the tables take to be made: a second start waits for the first, and goes on."""

from __future__ import annotations

from threading import Thread

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, connection

from config.embedded import first_start
from tests.support.waiting import wait_for


def test_who_starts_second_waits_longer_than_for_any_lock(
    transactional_db: None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATABASE_LOCK_SECONDS = 0.1
    settings.DATABASE_STATEMENT_SECONDS = 0.2
    pending = [True, False]  # when it starts; when it has waited
    monkeypatch.setattr(first_start, "_pending", lambda: pending.pop(0))
    answers: list[bool | DatabaseError] = []

    def start() -> None:
        try:
            answers.append(first_start.migrate_when_needed())
        except DatabaseError as error:
            answers.append(error)
        finally:
            connection.close()

    def has_waited() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT clock_timestamp() - waitstart > interval '0.5 s' FROM pg_locks"
                " WHERE locktype = 'advisory' AND NOT granted AND waitstart IS NOT NULL"
            )
            return bool(answers) or (True,) in cursor.fetchall()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [first_start.MIGRATION_LOCK])
        second = Thread(target=start)
        second.start()
        wait_for(has_waited)
        found = list(answers)
        cursor.execute("SELECT pg_advisory_unlock(%s)", [first_start.MIGRATION_LOCK])
    second.join(60)
    assert (found, answers) == ([], [True])
