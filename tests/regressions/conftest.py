"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.conftest import standing_world, world
from tests.backfill.conftest import nudges
from tests.instances.conftest import engine, live_engine, sent
from tests.instances.races.conftest import racers
from tests.support.engine import Engine
from tests.support.proxied import Proxied, proxied_database

__all__ = ["engine", "live_engine", "nudges", "racers", "sent", "standing_world", "world"]


@pytest.fixture
def proxied(live_engine: Engine) -> Iterator[Proxied]:
    """The test database behind a proxy that can break."""
    with proxied_database() as proxied:
        yield proxied
