"""A stage whose product reaches its servers through proxies, and what breaks without a crash.

Leases are those of production: most of these faults are over before one ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from instances.engine.generation import _GENERATION_LOCK
from tests.faults.breaking import STILL_SECONDS, Stage
from tests.faults.product import Product, Progress
from tests.faults.servers import Broker, Postgres
from tests.support.proxy import Mood, broker_proxy, database_proxy
from tests.support.waiting import wait_for

LEASE_SECONDS = 30
HELD_SECONDS = 3.0


class QuietStage(Stage):
    """A stage between proxies. Close it in the end."""

    def __init__(self, folder: Path, postgres: Postgres, broker: Broker) -> None:
        super().__init__(folder, postgres, broker)
        self._ends = ExitStack()
        self._database, database_url = self._ends.enter_context(database_proxy(postgres.url))
        self._messages, broker_url = self._ends.enter_context(broker_proxy(broker.url))
        self.environment |= {
            "DATABASE_URL": database_url,
            "BROKER_URL": broker_url,
            "EXECUTION_LEASE_SECONDS": str(LEASE_SECONDS),
        }
        self.product = Product(folder, self.environment)

    def close(self) -> None:
        self._ends.close()

    def run_quietly(
        self, faults: list[Callable[[Progress], None]], say: Callable[[str], None]
    ) -> None:
        """Run the plan, with one fault after the other, between which it must go on."""
        began = time.monotonic()
        with Progress(self.postgres.url) as progress:
            self.product.start()
            for fault in faults:
                self._go_on(progress)
                say(f"{time.monotonic() - began:6.1f} s  {fault.__name__}")
                fault(progress)
            progress.wait_for(self.total, seconds=STILL_SECONDS, product=self.product)
            wait_for(
                lambda: progress.is_settled, STILL_SECONDS, complaint="the plan was not completed"
            )
        say(f"{len(faults)} silent faults, {time.monotonic() - began:.0f} s")

    def lost(self) -> int:
        with psycopg.connect(self.postgres.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM instances_execution WHERE state = 'LOST'"
            ).fetchone()
        return row[0] if row else 0

    def _go_on(self, progress: Progress) -> None:
        """Wait until one instance more is done."""
        done = progress.done()
        assert done is not None and done < self.total, "the plan is too small for all the faults"
        progress.wait_for(done + 1, seconds=STILL_SECONDS, product=self.product)

    # The faults.

    def database_away_for_5_seconds(self, progress: Progress) -> None:
        self._database_is(Mood.REFUSING, 5)

    def database_away_for_10_seconds(self, progress: Progress) -> None:
        self._database_is(Mood.REFUSING, 10)

    def database_away_for_18_seconds(self, progress: Progress) -> None:
        self._database_is(Mood.REFUSING, 18)

    def database_away_for_25_seconds(self, progress: Progress) -> None:
        """As long as what a lease may have left: from here on work may be lost and redone."""
        assert self.lost() == 0
        self._database_is(Mood.REFUSING, 25)

    def database_silent(self, progress: Progress) -> None:
        self._database_is(Mood.SILENT, 12)

    def connections_silent_for_ever(self, progress: Progress) -> None:
        """New ones work, as after a failover."""
        self._database.forget_all()

    def broker_silent(self, progress: Progress) -> None:
        self._messages.set(Mood.SILENT)
        self._go_on(progress)
        self._messages.set(Mood.OPEN)

    def held_row(self, progress: Progress) -> None:
        self._held(
            "SELECT FROM instances_instance WHERE id = (SELECT min(id) FROM instances_instance"
            " WHERE state IN ('WAITING_UPSTREAM', 'WAITING_EXECUTION', 'RUNNING')) FOR UPDATE",
            progress,
        )

    def held_generation(self, progress: Progress) -> None:
        self._held(f"SELECT pg_advisory_xact_lock({_GENERATION_LOCK})", progress)

    def held_group(self, progress: Progress) -> None:
        with self._holding("SELECT FROM projects_resourcegroup FOR UPDATE"):
            time.sleep(HELD_SECONDS)

    def _database_is(self, mood: Mood, seconds: float) -> None:
        self._database.set(mood)
        time.sleep(seconds)
        self._database.set(Mood.OPEN)

    def _held(self, statement: str, progress: Progress) -> None:
        with self._holding(statement):
            self._go_on(progress)

    @contextmanager
    def _holding(self, statement: str) -> Iterator[None]:
        with psycopg.connect(self.postgres.url) as connection:
            connection.execute(statement)
            yield
            connection.rollback()
