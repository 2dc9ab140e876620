"""However many cells wait to be made: the jobs of the timetable get their turn, and small plans."""

from __future__ import annotations

from threading import Event, Thread
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from backfill.models import Plan
from backfill.running import expanding
from backfill.tasks import expand_plans
from tests.factories import make_submitted_task
from tests.factories.plans import make_spec, make_submitted_plan
from tests.support.engine import Engine


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 2)


def submit(days: int) -> Plan:
    task = make_submitted_task()
    return make_submitted_plan(make_spec([task], "2024-05-01", f"2024-05-{days:02}"))


def made(*plans: Plan) -> list[int]:
    return [Plan.objects.get(pk=plan.pk).expanded_count for plan in plans]


def test_a_job_that_used_up_its_time_leaves_the_rest_to_another_message(
    engine: Engine, nudges: list[str], settings: LazySettings
) -> None:
    settings.SYSTEM_JOB_SECONDS = 0
    plan = submit(days=6)
    nudges.clear()
    expand_plans()
    assert (made(plan), nudges) == ([2], ["backfill.expand"])


def test_a_job_with_time_makes_all_plans(engine: Engine, nudges: list[str]) -> None:
    plans = [submit(days=6) for _ in range(3)]
    nudges.clear()
    expand_plans()
    assert (made(*plans), nudges) == ([6, 6, 6], [])


def test_a_small_plan_does_not_wait_for_a_large_one(engine: Engine, settings: LazySettings) -> None:
    settings.SYSTEM_JOB_SECONDS = 0
    large = submit(days=20)
    expand_plans()
    expand_plans()
    small = submit(days=2)
    expand_plans()
    assert made(large, small) == [4, 2]


def test_one_process_makes_instances_while_the_others_are_free(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch, nudges: list[str]
) -> None:
    plans = [submit(days=4) for _ in range(2)]
    in_chunk, other_ended = Event(), Event()
    make_chunk = expanding._make_chunk

    def make_slowly(*arguments: Any) -> list[int]:
        in_chunk.set()
        assert other_ended.wait(60)
        return make_chunk(*arguments)

    monkeypatch.setattr(expanding, "_make_chunk", make_slowly)

    def expand() -> None:
        try:
            expand_plans()
        finally:
            connection.close()

    first = Thread(target=expand)
    first.start()
    assert in_chunk.wait(60)
    nudges.clear()
    second = Thread(target=expand)
    second.start()
    second.join(60)
    ended = not second.is_alive()
    assert (made(*plans), nudges) == ([0, 0], [])
    other_ended.set()
    second.join(60)
    first.join(60)
    assert ended
    assert made(*plans) == [4, 4]
