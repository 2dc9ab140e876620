"""P11: memory of the processes after 100,000 shell instances."""

from __future__ import annotations

import socket
import sys
import time
from urllib.request import Request, urlopen

import psutil
from knox.models import AuthToken

from backfill.verbs.submit import submit_plans
from config.celery import app
from projects.roles import Role
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.graphs import layered
from tests.benchmarks.processes import celery_worker, running, wait_until
from tests.benchmarks.world import World, empty, successes_of, tidy_up
from tests.factories import make_member

TARGET = Target(most=300)
SWEEP_SECONDS = 5.0
PAGES = 20
SECONDS = 3_600


def measure(world: World, *, repeats: int) -> list[Figure]:
    """W3 by two worker processes, beside a web server that is read and a process that sweeps."""
    graph = layered(10, 100)
    days = world.scaled(100)
    spec = world.spec(graph, world.tasks(graph, "shell"), days=days)
    empty(["instances_instance"])
    token = AuthToken.objects.create(make_member(world.project, Role.VIEWER))[1]
    with (
        celery_worker(app, "config", queues=[world.group.queue]) as worker,
        celery_worker(app, "config", queues=[world.system_queue], processes=1) as sweeper,
        _web(port := _free_port()) as web,
    ):
        plan = submit_plans.one(actor=None, pk=world.draft(spec).pk)
        next_sweep = 0.0

        def is_done() -> bool:
            nonlocal next_sweep
            if time.monotonic() > next_sweep:
                next_sweep = time.monotonic() + SWEEP_SECONDS
                app.send_task("instances.sweep")
                _read(port, token)
            return successes_of(plan.batch_id) >= len(graph) * days

        took = wait_until(is_done, seconds=SECONDS, what="W3", poll_seconds=1)
        sizes = {
            "Worker": _largest(worker),
            "Web": _largest(web),
            "Sweep": _largest(sweeper),
        }
    tidy_up()
    return [
        Figure(
            "P11",
            f"{name} after {len(graph) * days:,} shell instances: its largest process, RSS",
            size / 2**20,
            "MiB",
            TARGET,
            note=f"they took {took:.0f} s" if name == "Worker" else "",
        )
        for name, size in sizes.items()
    ]


def _largest(process: psutil.Process) -> int:
    family = [process, *process.children(recursive=True)]
    return max(member.memory_info().rss for member in family)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _web(port: int) -> running:
    command = [sys.executable, "-m", "waitress", f"--listen=127.0.0.1:{port}"]
    return running(
        [*command, "config.wsgi:application"], name="web", is_up=lambda: _is_listening(port)
    )


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _read(port: int, token: str) -> None:
    """Read the list of instances as a client does that looks at it now and then."""
    address = f"http://127.0.0.1:{port}/api/v1/instances/?page_size=500"
    for _ in range(PAGES):
        with urlopen(Request(address, headers={"Authorization": f"Token {token}"})) as answer:
            answer.read()
