"""The beginning of a Celery worker's processes."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from celery import signals

from config.celery import app
from config.celery_fixup import PoolKeepingWorkerFixup
from instances.worker import process as worker_process


@pytest.fixture(autouse=True)
def same_receivers_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    for signal in vars(signals).values():
        if isinstance(signal, signals.Signal):
            monkeypatch.setattr(signal, "receivers", list(signal.receivers or []))


def test_a_process_connects_to_the_database_after_celery_closed_what_it_inherited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    def begin() -> Mock:
        order.append("ours")
        return Mock()

    monkeypatch.setattr(worker_process, "present", begin)
    monkeypatch.setattr(PoolKeepingWorkerFixup, "close_database", lambda self, **_: None)
    monkeypatch.setattr(
        PoolKeepingWorkerFixup, "on_worker_process_init", lambda self, **_: order.append("Celery's")
    )
    signals.worker_init.send(sender=Mock(app=app))
    signals.worker_process_init.send(sender=None)
    assert order == ["Celery's", "ours"]
