"""Virtual tasks: they succeed without a process."""

from __future__ import annotations

from instances.runners.base import Runner, TaskContext


class VirtualRunner(Runner):
    def prepare(self, context: TaskContext) -> None:
        return None
