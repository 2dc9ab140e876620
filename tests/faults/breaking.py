"""A stage on which the product runs on servers of its own, and the ways to break it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg

from config.embedded.data_directory import PROJECT_DIRECTORY
from tests.faults.product import (
    LEASE_SECONDS,
    QUEUES,
    Product,
    Progress,
    call,
    environment,
    holders_of,
    kill,
)
from tests.faults.servers import Broker, Postgres
from tests.support.waiting import wait_for

# A lost execution is found after its lease and a round of rescue; then its worker must be up.
STILL_SECONDS = 45.0
SWITCHED_SECONDS = 10.0


class Stage:
    """PostgreSQL, a broker, two workers, one for the system and beat; and a plan to run."""

    def __init__(self, folder: Path, postgres: Postgres, broker: Broker) -> None:
        self.folder = folder
        self.postgres = postgres
        self.broker = broker
        self.environment = environment(folder, database_url=postgres.url, broker_url=broker.url)
        self.product = Product(folder, self.environment)
        self.total = 0

    def plan(self, instances: int, *options: str) -> None:
        """Make a plan of so many instances; see `planning`."""
        self.total = instances
        call(
            "tests.faults.planning",
            str(instances),
            str(self.folder),
            *options,
            environment=self.environment,
        )

    def run_through(self, fault: Callable[[], None], say: Callable[[str], None]) -> None:
        """Run the plan to its end, with one fault while its first instances run."""
        journal = self.folder / "journal"
        self.product.start()
        wait_for(
            lambda: journal.exists() and "start" in journal.read_text(), complaint="nothing started"
        )
        time.sleep(1)  # the others of the same claim
        say(f"{fault.__name__}")
        fault()
        with Progress(self.postgres.url) as progress:
            progress.wait_for(self.total, seconds=STILL_SECONDS, product=self.product)
            wait_for(
                lambda: progress.is_settled, STILL_SECONDS, complaint="the plan was not completed"
            )

    def run(self, faults: list[Callable[[], None]], say: Callable[[str], None]) -> None:
        """Run the plan to its end, with the faults spread over it and an operator at work."""
        began = time.monotonic()
        with Progress(self.postgres.url) as progress, self._operating() as operator:
            self.product.start()
            for number, fault in enumerate(faults, start=1):
                step = self.total * number // (len(faults) + 1)
                progress.wait_for(step, seconds=STILL_SECONDS, product=self.product)
                say(f"{time.monotonic() - began:6.1f} s  {step:5}  {fault.__name__}")
                fault()
            (self.folder / "closing").touch()
            progress.wait_for(self.total, seconds=STILL_SECONDS, product=self.product)
            wait_for(
                lambda: progress.is_settled, STILL_SECONDS, complaint="the plan was not completed"
            )
            output, _ = operator.communicate(timeout=STILL_SECONDS)
        assert operator.returncode == 0, "the operator came to an end of its own"
        say(f"{self.broker.name}: the operator's acts: {output.strip()}")
        say(
            f"{self.broker.name}: {len(faults)} faults injected, {self.total} instances run,"
            f" {time.monotonic() - began:.0f} s"
        )
        # Celery's worker may do so when Redis goes away: what supervises it starts it again.
        for process in self.product.fell:
            say(f"{self.broker.name}: {process}, and was started again")

    @contextlib.contextmanager
    def _operating(self) -> Iterator[subprocess.Popen[str]]:
        """An operator who acts at random until everything is to come to its end."""
        command = [sys.executable, "-m", "tests.faults.operating"]
        with (
            (self.folder / "operator.log").open("w") as log,
            subprocess.Popen(
                [*command, str(self.folder), self.broker.name],
                cwd=PROJECT_DIRECTORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def judge(self) -> None:
        """End the product in order; AssertionError when anything is not as it must be."""
        self.product.stop()
        assert self.product.leftovers() == []
        assert holders_of(self.folder / "locks") == []
        call("tests.faults.judging", str(self.folder), environment=self.environment)

    # The faults.

    def kill_a_worker_and_its_children(self) -> None:
        self.product.kill("worker-1")

    def purge_the_queues(self) -> None:
        self.broker.purge(QUEUES)

    def kill_beat(self) -> None:
        self.product.kill("beat")

    def restart_postgresql(self) -> None:
        self.postgres.restart()

    def take_postgresql_away_for_longer_than_a_lease(self) -> None:
        self.postgres.restart(away=LEASE_SECONDS + 2)

    def deliver_every_message_twice(self) -> None:
        self._switch_on("twice")

    def kill_one_process_of_a_pool(self) -> None:
        kill(self.product.children("worker-2")[:1])

    def restart_the_broker(self) -> None:
        self.broker.kill()
        self.broker.start()

    def stop_the_sweep(self) -> None:
        self._switch_on("no-sweep")

    def kill_the_main_process_of_a_worker(self) -> None:
        self.product.kill("worker-2", children=False)

    def kill_what_starts_tasks(self) -> None:
        kill(self.product.spawners("worker-1")[-1:])

    def kill_what_guards_the_tasks(self) -> None:
        kill(self.product.spawners("worker-2")[:1])

    def kill_the_system_worker(self) -> None:
        self.product.kill("system")

    def freeze_beat(self) -> None:
        self._freeze([self.product.main("beat")])

    def freeze_the_workers_that_run_tasks(self) -> None:
        self._freeze(self._workers_that_run_tasks())

    def delete_the_queues(self) -> None:
        self.broker.wipe(QUEUES)

    def kill_both_workers(self) -> None:
        self.product.kill("worker-1", "worker-2")

    def restart_a_worker_in_order(self) -> None:
        self.product.stop("worker-1")
        self.product.start("worker-1")

    def restart_database_and_broker(self) -> None:
        self.broker.kill()
        self.postgres.restart()
        self.broker.start()

    def kill_everything(self) -> None:
        self.broker.kill()
        kill(self.product.spawners("worker-1") + self.product.spawners("worker-2"))
        self.product.kill("worker-1", "worker-2", "system", "beat")
        self.postgres.restart()
        self.broker.start()

    def _workers_that_run_tasks(self) -> list[psutil.Process]:
        with psycopg.connect(self.postgres.url) as connection:
            rows = connection.execute(
                "SELECT DISTINCT split_part(worker, ':', 2) FROM instances_execution"
                " WHERE state = 'RUNNING'"
            ).fetchall()
        assert rows
        return [psutil.Process(int(pid)) for (pid,) in rows]

    def _freeze(self, processes: list[psutil.Process]) -> None:
        """Stop processes for longer than a lease, then let them go on."""
        for process in processes:
            process.suspend()
        time.sleep(LEASE_SECONDS + 3)
        for process in processes:
            process.resume()

    def _switch_on(self, name: str) -> None:
        """For a while, in which other faults come."""
        path = self.folder / "switches" / name
        path.touch()
        timer = threading.Timer(SWITCHED_SECONDS, path.unlink)
        timer.daemon = True
        timer.start()
