"""What is measured while a soak goes on: the memory of each process, the gaps between sweeps."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from datetime import datetime

import psutil
import psycopg

from tests.faults.product import Product

_LOOK_SECONDS = 1.0


class Watch(threading.Thread):
    """Looks once a second. `memory`: MiB of the largest process of each part, look by look."""

    def __init__(self, product: Product, database_url: str) -> None:
        super().__init__(name="watch", daemon=True)
        self.memory: dict[str, list[float]] = defaultdict(list)
        self.longest_gap = 0.0  # seconds between two sweeps
        self._product, self._database_url = product, database_url
        self._ended = threading.Event()

    def run(self) -> None:
        before: datetime | None = None
        while not self._ended.wait(_LOOK_SECONDS):
            self._weigh()
            swept_at = self._swept_at()
            if swept_at is not None and before is not None:
                self.longest_gap = max(self.longest_gap, (swept_at - before).total_seconds())
            before = swept_at or before

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _weigh(self) -> None:
        for name in ("web", "beat", "system", "worker-1", "worker-2"):
            with contextlib.suppress(psutil.Error, KeyError):
                main = self._product.main(name)
                sizes = [one.memory_info().rss for one in (main, *self._product.children(name))]
                self.memory[name].append(max(sizes) / 2**20)

    def _swept_at(self) -> datetime | None:
        try:
            with psycopg.connect(self._database_url, connect_timeout=5) as connection:
                row = connection.execute(
                    "SELECT ended_at FROM config_tick WHERE job = 'instances.sweep'"
                ).fetchone()
        except psycopg.Error:
            return None
        return row[0] if row else None


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began
