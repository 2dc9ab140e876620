"""Logs are bounded, clean and on time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.logs.collecting import LogCollector


class _Log:
    """A sink with a clock of its own."""

    def __init__(self, **options: object) -> None:
        self.now = 0.0
        self.chunks: list[tuple[int, str]] = []
        self.collector = LogCollector(
            lambda sequence, text: self.chunks.append((sequence, text)),
            clock=lambda: self.now,
            **options,  # type: ignore[arg-type]
        )

    @property
    def text(self) -> str:
        assert [sequence for sequence, _ in self.chunks] == list(range(len(self.chunks)))
        return "".join(text for _, text in self.chunks)


def test_output_is_passed_on_after_half_a_second() -> None:
    log = _Log()
    log.collector.feed(b"one\n")
    log.now = 0.4
    log.collector.feed(b"two\n")
    log.collector.tick()
    assert log.text == ""
    log.now = 0.5
    log.collector.tick()
    assert log.chunks == [(0, "one\ntwo\n")]


def test_a_full_chunk_is_passed_on_at_once_and_no_chunk_is_larger() -> None:
    log = _Log()
    log.collector.feed("é".encode() * 100_000)
    assert log.chunks
    log.collector.finish()
    assert log.text == "é" * 100_000
    assert max(len(text.encode()) for _, text in log.chunks) <= 64 * 1024


def test_a_character_that_is_cut_by_a_read_stays_whole() -> None:
    log = _Log(flush_seconds=0.0)
    for byte in "a✓é\0€".encode() + b"\xff\xc3":
        log.collector.feed(bytes([byte]))
        log.collector.tick()
    log.collector.finish()
    assert log.text == "a✓é␀€\ufffd\ufffd"


@pytest.mark.feature("P5")
def test_a_secret_that_is_cut_by_reads_and_flushes_is_masked() -> None:
    log = _Log(secrets=["hunter2"], flush_seconds=0.0)
    for byte in b"pw=hunter2 postgres://u:other@h hunt":
        log.collector.feed(bytes([byte]))
        log.collector.tick()
    assert log.text == "pw=*** postgres://u:***@h "
    log.collector.finish()
    assert log.text == "pw=*** postgres://u:***@h hunt"


def test_head_and_tail_are_kept_and_the_middle_is_counted() -> None:
    log = _Log(head_bytes=100, tail_bytes=100)
    lines = [b"%09d\n" % number for number in range(10_000)]
    for line in lines:
        log.collector.feed(line)
    assert log.collector.finish()
    head, note, tail = log.text[:100], log.text[100:-100], log.text[-100:]
    assert head.encode() == b"".join(lines[:10])
    assert tail.encode() == b"".join(lines[-10:])
    assert log.collector.written_bytes == 100_000
    assert str(log.collector.dropped_bytes) in note
    kept = len(log.text) - len(note)
    assert kept + log.collector.dropped_bytes == 100_000


def test_nothing_is_left_out_when_head_and_tail_meet() -> None:
    log = _Log(head_bytes=5, tail_bytes=100)
    log.collector.feed("aaaaéüü".encode() * 3)  # the head ends inside of a character
    log.collector.finish()
    assert log.text == "aaaaéüü" * 3
    assert log.collector.dropped_bytes == 0


@pytest.mark.feature("P5")
def test_a_secret_across_either_border_is_masked() -> None:
    for shift in range(24):
        log = _Log(head_bytes=50, tail_bytes=50, secrets=["0secret-1secret"])
        filler = b"." * (40 + shift)
        log.collector.feed(filler + b"0secret-1secret" + b"-" * 200_000)
        log.collector.feed(b"0secret-1secret" + b"." * (40 + shift - 10))
        log.collector.finish()
        for part in ("0secret", "1secret", "cret-1s", "0s", "et\n"):
            assert part not in log.text


def test_notes_stand_on_lines_of_their_own() -> None:
    log = _Log()
    log.collector.feed(b"half a line")
    log.collector.note("Stopped.")
    log.collector.feed(b"more\n")
    log.collector.note("Ended.")
    log.collector.finish()
    assert log.text == "half a line\n[tidemill] Stopped.\nmore\n[tidemill] Ended.\n"
    assert log.collector.written_bytes == 16


def test_a_sink_that_fails_gets_the_same_chunks_again() -> None:
    taken: list[tuple[int, str]] = []
    broken = True

    def sink(sequence: int, text: str) -> None:
        if broken:
            raise ConnectionError
        taken.append((sequence, text))

    collector = LogCollector(sink, flush_seconds=0.0)
    collector.feed(b"one\n")
    collector.tick()
    collector.feed(b"two\n")
    collector.tick()
    assert not collector.finish()
    assert collector.unsent == [(0, "one\n"), (1, "two\n")]
    assert isinstance(collector.sink_error, ConnectionError)
    broken = False
    assert collector.finish()
    assert taken == [(0, "one\n"), (1, "two\n")]
    assert (collector.unsent, collector.sink_error) == ([], None)


@given(st.binary(max_size=300), st.integers(0, 50), st.integers(0, 50), st.integers(0, 2**32))
def test_any_bytes_in_any_pieces_give_clean_bounded_text(
    data: bytes, head: int, tail: int, seed: int
) -> None:
    cuts = random.Random(seed)
    log = _Log(head_bytes=head, tail_bytes=tail, chunk_bytes=16, flush_seconds=0.0)
    rest = data
    while rest:
        size = cuts.randrange(1, 20)
        log.collector.feed(rest[:size])
        log.collector.tick()
        rest = rest[size:]
    log.collector.finish()
    assert "\0" not in log.text
    assert all(len(text.encode()) <= 16 for _, text in log.chunks)
    if len(data) <= head + tail:
        assert log.text == data.decode(errors="replace").replace("\0", "␀")
