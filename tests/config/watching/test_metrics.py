"""Metrics as a scraper reads them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from config.watching.tallies import LAG, tally
from config.watching.ticks import SWEEP, note_run
from instances.models import Instance
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task
from tests.support.engine import Engine, new_instance

TOKEN = "a token that is long enough"
Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture(autouse=True)
def token(settings: LazySettings) -> None:
    settings.METRICS_TOKEN = TOKEN


def scrape(client: Client) -> Samples:
    """Return {(name of the sample, values of its labels by name): value}."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_only_who_shows_the_token_gets_metrics(client: Client, settings: LazySettings) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        assert client.get("/metrics", headers=headers).status_code == 401
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_instances_are_counted_in_each_state_but_success(client: Client, engine: Engine) -> None:
    group = make_resource_group("small", slots=2)
    task = make_submitted_task(resource_group=group.name, retries={"limit": 0})
    other = make_submitted_task(resource_group=group.name)
    done, failed, *_ = engine.make(
        *(new_instance(task, day=day) for day in range(5)),
        new_instance(other, day=1, waits_for=[(task, 1)]),
        new_instance(other, day=2, not_before=clock.now() + timedelta(days=1)),
    )
    engine.run(done)
    engine.run(failed, "EXIT_NONZERO")
    engine.start(Instance.objects.filter(task=task).order_by("scheduled_at")[2])
    samples = scrape(client)
    states = {
        key[0]: value for (name, key), value in samples.items() if name == "tidemill_instances"
    }
    assert states == {
        "NOT_RUN": 1,
        "WAITING_EVENT": 0,
        "WAITING_UPSTREAM": 1,
        "WAITING_EXECUTION": 2,
        "RUNNING": 1,
        "TERMINATING": 0,
        "RETRYING": 0,
        "FAILED": 1,
        "FROZEN": 0,
    }
    assert samples["tidemill_resource_group_slots", ("small",)] == 2
    assert samples["tidemill_resource_group_slots_used", ("small",)] == 2
    assert samples["tidemill_resource_group_ready", ("small",)] == 1


def test_the_oldest_ready_instance_of_a_group_shows_its_age(client: Client, engine: Engine) -> None:
    task = make_submitted_task(resource_group=make_resource_group("held", slots=0).name)
    old, _ = engine.make(new_instance(task), new_instance(task, day=1))
    Instance.objects.filter(pk=old.pk).update(ready_at=clock.now() - timedelta(minutes=10))
    samples = scrape(client)
    assert 600 <= samples["tidemill_resource_group_ready_age_seconds", ("held",)] < 660
    assert samples["tidemill_resource_group_ready_age_seconds", ("default",)] == 0


def test_what_ended_comes_as_counters_and_a_histogram(client: Client, engine: Engine) -> None:
    tally(now=clock.now() - LAG)
    task = make_submitted_task()
    group = task.resource_group.name
    good, bad = engine.make(new_instance(task), new_instance(task, day=1))
    engine.run(good)
    engine.run(bad, "EXIT_NONZERO")
    tally(now=clock.now() + LAG + timedelta(seconds=1))
    samples = scrape(client)
    assert samples["tidemill_executions_total", (group, "SUCCESS")] == 1
    assert samples["tidemill_executions_failed_total", ("EXIT_NONZERO", group)] == 1
    assert samples["tidemill_instances_succeeded_total", ()] == 1
    latency = "tidemill_dispatch_latency_seconds"
    assert samples[f"{latency}_bucket", ("1800.0", group)] == 2
    assert samples[f"{latency}_bucket", ("+Inf", group)] == 2
    assert samples[f"{latency}_count", (group,)] == 2
    assert 0 <= samples[f"{latency}_sum", (group,)] < 60


def test_jobs_show_their_last_end_and_what_they_found(client: Client, db: None) -> None:
    now = clock.now()
    note_run(SWEEP, now=now, seconds=0.5, found={"woken": 3})
    note_run("instances.rescue", now=now, seconds=0.1, found={"lost": 2, "announced_again": 0})
    samples = scrape(client)
    last_end = samples["tidemill_job_last_end_timestamp_seconds", (SWEEP,)]
    assert last_end == pytest.approx(now.timestamp())
    age = samples["tidemill_job_age_seconds", (SWEEP,)]
    assert 0 <= age < 60
    assert samples["tidemill_job_last_duration_seconds", (SWEEP,)] == 0.5
    assert samples["tidemill_job_runs_total", (SWEEP,)] == 1
    assert samples["tidemill_job_found_total", (SWEEP, "woken")] == 3
    assert samples["tidemill_job_found_total", ("instances.rescue", "lost")] == 2


def test_more_of_everything_costs_no_more_queries(
    client: Client, engine: Engine, django_assert_num_queries: Any
) -> None:
    # A savepoint, its release and the time limit are the other three.
    with django_assert_num_queries(6 + 3):
        scrape(client)
    for number in range(3):
        task = make_submitted_task(resource_group=make_resource_group(f"g{number}").name)
        engine.make(*(new_instance(task, day=day) for day in range(4)))
        note_run(f"job{number}", now=clock.now(), seconds=0.1, found={"rows": 1})
    with django_assert_num_queries(6 + 3):
        scrape(client)


def test_a_database_that_is_away_fails_the_scrape(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OperationalError("away")

    with monkeypatch.context() as away:
        away.setattr("config.watching.metrics.connection.cursor", refuse)
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.content) == (503, b"")
