"""Writing logs: chunks while the execution runs, compressed when it has ended."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from django.db import connection, transaction

from instances.models import LogChunk
from instances.states import IN_WORKER

# Below this the saving is not worth the second write.
COMPRESS_FROM_BYTES = 4096


def chunk_sink(execution_id: int) -> Callable[[int, str], None]:
    """Return a function that stores chunk `sequence` of the execution's log.

    The write is fenced (design §5.6): once the execution was closed, nothing more is stored.
    """

    def store(sequence: int, text: str) -> None:
        content = text.encode()
        with connection.cursor() as cursor:
            # FOR SHARE: whoever closes the execution waits for this chunk, or it is not written.
            cursor.execute(
                """
                INSERT INTO instances_logchunk
                    (execution_id, sequence, content, compressed, size, created_at)
                SELECT x.id, %s, %s, false, %s, clock_timestamp()
                FROM (SELECT id FROM instances_execution
                      WHERE id = %s AND state = ANY(%s) FOR SHARE) x
                ON CONFLICT (execution_id, sequence) DO NOTHING
                """,
                [
                    sequence,
                    content,
                    len(content),
                    execution_id,
                    [state.value for state in IN_WORKER],
                ],
            )
        if not connection.in_atomic_block:
            connection.close()  # a task that runs for hours must not hold a connection for as long

    return store


@transaction.atomic
def compress_log(execution_id: int) -> None:
    """Compress the chunks of an ended execution that are worth it."""
    chunks = list(
        LogChunk.objects.filter(
            execution_id=execution_id, compressed=False, size__gte=COMPRESS_FROM_BYTES
        )
    )
    for chunk in chunks:
        chunk.content = zlib.compress(bytes(chunk.content))
        chunk.compressed = True
    LogChunk.objects.bulk_update(chunks, ["content", "compressed"])
