"""The models of instances."""

from __future__ import annotations

from instances.models.batch import Batch
from instances.models.batch_day import BatchDay
from instances.models.batch_note import BatchNote
from instances.models.edge import Edge, RemovedBecause
from instances.models.execution import Execution
from instances.models.instance import Instance
from instances.models.log_chunk import LogChunk
from instances.models.nudge import Nudge
from instances.models.removed_dependency import RemovedDependency

__all__ = [
    "Batch",
    "BatchDay",
    "BatchNote",
    "Edge",
    "Execution",
    "Instance",
    "LogChunk",
    "Nudge",
    "RemovedBecause",
    "RemovedDependency",
]
