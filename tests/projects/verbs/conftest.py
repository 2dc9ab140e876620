"""What tests of verbs share: small worlds of tasks, instances and plans in all states."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from tests.support.engine import Engine


@pytest.fixture
def engine(
    db: None, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> Engine:
    """The engine in one test transaction, with what follows a commit carried out."""
    sent: list[int] = []

    def announce(executions: Iterable[tuple[int, str]]) -> None:
        sent.extend(pk for pk, _ in executions)

    monkeypatch.setattr("instances.engine.dispatch.reaches_workers", lambda: True)
    monkeypatch.setattr("instances.engine.dispatch.announce", announce)
    return Engine(partial(django_capture_on_commit_callbacks, execute=True), sent)
