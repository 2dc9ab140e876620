"""A plan that fails, and takes a job's time to do so, is no plan's hurdle but its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError

from backfill.models import Plan
from backfill.running import expanding
from backfill.tasks import expand_plans
from tests.factories import make_submitted_task
from tests.factories.plans import make_spec, make_submitted_plan
from tests.support.engine import Engine


def made(*plans: Plan) -> list[int]:
    return [Plan.objects.get(pk=plan.pk).expanded_count for plan in plans]


def test_a_plan_that_fails_slowly_has_its_turn_and_no_more(
    engine: Engine, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 1)
    settings.SYSTEM_JOB_SECONDS = 0  # one chunk, or one failure, uses it up
    task = make_submitted_task()
    bad, good = (
        make_submitted_plan(make_spec([task], "2024-05-01", "2024-05-03")) for _ in range(2)
    )
    make_chunk = expanding._make_chunk
    tried: list[int] = []

    def fail_for_one(plan: Plan, expansion: Any, now: datetime) -> list[int]:
        tried.append(plan.pk)
        if plan.pk == bad.pk:
            raise OperationalError("statement timeout")
        return make_chunk(plan, expansion, now)

    monkeypatch.setattr(expanding, "_make_chunk", fail_for_one)
    for _ in range(6):
        expand_plans()
    assert tried == [bad.pk, good.pk] * 3
    assert made(bad, good) == [0, 3]


def test_a_plan_is_told_that_somebody_is_at_work_by_one_try(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_submitted_task()
    plans = [make_submitted_plan(make_spec([task])) for _ in range(3)]
    monkeypatch.setattr(expanding, "_alone", lambda: False)
    asked: list[int] = []
    expand_plan = expanding.expand_plan

    def ask(plan_id: int, known: Any) -> bool | None:
        asked.append(plan_id)
        return expand_plan(plan_id, known)

    monkeypatch.setattr(expanding, "expand_plan", ask)
    assert not expanding.expand_in_turn(seconds=60)
    assert asked == [plans[0].pk]


def test_who_cannot_settle_goes_on_with_the_next_message(
    engine: Engine, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, nudges: list[str]
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 1)
    settings.SYSTEM_JOB_SECONDS = 0
    make_submitted_plan(make_spec([make_submitted_task()], "2024-05-01", "2024-05-03"))
    nudges.clear()

    def fail() -> None:
        raise OperationalError("lock timeout")

    monkeypatch.setattr("backfill.tasks.settle_plans", fail)
    with pytest.raises(OperationalError):
        expand_plans()
    assert nudges == ["backfill.expand"]
