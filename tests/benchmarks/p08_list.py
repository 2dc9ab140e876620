"""P8: pages of the list of instances over the API, beside the SQL that they stand on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.test import Client

from config.embedded.application import load_application
from projects.roles import Role
from tests.benchmarks.figures import Figure, Target, interleaved
from tests.benchmarks.filling import fill
from tests.benchmarks.world import World
from tests.factories import make_member

TARGET = Target(most_ratio=6, most=60)
ADDRESS = "/api/v1/instances/?state=SUCCESS&search=h1"
PAGE, SIZE = 1_000, 50
LOOKS = 20

# What the answer is made of, by one statement written by hand.
_SQL = """
    WITH page AS (
        SELECT i.id FROM instances_instance i JOIN workflows_task t ON t.id = i.task_id
        WHERE i.project_id = %s AND i.state = 'SUCCESS' AND t.name ILIKE '%%h1%%'
            AND (i.scheduled_at, i.id) < (%s, %s)
        ORDER BY i.scheduled_at DESC, i.id DESC LIMIT %s
    )
    SELECT i.*, t.name, w.id, w.name, f.path, p.name, g.name, v.number, v.type, v.cycle, b.name,
        pl.id, pl.name, ARRAY(SELECT u.username FROM workflows_task_owners o
            JOIN auth_user u ON u.id = o.user_id WHERE o.task_id = t.id ORDER BY u.username)
    FROM page JOIN instances_instance i USING (id)
    JOIN workflows_task t ON t.id = i.task_id
    JOIN workflows_workflow w ON w.id = t.workflow_id
    LEFT JOIN workflows_folder f ON f.id = w.folder_id
    JOIN projects_project p ON p.id = i.project_id
    JOIN projects_resourcegroup g ON g.id = i.resource_group_id
    JOIN workflows_taskversion v ON v.id = i.version_id
    LEFT JOIN instances_batch b ON b.id = i.batch_id
    LEFT JOIN backfill_plan pl ON pl.batch_id = b.id
    ORDER BY i.scheduled_at DESC, i.id DESC"""


def measure(world: World, *, repeats: int) -> list[Figure]:
    """The first page and the 1,000th of what succeeded in tasks of a name, 50 rows each."""
    fill(world)
    load_application()
    client = Client()
    client.force_login(make_member(world.project, Role.VIEWER))
    page = world.scaled(PAGE)
    far, rows = _address_of_page(client, page)
    places = {
        "first": (ADDRESS, ("infinity", 0)),
        f"{page:,}th": (far, (rows[-1]["scheduled_at"], rows[-1]["id"])),
    }
    return [
        _figure(world, client, which, address, after, repeats)
        for which, (address, after) in places.items()
    ]


def _figure(
    world: World, client: Client, which: str, address: str, after: Sequence[Any], repeats: int
) -> Figure:
    arguments = [world.project.pk, *after, SIZE + 1]
    limits, figures = interleaved(
        lambda: _timed(lambda: _select(arguments)),
        lambda: _timed(lambda: _get(client, address)),
        repeats=repeats * LOOKS,
    )
    return Figure(
        "P8",
        f"{which.capitalize()} page of the instance list by state and task name, API, 95 of 100",
        _p95(figures),
        "ms",
        TARGET,
        limit=_p95(limits),
    )


def _address_of_page(client: Client, number: int) -> tuple[str, list[dict[str, Any]]]:
    """Turn the pages; return the address of page `number`, and the rows before it."""
    address, rows = ADDRESS, []
    for _ in range(number - 1):
        answer = _get(client, address)
        address, rows = answer["next"], answer["results"]
    return address, rows


def _get(client: Client, address: str) -> dict[str, Any]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    return answer.json()


def _select(arguments: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SQL, arguments)
        assert len(cursor.fetchall()) == SIZE + 1


def _timed(step: Any) -> float:
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]
