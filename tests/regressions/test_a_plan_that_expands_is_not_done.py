"""While a plan's instances are being made, each task's rate is of what is planned."""

from __future__ import annotations

import pytest

from backfill.reading.progress import tasks_progress
from backfill.running import expanding
from backfill.running.expanding import expand_plan
from backfill.states import PlanState
from tests.factories import make_submitted_task
from tests.factories.plans import make_spec, make_submitted_plan
from tests.support.engine import Engine

pytestmark = pytest.mark.feature("B21", "B22")


def test_a_task_is_not_complete_before_all_of_it_is_made(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 1)
    with engine.committing():
        tasks = [make_submitted_task(type="virtual") for _ in range(2)]
        plan = make_submitted_plan(make_spec(tasks, "2024-05-01", "2024-05-04"))
        for _ in range(3):
            expand_plan(plan.pk)
    found = tasks_progress(plan.pk)
    assert sum(one.finished for one in found.values()) == 3
    assert [one.total for one in found.values()] == [4, 4]
    assert sum(one.completion_rate for one in found.values()) == 3 / 4
    assert {one.state for one in found.values()} == {PlanState.EXPANDING}
    with engine.committing():
        while expand_plan(plan.pk):
            pass
    assert {(one.state, one.completion_rate) for one in tasks_progress(plan.pk).values()} == {
        (PlanState.COMPLETED, 1.0)
    }


def test_cells_that_were_skipped_are_not_waited_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 3)
    with engine.committing():
        schedule = {"cycle": "day", "at": "00:00", "effective_from": "2024-05-04"}
        task = make_submitted_task(type="virtual", schedule=schedule)
        plan = make_submitted_plan(make_spec([task], "2024-05-01", "2024-05-05"))
        expand_plan(plan.pk)
    (progress,) = tasks_progress(plan.pk).values()
    skipped = plan.skips.count()
    assert 0 < skipped <= 3
    assert progress.total == 5 - skipped
