"""The marks that periodic jobs leave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from celery import current_app, shared_task
from django.conf import LazySettings

from config.celery import app
from config.models import Tick, Total
from config.watching.ticks import SWEEP, age_of, note_run
from instances.tasks import generate_instances, rescue_executions, sweep_instances

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def totals() -> dict[tuple[str, str], float]:
    return {(total.name, total.key): total.value for total in Total.objects.all()}


def test_a_run_is_marked_and_what_it_found_adds_up(db: None) -> None:
    note_run(SWEEP, now=NOON, seconds=0.25, found={"woken": 2, "clocked": 0})
    later = NOON + timedelta(seconds=5)
    note_run(SWEEP, now=later, seconds=0.5, found={"woken": 1, "clocked": 7})
    assert list(Tick.objects.values_list("job", "ended_at", "seconds")) == [(SWEEP, later, 0.5)]
    assert totals() == {
        ("job_runs", SWEEP): 2,
        ("job_seconds", SWEEP): 0.75,
        ("job_found", f"{SWEEP}:woken"): 3,
        ("job_found", f"{SWEEP}:clocked"): 7,
    }


def test_a_job_that_never_ran_has_no_age(db: None) -> None:
    assert age_of(SWEEP, now=NOON) is None
    note_run(SWEEP, now=NOON, seconds=0, found={})
    assert age_of(SWEEP, now=NOON + timedelta(seconds=7)) == timedelta(seconds=7)


@pytest.mark.parametrize("task", [generate_instances, sweep_instances, rescue_executions])
def test_each_engine_job_is_marked_when_a_worker_has_run_it(db: None, task: object) -> None:
    task.apply(throw=True)  # type: ignore[attr-defined]
    assert list(Tick.objects.values_list("job", flat=True)) == [
        task.name  # type: ignore[attr-defined]
    ]


@shared_task(name="tests.failing")
def fail() -> None:
    raise ValueError("no")


@shared_task(name="tests.other")
def other() -> None:
    """Is not in the timetable."""


def test_a_job_that_fails_and_a_task_that_is_no_job_leave_no_mark(
    db: None, settings: LazySettings
) -> None:
    settings.CELERY_BEAT_SCHEDULE = {"failing": {"task": "tests.failing", "schedule": 5.0}}
    fail.apply()
    other.apply(throw=True)
    assert list(Tick.objects.all()) == []


def test_every_job_of_the_timetable_has_a_task(settings: LazySettings) -> None:
    app.loader.import_default_modules()
    jobs = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert jobs - set(current_app.tasks) == set()
