"""What a worker process has while it lives: a name, a pulse, and the spawners of its tasks."""

from __future__ import annotations

import os
import socket
import uuid
from types import TracebackType
from typing import Self

from instances.runners.spawner.client import SpawnerClient
from instances.runners.users import confinement
from instances.worker.pulse import Pulse


class Life:
    """One life of a worker process. Whoever makes one closes it; it may be a context manager."""

    def __init__(self, name: str = "") -> None:
        """name: by which its executions know it; told from those of all other lives."""
        self.pid = os.getpid()
        self.name = name or f"{socket.gethostname()}:{self.pid}:{uuid.uuid4().hex[:8]}"
        self.pulse = Pulse(self.name)
        self.client = SpawnerClient(confinement())

    def close(self) -> None:
        """Kill what still runs, and end spawners and threads. Nothing is started any more."""
        self.client.close()
        self.pulse.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
