"""Writing logs: chunks while the execution runs, compressed when it has ended."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from threading import Event, Lock, Thread

import structlog
from django.db import connection, transaction

from instances.ground.prepared import prepared_cursor
from instances.models import LogChunk
from instances.states import IN_WORKER
from projects.ground.sql import column
from projects.ground.threads import Standing

# Below this the saving is not worth the second write.
COMPRESS_FROM_BYTES = 4096
# What is written within this time, in seconds, by all that runs here, is stored in one transaction.
GATHER_SECONDS = 0.25
# Text of one statement, about.
STATEMENT_BYTES = 1024 * 1024

# Chunk `sequence` of an execution's log: (execution id, sequence, text).
Chunk = tuple[int, int, str]

_INSERT = """
    INSERT INTO instances_logchunk (execution_id, sequence, content, compressed, size, created_at)
    SELECT d.id, d.sequence, d.content, false, length(d.content), clock_timestamp()
    FROM unnest(%s::bigint[], %s::int[], %s::bytea[]) AS d (id, sequence, content)
"""
# The same chunk may come twice, by the writer and with the result.
_ONCE = "ON CONFLICT (execution_id, sequence) DO NOTHING"

logger = structlog.get_logger(__name__)


class LogWriter:
    """Stores the logs of all that runs in a process, from one thread of its own.

    Whoever feeds a task's output never waits for the database: a sink only keeps the chunk. What
    has not been stored when the execution ends travels with its result. A log is at most 5 MB, so
    what waits here is bounded, too, whatever becomes of the database.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._waiting: dict[int, dict[int, str]] = {}  # execution → sequence → text, in order
        self._lock = Lock()
        self._wake = Event()
        self._thread: Thread | None = None
        self._closed = False

    def sink_of(self, execution_id: int) -> Callable[[int, str], None]:
        """Return a function that takes chunk `sequence` of the execution's log, at once."""
        return partial(self._keep, execution_id)

    def take(self, execution_id: int) -> tuple[tuple[int, str], ...]:
        """Return the chunks that may not have been stored, and leave them to the caller."""
        with self._lock:
            return tuple(self._waiting.pop(execution_id, {}).items())

    def _keep(self, execution_id: int, sequence: int, text: str) -> None:
        with self._lock:
            self._waiting.setdefault(execution_id, {})[sequence] = text
        self._wake.set()

    def start(self) -> None:
        """Have the thread ready that stores: better before the first execution is claimed."""
        with self._lock:
            if self._thread is None:
                self._thread = Standing(self._store_once, name="log-writer")

    def close(self) -> None:
        """Let the thread end: what it cannot store any more travels with the results."""
        self._closed = True
        self._wake.set()

    def _store_once(self) -> bool:
        self._wake.wait()
        time.sleep(GATHER_SECONDS)
        self._wake.clear()
        try:
            self._store()
        except Exception:
            # The database is away: what waits goes in the next round, or with the result.
            with suppress(Exception):
                logger.warning("log_not_stored", exc_info=True)
            connection.close()
        finally:
            if self._waiting:
                self._wake.set()
        if not self._waiting:
            connection.close()  # tasks that run for hours may be silent for as long
        return self._closed

    def _store(self) -> None:
        """Store what waits now, as far as the executions can be written to."""
        with self._lock:
            waiting = [
                (pk, sequence, text)
                for pk, chunks in self._waiting.items()
                for sequence, text in chunks.items()
            ]
        refused: set[int] = set()
        for batch in _batches(waiting):
            # A later chunk never before an earlier one: a reader asks for what follows the last.
            batch = [chunk for chunk in batch if chunk[0] not in refused]
            stored = store_chunks(batch, worker=self._worker)
            refused |= {chunk[0] for chunk in batch} - stored
            with self._lock:
                for pk, sequence, _ in batch:
                    if pk in stored and pk in self._waiting:
                        self._waiting[pk].pop(sequence, None)
                for pk in stored:
                    if not self._waiting.get(pk, True):
                        del self._waiting[pk]


def store_chunks(chunks: Iterable[Chunk], *, worker: str) -> set[int]:
    """Store chunks of executions that the worker holds; return the executions that took theirs.

    The write is fenced (design §5.6): once an execution was closed, or is another worker's,
    nothing more is stored. One whose row somebody holds at this moment is left out as well: there
    is time, and who waited here would hold up the logs of all others.
    """
    ids, sequences, contents = _columns(chunks)
    if not ids:
        return set()
    with prepared_cursor() as cursor:
        # FOR SHARE: whoever closes the execution waits for this chunk, or it is not written.
        cursor.execute(
            "WITH held AS (SELECT id FROM instances_execution WHERE id = ANY(%s) AND worker = %s"
            " AND state = ANY(%s) FOR SHARE SKIP LOCKED),"
            f" stored AS ({_INSERT} WHERE d.id IN (SELECT id FROM held) {_ONCE})"
            " SELECT id FROM held",
            [ids, worker, [state.value for state in IN_WORKER], ids, sequences, contents],
        )
        return set(column(cursor))


def insert_chunks(chunks: Iterable[Chunk]) -> None:
    """Store chunks of executions that were closed in this transaction: the ends of their logs."""
    for batch in _batches(chunks):
        with prepared_cursor() as cursor:
            cursor.execute(f"{_INSERT} {_ONCE}", _columns(batch))


def _columns(chunks: Iterable[Chunk]) -> tuple[list[int], list[int], list[bytes]]:
    listed = list(chunks)
    return (
        [pk for pk, _, _ in listed],
        [sequence for _, sequence, _ in listed],
        [text.encode() for _, _, text in listed],
    )


def _batches(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """The chunks in order, in pieces of about STATEMENT_BYTES."""
    batch: list[Chunk] = []
    size = 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk[2])
        if size >= STATEMENT_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


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
