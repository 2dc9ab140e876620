"""The pulse: leases are renewed in time and no oftener, and what must stop is heard at once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from instances.models import Execution
from instances.verbs.terminate import terminate
from instances.worker import pulse
from instances.worker.pulse import Pulse, Stop
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.support.engine import LEASE, Engine, new_instance


@pytest.fixture
def beating(monkeypatch: pytest.MonkeyPatch) -> Pulse:
    """A pulse that beats only when the test says so."""
    monkeypatch.setattr(Pulse, "_watch_once", lambda self: True)
    return Pulse("worker")


def test_a_lease_is_renewed_when_a_sixth_of_it_has_passed(
    engine: Engine, beating: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = (
        engine.start(instance, worker="worker")
        for instance in engine.make(
            new_instance(make_submitted_task()), new_instance(make_submitted_task())
        )
    )
    assert early is not None and late is not None
    began = clock.now()
    Execution.objects.filter(pk__in=[early, late]).update(lease_until=began + LEASE)
    beating.watch([early], since=began)
    beating.watch([late], since=began + LEASE / 12)

    def leases_after_a_beat(now: datetime) -> list[datetime | None]:
        monkeypatch.setattr(clock, "now", lambda: now)
        beating._beat([early, late])
        return [Execution.objects.get(pk=pk).lease_until for pk in (early, late)]

    before, then = began + LEASE * 0.16, began + LEASE * 0.17
    assert leases_after_a_beat(before) == [began + LEASE, began + LEASE]
    assert leases_after_a_beat(then) == [then + LEASE, began + LEASE]
    assert beating.lease_of(early) == (then + LEASE).timestamp()
    assert beating.lease_of(late) == (began + LEASE * 13 / 12).timestamp()


def test_what_must_stop_is_heard_at_a_beat_that_renews_nothing(
    engine: Engine, beating: Pulse
) -> None:
    instances = engine.make(
        *(new_instance(make_submitted_task()) for _ in range(3)),
    )
    going, ended, lost = (engine.start(one, worker="worker") for one in instances)
    assert going is not None and ended is not None and lost is not None
    beating.watch([going, ended, lost], since=clock.now())
    with engine.committing():
        terminate(actor=None, ids=[instances[1].pk])
    Execution.objects.filter(pk=lost).update(worker="another")
    lease = Execution.objects.get(pk=going).lease_until
    beating._beat([going, ended, lost])
    assert [beating.stop_of(one) for one in (going, ended, lost)] == [
        None,
        Stop.TERMINATE,
        Stop.FENCED,
    ]
    assert Execution.objects.get(pk=going).lease_until == lease


def test_a_renewal_is_due_long_before_a_lease_ends() -> None:
    # Several beats that fail must not cost an execution its lease.
    beats = LEASE * (1 - pulse.RENEWED_AFTER) / timedelta(seconds=pulse.BEAT_SECONDS)
    assert beats > 10
