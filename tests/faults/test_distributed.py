"""A plan on two workers, a broker and PostgreSQL, all of which are killed while it runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.breaking import Stage
from tests.faults.servers import BROKERS

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("stage", BROKERS, ids=lambda broker: broker.name, indirect=True)
def test_a_plan_comes_through_every_fault(
    stage: Stage, instances: int, say: Callable[[str], None]
) -> None:
    stage.plan(instances)
    stage.run(
        [
            stage.kill_a_worker_and_its_children,
            stage.purge_the_queues,
            stage.kill_beat,
            stage.restart_postgresql,
            stage.deliver_every_message_twice,
            stage.restart_a_worker_in_order,
            stage.kill_one_process_of_a_pool,
            stage.restart_the_broker,
            stage.stop_the_sweep,
            stage.kill_the_main_process_of_a_worker,
            stage.kill_what_starts_tasks,
            stage.kill_what_guards_the_tasks,
            stage.kill_the_system_worker,
            stage.freeze_beat,
            stage.delete_the_queues,
            stage.kill_both_workers,
            stage.restart_database_and_broker,
            stage.kill_everything,
        ],
        say,
    )
    assert (stage.folder / "switches" / "published-twice").stat().st_size > 0
    stage.judge()


@pytest.mark.parametrize("stage", BROKERS[-1:], ids=lambda broker: broker.name, indirect=True)
@pytest.mark.parametrize("fault", ["database", "worker"])
def test_a_worker_whose_leases_run_out_stops_its_tasks_before_others_start_them(
    stage: Stage, fault: str, say: Callable[[str], None]
) -> None:
    # Longer than the fault: whoever does not stop overlaps with who comes after.
    stage.plan(4, "13")
    stage.run_through(
        stage.take_postgresql_away_for_longer_than_a_lease
        if fault == "database"
        else stage.freeze_the_workers_that_run_tasks,
        say,
    )
    stage.judge()
