"""Logs in the database: fenced, paged, compressed."""

from __future__ import annotations

from functools import partial

import pytest

from instances.logs.reading import read_log
from instances.logs.writing import compress_log, store_chunks
from instances.models import Execution, Instance
from instances.verbs.mark_success import mark_success
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance


@pytest.fixture
def running(engine: Engine) -> tuple[Instance, int]:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution_id = engine.start(instance)
    assert execution_id is not None
    return instance, execution_id


def store_chunk(execution_id: int, sequence: int, text: str) -> None:
    store_chunks([(execution_id, sequence, text)], worker="worker")


@pytest.mark.feature("I11")
def test_a_log_can_be_followed_while_it_is_written(
    engine: Engine, running: tuple[Instance, int]
) -> None:
    _, execution_id = running
    store = partial(store_chunk, execution_id)
    store(0, "one\n")
    first = read_log(execution_id)
    assert (first.text, first.next_position, first.finished) == ("one\n", 1, False)
    store(1, "two\n")
    second = read_log(execution_id, position=first.next_position)
    assert (second.text, second.finished) == ("two\n", False)
    engine.finish(execution_id)
    assert read_log(execution_id, position=second.next_position).finished


def test_nothing_is_logged_once_the_execution_was_closed(
    engine: Engine, running: tuple[Instance, int]
) -> None:
    instance, execution_id = running
    store = partial(store_chunk, execution_id)
    store(0, "before\n")
    with engine.committing():
        mark_success(actor=None, ids=[instance.pk])
    engine.finish(execution_id)
    store(1, "after\n")
    assert read_log(execution_id).text == "before\n"


def test_a_chunk_that_is_stored_again_stays_once(running: tuple[Instance, int]) -> None:
    _, execution_id = running
    store = partial(store_chunk, execution_id)
    store(0, "one\n")
    store(0, "one\n")
    assert read_log(execution_id).text == "one\n"


def test_a_log_is_read_in_pages(running: tuple[Instance, int]) -> None:
    _, execution_id = running
    store = partial(store_chunk, execution_id)
    for number in range(10):
        store(number, f"{number}\n")
    page = read_log(execution_id, chunks=4)
    assert (page.text, page.next_position, page.finished) == ("0\n1\n2\n3\n", 4, False)
    last = read_log(execution_id, position=8, chunks=4)
    assert (last.text, last.next_position) == ("8\n9\n", 10)


def test_long_chunks_are_compressed_at_the_end_and_read_the_same(
    engine: Engine, running: tuple[Instance, int]
) -> None:
    _, execution_id = running
    store = partial(store_chunk, execution_id)
    store(0, "x" * 60_000)
    store(1, "short\n")
    engine.finish(execution_id)
    compress_log(execution_id)
    rows = Execution.objects.get(pk=execution_id).log_chunks.order_by("sequence")
    assert [chunk.compressed for chunk in rows] == [True, False]
    assert len(bytes(rows[0].content)) < 1_000
    assert read_log(execution_id).text == "x" * 60_000 + "short\n"
