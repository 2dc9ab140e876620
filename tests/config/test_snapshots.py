"""The oldest open transaction: found, told to scrapers, warned of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client

from config.watching import health
from config.watching.snapshots import oldest_snapshot


@pytest.fixture
def old_transaction(transactional_db: None) -> Iterator[None]:
    """Another connection's transaction, which has read something."""
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM django_migrations")
    yield
    other.close()


@pytest.mark.usefixtures("old_transaction")
def test_an_open_transaction_is_found() -> None:
    first = oldest_snapshot().seconds
    assert 0 < first < oldest_snapshot().seconds


@pytest.mark.usefixtures("old_transaction")
def test_health_warns_of_an_old_one_and_stays_as_ready_as_it_was(
    client: Client, settings: LazySettings
) -> None:
    for seconds, warnings in ((3_600, []), (0, ["old_snapshot"])):
        health.answers.forget()
        settings.OLD_SNAPSHOT_SECONDS = seconds
        body = client.get("/health/ready/").json()
        assert body["warnings"] == warnings
        assert "old_snapshot" not in body["checks"]
    assert client.get("/health/ready/old_snapshot/").status_code == 404


@pytest.mark.usefixtures("old_transaction")
def test_scrapers_are_told(client: Client, settings: LazySettings) -> None:
    settings.METRICS_TOKEN = "secret"
    text = client.get("/metrics", headers={"Authorization": "Bearer secret"}).content.decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert float(samples["tidemill_oldest_snapshot_seconds"]) > 0
    assert "tidemill_oldest_snapshot_transactions" in samples
