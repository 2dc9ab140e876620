"""What tests of plans share: the engine of the instances' tests, and a broker that only listens."""

from __future__ import annotations

import pytest

from tests.instances.conftest import engine, live_engine, sent

__all__ = ["engine", "live_engine", "sent"]


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that would have told a worker to expand plans."""
    listed: list[str] = []
    monkeypatch.setattr(
        "backfill.running.nudging.nudge",
        lambda name, **options: listed.append(name),
    )
    return listed
