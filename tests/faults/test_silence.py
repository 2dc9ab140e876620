"""A plan through outages that are shorter than a lease, silence, and locks that somebody holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.servers import Postgres, Redis
from tests.faults.silencing import QuietStage

pytestmark = pytest.mark.faults

# More than the faults can take: between two of them one instance comes to its end at least.
INSTANCES = 140
SECONDS = "10"


@pytest.fixture
def quiet_stage(folder: Path) -> Iterator[QuietStage]:
    with ExitStack() as ends:
        postgres = Postgres(folder / "data")
        ends.callback(postgres.delete)
        broker = Redis(folder / "broker")
        ends.callback(broker.kill)
        stage = QuietStage(folder, postgres, broker)
        ends.callback(stage.close)
        ends.callback(stage.product.destroy)
        yield stage


def test_a_plan_loses_nothing_to_what_is_shorter_than_a_lease(
    quiet_stage: QuietStage, say: Callable[[str], None]
) -> None:
    stage = quiet_stage
    stage.plan(INSTANCES, SECONDS)
    stage.run_quietly(
        [
            stage.held_row,
            stage.held_group,
            stage.held_generation,
            stage.database_away_for_5_seconds,
            stage.broker_silent,
            stage.database_away_for_10_seconds,
            stage.connections_silent_for_ever,
            stage.database_silent,
            stage.database_away_for_18_seconds,
            stage.database_away_for_25_seconds,
        ],
        say,
    )
    stage.judge()
