"""A broker, and an engine that tells it of executions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from tests.distributed.workers import answers, publishing
from tests.support.engine import Engine

BROKERS = {
    "rabbitmq": os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/7"),
}


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    """The URL of a broker that answers: skipped without one, but not where there must be one."""
    url = BROKERS[request.param]
    if not answers(url):
        if os.environ.get("CI") == "true":
            pytest.fail(f"{request.param} does not answer")
        pytest.skip(f"{request.param} does not answer")
    return url


@pytest.fixture
def told_engine(
    transactional_db: None, broker: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """The engine with real commits and real messages."""
    monkeypatch.setattr("instances.engine.dispatch.reaches_workers", lambda: True)
    with publishing(broker) as announce:
        monkeypatch.setattr("instances.engine.dispatch.announce", announce)
        yield Engine(nullcontext, [])
