"""Metrics for Prometheus at `/metrics`, asked from the database at each scrape.

Every process gives the same answer, as nothing is counted in processes. Gauges come from partial
indexes over what is unfinished; what only grows comes from `config.models.Total`. No query reads
finished rows, but for the failed ones, up to a bound.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from config.models import Tick, Total
from config.watching.snapshots import oldest_snapshot
from config.watching.tallies import (
    BUCKETS,
    ENDED,
    FAILED,
    RUN_SECONDS,
    SUCCEEDED,
    WAITED,
    WAITED_SECONDS,
)
from instances.holds.slots import FILLS
from instances.states import CLOCKED, WAITING, State, listed
from projects.ground import clock

# A scrape that takes longer is given up: it must not weigh on what it watches.
SCRAPE_MILLISECONDS = 5_000
# Instances counted at most in a state that may hold any number of them.
MOST_COUNTED = 1_000_000
# The same for each project and state whose finished or set aside instances stay for good.
MOST_COUNTED_KEPT = 10_000
_KEPT = (State.FAILED, State.FROZEN)

logger = structlog.get_logger(__name__)

# Each part is served by the partial index of its condition (instances/models/instance.py).
_STATES = f"""
    SELECT state, count(*) FROM (
        (SELECT state FROM instances_instance WHERE state IN ({listed(CLOCKED)})
         LIMIT {MOST_COUNTED})
        UNION ALL
        (SELECT state FROM instances_instance
         WHERE state IN ({listed(WAITING)}) LIMIT {MOST_COUNTED})
        UNION ALL
        (SELECT state FROM instances_instance WHERE state = 'WAITING_EXECUTION'
         AND dispatched_at IS NULL AND NOT limited AND sort_key >= 0 LIMIT {MOST_COUNTED})
        UNION ALL
        (SELECT state FROM instances_instance WHERE state = 'WAITING_EXECUTION'
         AND dispatched_at IS NULL AND limited LIMIT {MOST_COUNTED})
        UNION ALL
        SELECT i.state FROM instances_execution x JOIN instances_instance i ON i.id = x.instance_id
        WHERE {FILLS}
        UNION ALL
        SELECT kept.state FROM projects_project p
        CROSS JOIN unnest(ARRAY[{listed(_KEPT)}]) AS wanted (state)
        CROSS JOIN LATERAL (
            SELECT i.state FROM instances_instance i
            WHERE i.project_id = p.id AND i.state = wanted.state AND i.state <> 'SUCCESS'
                AND i.project_id > 0
            LIMIT {MOST_COUNTED_KEPT}
        ) kept
    ) counted GROUP BY state"""

_GROUPS = f"""
    SELECT g.name, g.slots,
        (SELECT count(*) FROM instances_execution x WHERE x.resource_group_id = g.id
         AND {FILLS}),
        ready.number, ready.since
    FROM projects_resourcegroup g CROSS JOIN LATERAL (
        SELECT count(*) AS number, min(ready_at) AS since FROM (
            SELECT i.ready_at FROM instances_instance i WHERE i.resource_group_id = g.id
                AND i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NULL AND NOT i.limited
                AND i.sort_key >= 0
            UNION ALL
            SELECT i.ready_at FROM instances_instance i WHERE i.resource_group_id = g.id
                AND i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NULL AND i.limited
        ) listed
    ) ready ORDER BY g.name"""

# Generation: the tasks that it has to leave out, and how far it is behind with the others.
_GENERATION = """
    SELECT (SELECT count(*) FROM workflows_task
            WHERE generation_error <> '' AND status = 'SCHEDULING'),
        (SELECT min(next_fire_at) FROM workflows_task
         WHERE status = 'SCHEDULING' AND generation_error = '')"""

_COUNTED_STATES = [state.value for state in State if state != State.SUCCESS]


class DatabaseCollector(Collector):
    """What the database says now; five queries, however much there is."""

    def collect(self) -> Iterator[Metric]:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {SCRAPE_MILLISECONDS}")
            cursor.execute(_STATES)
            states = dict(cursor.fetchall())
            cursor.execute(_GROUPS)
            groups = cursor.fetchall()
            cursor.execute(_GENERATION)
            generation = cursor.fetchone()
            ticks = list(Tick.objects.order_by("job"))
            totals = list(Total.objects.order_by("resource_group", "key"))
            snapshot = oldest_snapshot()
        yield _instances(states)
        yield from _resource_groups(groups)
        yield from _generation(*generation)
        yield from _jobs(ticks)
        yield from _totals(totals)
        yield GaugeMetricFamily(
            "tidemill_oldest_snapshot_seconds",
            "For how long the oldest transaction has been open that keeps dead rows from going.",
            value=snapshot.seconds,
        )
        yield GaugeMetricFamily(
            "tidemill_oldest_snapshot_transactions",
            "Transactions that began since, those of replicas and replication slots too.",
            value=snapshot.transactions,
        )


def _instances(states: dict[str, int]) -> Metric:
    metric = GaugeMetricFamily(
        "tidemill_instances",
        f"Instances in each state but SUCCESS; {MOST_COUNTED} means that or more.",
        labels=["state"],
    )
    for state in _COUNTED_STATES:
        metric.add_metric([state], states.get(state, 0))
    return metric


def _resource_groups(rows: list[tuple[Any, ...]]) -> Iterator[Metric]:
    now = clock.now()
    columns = [
        ("slots", "Executions that may run at a time."),
        ("slots_used", "Executions that were sent to workers or run."),
        ("ready", "Instances that want a slot."),
        ("ready_age_seconds", "How long the oldest of them has wanted one; 0 without any."),
    ]
    metrics = [
        GaugeMetricFamily(f"tidemill_resource_group_{name}", text, labels=["resource_group"])
        for name, text in columns
    ]
    for name, slots, used, ready, since in rows:
        age = max((now - since).total_seconds(), 0.0) if since else 0.0
        for metric, value in zip(metrics, (slots, used, ready, age), strict=True):
            metric.add_metric([name], value)
    yield from metrics


def _generation(left_out: int, next_fire_at: datetime | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "tidemill_tasks_left_out",
        "Tasks that are due and of which nothing can be made; their pages say why.",
        value=left_out,
    )
    behind = (clock.now() - next_fire_at).total_seconds() if next_fire_at else 0.0
    yield GaugeMetricFamily(
        "tidemill_generation_behind_seconds",
        "How long ago the first fire was due of which no instance was made yet.",
        value=max(behind, 0.0),
    )


def _jobs(ticks: list[Tick]) -> Iterator[Metric]:
    now = clock.now()
    ended = GaugeMetricFamily(
        "tidemill_job_last_end_timestamp_seconds",
        "When each periodic job last came to its end.",
        labels=["job"],
    )
    age = GaugeMetricFamily("tidemill_job_age_seconds", "How long ago that was.", labels=["job"])
    took = GaugeMetricFamily(
        "tidemill_job_last_duration_seconds", "How long that took.", labels=["job"]
    )
    for tick in ticks:
        ended.add_metric([tick.job], tick.ended_at.timestamp())
        age.add_metric([tick.job], max((now - tick.ended_at).total_seconds(), 0.0))
        took.add_metric([tick.job], tick.seconds)
    yield from (ended, age, took)


def _totals(totals: list[Total]) -> Iterator[Metric]:
    by_name: defaultdict[str, list[Total]] = defaultdict(list)
    for total in totals:
        by_name[total.name].append(total)

    ended = CounterMetricFamily(
        "tidemill_executions",
        "Executions that ended, by how: LOST are those whose worker died or was stopped.",
        labels=["resource_group", "state"],
    )
    for total in by_name[ENDED]:
        ended.add_metric([total.resource_group, total.key], total.value)
    yield ended

    failed = CounterMetricFamily(
        "tidemill_executions_failed",
        "Those of them that ended with an error code, by the code; OTHER is one of a task's own.",
        labels=["resource_group", "error_code"],
    )
    for total in by_name[FAILED]:
        failed.add_metric([total.resource_group, total.key], total.value)
    yield failed

    running = CounterMetricFamily(
        "tidemill_execution_seconds", "Seconds that they ran.", labels=["resource_group"]
    )
    for total in by_name[RUN_SECONDS]:
        running.add_metric([total.resource_group], total.value)
    yield running

    yield CounterMetricFamily(
        "tidemill_instances_succeeded",
        "Instances that succeeded, those that no worker ran too.",
        value=sum(total.value for total in by_name[SUCCEEDED]),
    )

    runs = CounterMetricFamily("tidemill_job_runs", "Runs of periodic jobs.", labels=["job"])
    for total in by_name["job_runs"]:
        runs.add_metric([total.key], total.value)
    yield runs

    found = CounterMetricFamily(
        "tidemill_job_found",
        "What periodic jobs found to do: rescue's lost executions, wake-ups that only the sweep "
        "noticed, instances that were generated.",
        labels=["job", "what"],
    )
    for total in by_name["job_found"]:
        job, _, what = total.key.partition(":")
        found.add_metric([job, what], total.value)
    yield found
    yield _latency(by_name[WAITED], by_name[WAITED_SECONDS])


def _latency(counts: list[Total], sums: list[Total]) -> Metric:
    metric = HistogramMetricFamily(
        "tidemill_dispatch_latency_seconds",
        "From the instant at which an instance wanted a slot to its start on a worker.",
        labels=["resource_group"],
    )
    seconds = {total.resource_group: total.value for total in sums}
    by_group: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for total in counts:
        by_group[total.resource_group][int(total.key)] = total.value
    for group, numbers in sorted(by_group.items()):
        buckets, so_far = [], 0.0
        for number, bound in enumerate([*map(str, BUCKETS), "+Inf"]):
            so_far += numbers.get(number, 0)
            buckets.append((bound, so_far))
        metric.add_metric([group], buckets, sum_value=seconds.get(group, 0.0))
    return metric


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer a scraper that shows METRICS_TOKEN; without that setting there are no metrics."""
    if not settings.METRICS_TOKEN:
        raise Http404
    given = request.headers.get("Authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    try:
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except DatabaseError:
        logger.warning("scrape_failed", exc_info=True)
        return HttpResponse(status=503)
