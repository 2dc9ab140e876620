"""Health: who is told what, and what makes a part fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import current_app
from django.conf import LazySettings
from django.db import OperationalError
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

from config.watching import health
from config.watching.ticks import EXPAND, GENERATE, RESCUE, SWEEP, note_run
from projects.ground import clock

PARTS = ("database", "migrations", "broker", "sweep", "ticks")
TICKS = (GENERATE, RESCUE, EXPAND)


@pytest.fixture(autouse=True)
def fresh_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "_migrated", False)
    health.answers.forget()
    yield
    health.answers.forget()


def swept(ago: timedelta) -> None:
    for job in (SWEEP, *TICKS):
        note_run(job, now=clock.now() - ago, seconds=0.1, found={})


def failed_parts(client: Client) -> list[str]:
    answer = client.get("/health/ready/")
    body = json.loads(answer.content)
    failed = [name for name in PARTS if body["checks"][name] != "ok"]
    assert list(body["checks"]) == list(PARTS)
    assert (answer.status_code, body["status"]) == (
        (503, "not ready") if failed else (200, "ready")
    )
    return failed


def refuse(*_: object, **__: object) -> None:
    raise OperationalError("connection to server at 10.1.2.3 failed: password of mill is wrong")


def test_a_process_lives_without_asking_anybody(client: Client) -> None:
    answer = client.get("/health/live/")  # no database here: a query would be an error
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})
    assert "no-store" in answer["Cache-Control"]


def test_it_is_ready_when_every_part_is(client: Client, db: None) -> None:
    swept(timedelta(seconds=5))
    assert failed_parts(client) == []


def test_it_is_not_ready_before_the_first_sweep(client: Client, db: None) -> None:
    assert failed_parts(client) == ["sweep", "ticks"]


@pytest.mark.parametrize("job", TICKS)
def test_it_is_not_ready_when_another_job_is_behind(
    client: Client, db: None, settings: LazySettings, job: str
) -> None:
    swept(timedelta(seconds=5))
    late = timedelta(seconds=settings.READY_TICK_SECONDS + 5)
    note_run(job, now=clock.now() - late, seconds=0.1, found={})
    assert failed_parts(client) == ["ticks"]


def test_it_is_not_ready_when_the_last_sweep_is_too_old(
    client: Client, db: None, settings: LazySettings
) -> None:
    swept(timedelta(seconds=settings.READY_SWEEP_SECONDS + 5))
    assert failed_parts(client) == ["sweep"]


def test_it_is_not_ready_without_the_database_and_does_not_say_why(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept(timedelta(seconds=5))
    with monkeypatch.context() as away:
        away.setattr("config.watching.health.connection.cursor", refuse)
        assert failed_parts(client)[0] == "database"
    text = client.get("/health/ready/").content.decode()
    assert "10.1.2.3" not in text
    assert "mill" not in text


def test_it_is_not_ready_while_migrations_are_missing(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept(timedelta(seconds=5))
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: ["0099"])
    assert failed_parts(client) == ["migrations"]


def test_it_is_not_ready_without_the_broker(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept(timedelta(seconds=5))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"amqp://mill:secret@127.0.0.1:{port}//"
    monkeypatch.setattr(current_app.conf, "broker_url", url)
    monkeypatch.setattr(
        current_app,
        "connection_for_write",
        lambda **options: current_app.connection(url, **options),
    )
    assert failed_parts(client) == ["broker"]


def test_a_part_is_asked_by_its_name(client: Client, db: None) -> None:
    assert client.get("/health/ready/database/").json() == {
        "status": "ready",
        "checks": {"database": "ok"},
    }
    assert client.get("/health/ready/sweep/").status_code == 503
    assert client.get("/health/ready/nothing/").status_code == 404
    assert client.post("/health/ready/").status_code == 405


def test_asking_often_costs_no_more_queries(
    client: Client,
    db: None,
    django_assert_num_queries: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "ANSWER_SECONDS", 600.0)  # however slow the machine is
    swept(timedelta(seconds=5))
    assert failed_parts(client) == []
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert failed_parts(client) == []
