"""Running work and taking the time: plans by Tidemill, messages by bare Celery."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Task
from django.db import connection

from backfill.models import Plan
from backfill.spec import PlanSpec
from backfill.verbs.submit import submit_plans
from tests.benchmarks import bare
from tests.benchmarks.processes import wait_until
from tests.benchmarks.world import World, successes_of, tidy_up

SECONDS = 300.0


def make_bare_table() -> None:
    """Make the table into which the bare tasks write."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {bare.TABLE}"
            " (number bigint PRIMARY KEY, began_at timestamptz, ended_at timestamptz)"
        )


def bare_rate(task: Task, count: int) -> float:
    """Send `count` messages; return how many a second, from the first send to the last end."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {bare.TABLE}")
    ticks = Path(os.environ["BENCH_TICKS"])
    os.truncate(ticks, 0)
    began = time.perf_counter()
    with bare.app.producer_or_acquire() as producer:
        for number in range(count):
            task.apply_async((number,), producer=producer)
    wait_until(
        lambda: ticks.read_bytes().count(b"\n") >= count, seconds=SECONDS, what="the bare tasks"
    )
    return count / (time.perf_counter() - began)


def bare_latency(count: int) -> list[float]:
    """Send one message after the other; return the seconds from each send to its start."""
    ticks = Path(os.environ["BENCH_TICKS"])
    os.truncate(ticks, 0)
    found = []
    with bare.app.producer_or_acquire() as producer:
        for number in range(count):
            sent = time.time()
            bare.nothing.apply_async((number,), producer=producer)
            wait_until(
                lambda number=number: ticks.read_bytes().count(b"\n") > number,
                seconds=SECONDS,
                what="a bare task",
                poll_seconds=0.002,
            )
            found.append(float(ticks.read_text().splitlines()[number]) - sent)
    return found


def run_plan(world: World, spec: PlanSpec, count: int) -> tuple[Plan, float]:
    """Submit a plan; return it with the seconds until all its `count` instances are SUCCESS."""
    plan = world.draft(spec)
    tidy_up()
    began = time.perf_counter()
    plan = submit_plans.one(actor=None, pk=plan.pk)
    wait_until(
        lambda: successes_of(plan.batch_id) >= count, seconds=SECONDS, what="the plan's instances"
    )
    return plan, time.perf_counter() - began
