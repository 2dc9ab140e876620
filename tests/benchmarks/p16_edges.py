"""P16 and P17: a plan with very many edges, and a small one submitted in the middle of it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from backfill.models import Plan
from backfill.spec import PlanSpec
from backfill.verbs.submit import submit_plans
from config.celery import app
from instances.models import Edge, Execution, Instance
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.graphs import Graph
from tests.benchmarks.processes import celery_worker, wait_until
from tests.benchmarks.world import World, successes_of
from tests.factories import make_submitted_tasks, make_workflow

DATES = 10
TASKS = 390
MINUTE, HOURLY = 1, 13  # the others are daily
WIDE = 83  # of them that wait for all minutes of their day
SMALL = 40
SECONDS = 600.0
LEAST_RATE = Target(least=20_000)
MOST_SECONDS = Target(most=2)
TABLES = ("instances_instance", "instances_edge", "instances_execution")


@dataclass(frozen=True, slots=True)
class _Run:
    """edges a second from submission to the last success; seconds to the small plan's start."""

    rate: float
    start: float
    seconds: float


def measure(world: World, *, repeats: int) -> list[Figure]:
    """The plan twice: the second time as if nobody had looked at the tables since they were empty.

    repeats does not count: each of them takes a minute and more.
    """
    spec, cells = _large(world)
    graph = {f"small{number:02d}": [] for number in range(SMALL)}
    small = world.spec(graph, world.tasks(graph, "shell"), days=1)
    runs = []
    with (
        celery_worker(app, "config", queues=[world.system_queue]),
        celery_worker(app, "config", queues=[world.group.queue], processes=1),
    ):
        for again in (False, True):
            if again:
                forget_statistics()
            runs.append(_run(world, spec, small, cells))
    edges = Edge.objects.count() // 2
    seconds = ", ".join(f"{run.seconds:.0f} s" for run in runs)
    return [
        Figure(
            "P16",
            f"Edges a second of a plan of {cells:,} virtual instances and {edges:,} edges, from"
            " submission to the last success: fresh, and with statistics of empty tables",
            min(run.rate for run in runs),
            "edges/s",
            LEAST_RATE,
            note=f"the slower of two: {seconds}",
        ),
        Figure(
            "P17",
            f"A plan of {SMALL} instances submitted in the middle of it: until its first start",
            max(run.start for run in runs),
            "s",
            MOST_SECONDS,
            note="the slower of two: " + ", ".join(f"{run.start:.2f}" for run in runs),
        ),
    ]


def _large(world: World) -> tuple[PlanSpec, int]:
    """A plan of tasks in layers, of which many wait for every minute of their day."""
    dates = world.scaled(DATES)
    names = [f"e{number:03d}" for number in range(TASKS)]
    graph: Graph = {}
    definitions: dict[str, dict[str, object]] = {}
    for number, name in enumerate(names):
        if number < MINUTE:
            above, schedule = [], {"cycle": "minute", "every": 1}
        elif number < MINUTE + HOURLY:
            above, schedule = names[:MINUTE], {"cycle": "hour", "every": 1}
        else:
            place = number - MINUTE - HOURLY
            above = [names[MINUTE + (place + step) % HOURLY] for step in range(3)]
            above += names[:MINUTE] if place < WIDE else []
            # And on three of the tasks that come before, as in a layered graph.
            above += names[max(MINUTE + HOURLY, number - 3) : number]
            schedule = {"cycle": "day", "at": "00:00"}
        graph[name] = above
        definitions[name] = {
            "type": "virtual",
            "schedule": schedule,
            "depends_on": above,
            "resource_group": world.group.name,
        }
    tasks = make_submitted_tasks(definitions, workflow=make_workflow(project=world.project))
    cells = dates * (1_440 * MINUTE + 24 * HOURLY + TASKS - MINUTE - HOURLY)
    return world.spec(graph, tasks, days=dates), cells


def _run(world: World, spec: PlanSpec, small: PlanSpec, cells: int) -> _Run:
    draft, aside = world.draft(spec), world.draft(small)
    before = Edge.objects.count()
    plan = submit_plans.one(actor=None, pk=draft.pk)
    middle = Plan.objects.filter(pk=plan.pk, expanded_count__gte=cells // 2)
    until_middle = wait_until(middle.exists, seconds=SECONDS, what="half of the large plan")
    other = submit_plans.one(actor=None, pk=aside.pk)
    started = Execution.objects.filter(instance__batch=other.batch, started_at__isnull=False)
    wait_until(started.exists, seconds=SECONDS, what="the small plan's start")
    assert other.submitted_at is not None
    assert plan.submitted_at is not None
    wait_until(
        lambda: successes_of(plan.batch_id) >= cells,
        seconds=SECONDS - until_middle,
        what="the large plan's instances",
        poll_seconds=0.1,
    )
    last = Instance.objects.filter(batch=plan.batch).latest("ended_at").ended_at
    first = started.earliest("started_at").started_at
    assert last is not None
    assert first is not None
    seconds = (last - plan.submitted_at).total_seconds()
    return _Run(
        rate=(Edge.objects.count() - before) / seconds,
        start=(first - other.submitted_at).total_seconds(),
        seconds=seconds,
    )


def forget_statistics() -> None:
    """Make PostgreSQL believe that the tables are empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM pg_statistic WHERE starelid = ANY(%s::regclass[])", [list(TABLES)]
        )
        cursor.execute(
            "UPDATE pg_class SET reltuples = 0, relpages = 0 WHERE oid = ANY(%s::regclass[])",
            [list(TABLES)],
        )
