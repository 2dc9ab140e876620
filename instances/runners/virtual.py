"""Virtual tasks: roots and placeholders that succeed without a process."""

from __future__ import annotations

from typing import ClassVar

from instances.runners.base import Runner, TaskContext


class VirtualRunner(Runner):
    type: ClassVar[str] = "virtual"
    title: ClassVar[str] = "Virtual"

    def prepare(self, context: TaskContext) -> None:
        return None
