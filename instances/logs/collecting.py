"""Turns the bytes that a task writes into chunks of clean text, within bounds.

Whatever a task writes, the log is bounded: its first bytes are kept and streamed; of the rest
only the last ones are kept and follow at the end, with a note of how many were left out. Reading
goes on at full speed, so a task that writes too much is not held up.
"""

from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from instances.logs.redaction import MASK, Redactor

HEAD_BYTES: Final = 4 * 1024 * 1024
TAIL_BYTES: Final = 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024
FLUSH_SECONDS: Final = 0.5
# A log that is written to for hours is passed on less and less often: a row for each line of a
# task that says one a second would be 86,400 a day. The wait doubles after so many chunks, up to
# so many seconds.
SLOWER_AFTER_CHUNKS: Final = 200
MOST_FLUSH_SECONDS: Final = 5.0
# A tail begins at a line if one begins this near to its start.
_LINE_SEARCH: Final = 4096

Sink = Callable[[int, str], None]


class LogCollector:
    """Collects one execution's output; not thread-safe.

    `sink(sequence, text)` gets chunks of at most 64 KB of UTF-8, numbered from 0 without gaps,
    half a second after they were written, later five seconds, if `tick` is called that often. The
    sink must not wait for anything: the task's time limit and lease would wait with it. A sink
    that raises is called again with the same chunk at a later tick: the same sequence always
    carries the same text. Text is redacted, never holds a zero byte, and invalid UTF-8 is
    replaced. `written_bytes` is what the task wrote, `dropped_bytes` (known at the end) what of
    it was left out.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        secrets: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
        head_bytes: int = HEAD_BYTES,
        tail_bytes: int = TAIL_BYTES,
        chunk_bytes: int = CHUNK_BYTES,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._sink = sink
        self._redactor = Redactor(secrets)
        self._clock = clock
        self._head_left = head_bytes
        # A secret that begins before the tail must be seen whole to be masked.
        self._tail_bytes = tail_bytes
        self._ring_bytes = tail_bytes + max(4 * self._redactor.longest, _LINE_SEARCH)
        self._chunk_bytes = chunk_bytes
        self._flush_seconds = flush_seconds
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._pending_since: float | None = None
        self._ring: deque[bytes] = deque()
        self._ring_size = 0
        self._dropped = 0
        self._at_line_start = True
        self._sequence = 0
        self._unsent: deque[tuple[int, str]] = deque()
        self._finished = False
        self.written_bytes = 0
        self.dropped_bytes = 0
        self.sink_error: Exception | None = None

    @property
    def unsent(self) -> list[tuple[int, str]]:
        """Chunks that the sink has not taken; empty when all is well."""
        return list(self._unsent)

    def feed(self, data: bytes) -> None:
        """Take what the task wrote."""
        self.written_bytes += len(data)
        self._take(data)

    def note(self, text: str) -> None:
        """Put a line of our own into the log, on a line of its own."""
        start = "" if self._at_line_start else "\n"
        self._take(f"{start}[tidemill] {text}\n".encode())

    def tick(self) -> None:
        """Pass on what has waited long enough, and what the sink refused before."""
        if self._unsent:
            self._send()
        since = self._pending_since
        if since is not None and self._clock() - since >= self._patience:
            self._emit(self._redactor.safe_length(self._pending))

    @property
    def _patience(self) -> float:
        doublings = min(self._sequence // SLOWER_AFTER_CHUNKS, 10)
        return min(self._flush_seconds * 2**doublings, MOST_FLUSH_SECONDS)

    def finish(self) -> bool:
        """Pass on everything; False when the sink did not take it all (see `unsent`).

        May be called again to try again.
        """
        if not self._finished:
            self._finished = True
            self._close()
        self._send()
        return not self._unsent

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self._at_line_start = data.endswith(b"\n")
        head, rest = data[: self._head_left], data[self._head_left :]
        if head:
            self._head_left -= len(head)
            self._add(self._decoder.decode(head))
            if len(self._pending) >= self._chunk_bytes:
                self._emit(self._redactor.safe_length(self._pending))
        if rest:
            self._ring.append(rest)
            self._ring_size += len(rest)
            while self._ring_size - len(self._ring[0]) >= self._ring_bytes:
                self._dropped += len(self._ring[0])
                self._ring_size -= len(self._ring.popleft())

    def _add(self, text: str) -> None:
        if text and self._pending_since is None:
            self._pending_since = self._clock()
        self._pending += text.replace("\0", "␀")

    def _emit(self, length: int) -> None:
        """Pass on the first characters of what is pending; the rest waits on."""
        text, self._pending = self._pending[:length], self._pending[length:]
        self._pending_since = self._clock() if self._pending else None
        for chunk in _chunks(self._redactor.redact(text), self._chunk_bytes):
            self._unsent.append((self._sequence, chunk))
            self._sequence += 1
        self._send()

    def _send(self) -> None:
        while self._unsent:
            try:
                self._sink(*self._unsent[0])
            except Exception as error:  # noqa: BLE001 - a task must not end because a log cannot
                self.sink_error = error
                return
            self._unsent.popleft()
        self.sink_error = None

    def _close(self) -> None:
        ring = b"".join(self._ring)
        self._ring.clear()
        if self._dropped == 0 and len(ring) <= self._tail_bytes:
            # Nothing is left out: the head and the tail are one text.
            self._add(self._decoder.decode(ring, final=True))
            self._emit(len(self._pending))
            return
        # Surrogates stand for invalid bytes here, so that the length in bytes stays known.
        text = ring.decode("utf-8", "surrogateescape")
        cut = len(ring[: len(ring) - self._tail_bytes].decode("utf-8", "surrogateescape"))
        line = text.find("\n", max(0, cut - 1), cut + _LINE_SEARCH)
        cut = self._redactor.before_secret(text, line + 1 if line >= 0 else cut)
        tail = text[cut:].encode("utf-8", "surrogateescape")
        self.dropped_bytes = self._dropped + len(ring) - len(tail)

        self._add(self._decoder.decode(b"", final=True))
        safe = self._redactor.safe_length(self._pending)
        if safe < len(self._pending):
            # Perhaps the beginning of a secret whose end was left out.
            self._pending = self._pending[:safe] + MASK
        start = "" if self._pending.endswith("\n") else "\n"
        self._add(f"{start}[tidemill] {self.dropped_bytes} bytes of output were left out here.\n")
        self._add(tail.decode("utf-8", "replace"))
        self._emit(len(self._pending))


def _chunks(text: str, most: int) -> Iterable[str]:
    """Pieces of the text, none longer than so many bytes of UTF-8."""
    step = most if text.isascii() else most // 4
    for start in range(0, len(text), step):
        yield text[start : start + step]
