"""The rows of a benchmark, made by the product's own verbs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from django.db import connection

from backfill.models import Plan
from backfill.running.expanding import expand_plan
from backfill.spec import PlanSpec
from backfill.verbs.plans import create_plan
from backfill.verbs.submit import submit_plans
from projects.models import Project, ResourceGroup
from tests.benchmarks.graphs import Graph, layered, roots
from tests.factories import make_submitted_tasks, make_workflow
from workflows.models import Task

FIRST_DATE = date(2024, 5, 1)
# More than what two processes take together: slots do not limit a benchmark.
SLOTS = 64

_CODE = {"shell": "true"}


@dataclass(frozen=True)
class World:
    """One project with one resource group, whose queue is the run's own."""

    project: Project
    group: ResourceGroup
    closed: ResourceGroup  # without slots: what is ready there waits
    small: bool

    @classmethod
    def make(cls, *, small: bool) -> World:
        """Make the rows. small: a tenth of the rows that measures need in the tables."""
        run = os.environ["BENCH_RUN"]
        return cls(
            Project.objects.create(name=run),
            ResourceGroup.objects.create(name=run, slots=SLOTS),
            ResourceGroup.objects.create(name=f"{run}_closed", slots=0),
            small,
        )

    def scaled(self, count: int) -> int:
        """So many rows or days, or a tenth of them."""
        return count // 10 if self.small else count

    @property
    def queues(self) -> list[str]:
        """The queues that a worker consumes to do all the work there is."""
        return [self.system_queue, self.group.queue]

    @cached_property
    def system_queue(self) -> str:
        return f"{os.environ['BENCH_RUN']}.system"

    def tasks(
        self,
        graph: Graph,
        task_type: str,
        *,
        group: ResourceGroup | None = None,
        schedule: dict[str, object] | None = None,
    ) -> dict[str, Task]:
        """Submit a workflow of tasks with the dependencies of the graph; daily ones by default."""
        workflow = make_workflow(project=self.project)
        definitions = {
            name: {
                "type": task_type,
                "depends_on": upstreams,
                "resource_group": (group or self.group).name,
                **({"schedule": schedule} if schedule else {}),
                **({"code": _CODE[task_type]} if task_type in _CODE else {}),
            }
            for name, upstreams in graph.items()
        }
        return make_submitted_tasks(definitions, workflow=workflow)

    def spec(self, graph: Graph, tasks: dict[str, Task], *, days: int) -> PlanSpec:
        """A plan of the whole graph over so many days, all in parallel."""
        last = FIRST_DATE + timedelta(days=days - 1)
        return PlanSpec.from_mapping(
            {
                "entry": {"kind": "tasks", "ids": [tasks[name].pk for name in roots(graph)]},
                "scope": "selected_and_downstream",
                "periods": [{"first": FIRST_DATE.isoformat(), "last": last.isoformat()}],
            }
        )

    def draft(self, spec: PlanSpec) -> Plan:
        """Make a plan that is yet to be submitted."""
        return create_plan(actor=None, project_id=self.project.pk, spec=spec)

    def waiting_plan(self, *, days: int) -> Plan:
        """A plan of 1,000 tasks in 10 layers, expanded; nothing of it ever gets a slot."""
        graph = layered(10, 100)
        tasks = self.tasks(graph, "shell", group=self.closed)
        plan = self.draft(self.spec(graph, tasks, days=days))
        submit_plans.one(actor=None, pk=plan.pk)
        while expand_plan(plan.pk):
            pass
        return Plan.objects.get(pk=plan.pk)


def successes_of(batch_id: int | None) -> int:
    """How many instances of the batch are SUCCESS."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM instances_instance WHERE batch_id = %s AND state = 'SUCCESS'",
            [batch_id],
        )
        return int(cursor.fetchone()[0])


def tidy_up(*tables: str) -> None:
    """Do what autovacuum does in time, at a moment that disturbs no measurement."""
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {', '.join(tables or ENGINE_TABLES)}")


def empty(tables: Sequence[str]) -> None:
    """Leave no row in the tables, nor in those that refer to them."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")


ENGINE_TABLES = (
    "instances_instance",
    "instances_edge",
    "instances_execution",
    "instances_logchunk",
    "backfill_plan",
    "backfill_plantask",
    "instances_batch",
)
