"""While the database is away for less than a lease, leases are renewed as soon as it is back."""

from __future__ import annotations

import time

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection
from psycopg_pool.base import AttemptWithBackoff

from instances.models import Execution
from instances.worker.pulse import Pulse
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance
from tests.support.proxied import Proxied
from tests.support.proxy import Mood
from tests.support.waiting import wait_for

# Seconds between two tries: one, and a little more or less.
LONG = 1.5


class ProxiedPulse(Pulse):
    """A pulse that reaches the database through a proxy."""

    proxied: Proxied
    failures = 0

    def _beat(self, watched: list[int]) -> None:
        try:
            super()._beat(watched)
        except Exception:
            self.failures += 1
            raise

    def _watch_once(self) -> None:
        if not self._has_connection:
            self.proxied.take_this_thread()
        super()._watch_once()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who waits for the pool see some tries, and no more."""
    monkeypatch.setattr("config.settings.database.DATABASE_POOL_SECONDS", 5)


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how many seconds pools waited before they tried again."""
    found: list[float] = []
    update_delay = AttemptWithBackoff.update_delay

    def update_and_tell(self: AttemptWithBackoff, now: float) -> None:
        update_delay(self, now)
        found.append(self.delay)

    monkeypatch.setattr(AttemptWithBackoff, "update_delay", update_and_tell)
    return found


@pytest.mark.parametrize("mood", [Mood.REFUSING, Mood.SILENT])
def test_leases_are_renewed_at_once_when_the_database_is_back(
    live_engine: Engine,
    proxied: Proxied,
    mood: Mood,
    settings: LazySettings,
    delays: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Takes up to nine seconds: a pool that tries after 1, 2, 4, … seconds is slow only by then."""
    monkeypatch.setattr("instances.worker.pulse.RENEWED_AFTER", 0.0)  # at each beat
    settings.PULSE_ANSWER_SECONDS = 2
    (instance,) = live_engine.make(new_instance(make_submitted_task()))
    pulse = ProxiedPulse("worker")
    pulse.proxied = proxied
    execution = live_engine.start(instance)
    assert execution is not None
    try:
        pulse.watch([execution], since=clock.now())
        first = lease_of(execution)
        wait_for(lambda: lease_of(execution) > first)
        proxied.proxy.set(mood)
        wait_for(lambda: pulse.failures >= 3)
        before = lease_of(execution)
        proxied.proxy.set(Mood.OPEN)
        wait_for(lambda: lease_of(execution) > before)
        assert all(delay < LONG for delay in delays)
    finally:
        pulse.unwatch([execution])
        wait_for(lambda: not pulse._wake.is_set())


def lease_of(execution: int) -> float:
    until = Execution.objects.get(pk=execution).lease_until
    assert until is not None
    return until.timestamp()


def test_the_pool_tries_again_each_second(
    live_engine: Engine, proxied: Proxied, delays: list[float]
) -> None:
    """Takes five seconds, a wait for the pool: as above."""
    with proxied.here():
        connection.ensure_connection()
        connection.close()
        proxied.proxy.set(Mood.REFUSING)
        until = time.monotonic() + 60
        while len(delays) < 4 and time.monotonic() < until:
            with pytest.raises(OperationalError):
                connection.ensure_connection()
        assert len(delays) >= 4
        assert all(delay < LONG for delay in delays)
        proxied.proxy.set(Mood.OPEN)
        connection.ensure_connection()
