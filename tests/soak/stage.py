"""The whole product with web and two proxies, and more ways to break it: the soak's stage."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.faults.breaking import Stage
from tests.faults.product import COMMANDS, Product, environment
from tests.faults.servers import Broker, Postgres, free_port
from tests.support.proxy import Mood, Proxy, broker_proxy, database_proxy

# How long the network to the database or the broker is away, or silent, in seconds: from a blink to
# longer than a lease.
BLACKOUTS = (0.5, 3.0, 9.0)

Fault = Callable[[], None]


class SoakStage(Stage):
    """`chance` decides how long a fault lasts."""

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        broker: Broker,
        ends: ExitStack,
        chance: random.Random,
    ) -> None:
        super().__init__(folder, postgres, broker)
        self._chance = chance
        self._database, database_url = ends.enter_context(database_proxy(postgres.url))
        self._messages, broker_url = ends.enter_context(broker_proxy(broker.url))
        self.direct = self.environment  # past the proxies
        self.port = free_port()
        self.environment = environment(folder, database_url=database_url, broker_url=broker_url) | {
            "HTTPS": "false",
            "API_THROTTLE": "100000/min",
        }
        self.product = Product(folder, self.environment, COMMANDS | {"web": self._web()})
        ends.callback(self.product.destroy)

    def _web(self) -> tuple[str, ...]:
        return (
            *(sys.executable, "-m", "gunicorn", "config.wsgi:application"),
            *("--workers", "2", "--threads", "4", "--bind", f"127.0.0.1:{self.port}"),
        )

    @property
    def faults(self) -> list[Fault]:
        """Everything that may happen, often as it stands here."""
        return [
            self.kill_a_worker_and_its_children,
            self.kill_one_process_of_a_pool,
            self.kill_the_main_process_of_a_worker,
            self.kill_both_workers,
            self.kill_what_starts_tasks,
            self.kill_what_guards_the_tasks,
            self.restart_a_worker_in_order,
            self.kill_the_system_worker,
            self.kill_beat,
            self.freeze_beat,
            self.kill_web,
            self.purge_the_queues,
            self.delete_the_queues,
            self.restart_the_broker,
            self.restart_postgresql,
            self.deliver_every_message_twice,
            self.stop_the_sweep,
            *[self.cut_the_database] * 2,
            *[self.silence_the_database] * 2,
            self.cut_the_broker,
            self.silence_the_broker,
        ]

    def kill_web(self) -> None:
        self.product.kill("web")

    def cut_the_database(self) -> None:
        self._put(self._database, Mood.REFUSING)

    def silence_the_database(self) -> None:
        self._put(self._database, Mood.SILENT)

    def cut_the_broker(self) -> None:
        self._put(self._messages, Mood.REFUSING)

    def silence_the_broker(self) -> None:
        self._put(self._messages, Mood.SILENT)

    def _put(self, proxy: Proxy, mood: Mood) -> None:
        proxy.set(mood)
        time.sleep(self._chance.choice(BLACKOUTS))
        proxy.set(Mood.OPEN)
