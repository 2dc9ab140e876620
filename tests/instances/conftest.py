"""What tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest

from tests.support.engine import Engine


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The executions that workers would have been told of."""
    listed: list[int] = []

    def announce(executions: Iterable[tuple[int, str]]) -> None:
        listed.extend(pk for pk, _ in executions)

    monkeypatch.setattr("instances.engine.dispatch.reaches_workers", lambda: True)
    monkeypatch.setattr("instances.engine.dispatch.announce", announce)
    monkeypatch.setattr("instances.engine.rescue.announce", announce)
    return listed


@pytest.fixture
def engine(db: None, sent: list[int], django_capture_on_commit_callbacks: Any) -> Engine:
    """The engine in one test transaction, with what follows a commit carried out."""
    return Engine(partial(django_capture_on_commit_callbacks, execute=True), sent)


@pytest.fixture
def live_engine(transactional_db: None, sent: list[int]) -> Engine:
    """The engine with real commits, for tests with more than one connection."""
    return Engine(nullcontext, sent)
