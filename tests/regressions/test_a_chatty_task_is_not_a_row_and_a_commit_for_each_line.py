"""A task that says a line a second for a day must not be 86,400 rows, nor each task a commit."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.logs.collecting import MOST_FLUSH_SECONDS, LogCollector
from instances.logs.reading import read_log
from instances.logs.writing import LogWriter
from tests.factories import make_submitted_task
from tests.instances.conftest import engine, sent  # noqa: F401
from tests.support.engine import Engine, new_instance


def test_a_line_a_second_for_a_day_is_few_rows_and_never_late() -> None:
    now = 0.0
    chunks: list[tuple[float, str]] = []
    collector = LogCollector(lambda sequence, text: chunks.append((now, text)), clock=lambda: now)
    day = 86_400
    for second in range(day):
        now = float(second)
        collector.feed(b"%06d\n" % second)
        now += 0.5
        collector.tick()
    collector.finish()
    assert len(chunks) < day / 4
    assert "".join(text for _, text in chunks).split() == [f"{one:06}" for one in range(day)]
    for at, text in chunks:
        assert at - int(text[:6]) <= MOST_FLUSH_SECONDS + 1
    # At first, when somebody watches, as soon as before.
    assert all(at - int(text[:6]) <= 1 for at, text in chunks[:200])


def test_the_logs_of_all_tasks_of_a_process_are_stored_by_one_statement(
    engine: Engine,  # noqa: F811
) -> None:
    task = make_submitted_task()
    executions = [
        pk
        for instance in engine.make(*[new_instance(task, day=day) for day in range(5)])
        if (pk := engine.start(instance, worker="worker")) is not None
    ]
    writer = LogWriter("worker")
    for pk in executions:
        for sequence in range(3):
            writer.sink_of(pk)(sequence, f"{sequence}\n")
    with CaptureQueriesContext(connection) as captured:
        writer._store()
    assert len(captured) == 1
    assert [read_log(pk).text for pk in executions] == ["0\n1\n2\n"] * len(executions)
    assert [writer.take(pk) for pk in executions] == [()] * len(executions)
