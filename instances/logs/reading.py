"""Reading logs: a page at a time, by chunk, so that a live tail asks only for what is new."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from instances.models import Execution, LogChunk
from instances.states import LIVE

# Chunks of a page; a chunk is at most 64 KB of text.
PAGE_CHUNKS = 16


@dataclass(frozen=True, slots=True)
class LogPage:
    """Text from a position on, the position after it, and whether there will ever be more."""

    text: str
    next_position: int
    finished: bool


def read_log(execution_id: int, *, position: int = 0, chunks: int = PAGE_CHUNKS) -> LogPage:
    """Return the log from chunk `position` on; `finished` when the end was reached and is final.

    Raises Execution.DoesNotExist.
    """
    # The state is read first: chunks written before the end are then certainly seen.
    state = Execution.objects.values_list("state", flat=True).get(pk=execution_id)
    rows = list(
        LogChunk.objects.filter(execution_id=execution_id, sequence__gte=position)
        .order_by("sequence")
        .values_list("sequence", "content", "compressed")[: chunks + 1]
    )
    page, more = rows[:chunks], len(rows) > chunks
    text = "".join(_decode(bytes(content), packed) for _, content, packed in page)
    return LogPage(
        text=text,
        next_position=page[-1][0] + 1 if page else position,
        finished=not more and state not in LIVE,
    )


def _decode(content: bytes, compressed: bool) -> str:
    return (zlib.decompress(content) if compressed else content).decode()
