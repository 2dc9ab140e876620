"""Log lines, for people and for a log store."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from config.log_format import configure_structlog, logging_settings
from instances.engine.rescue import rescue
from instances.worker import execution as execution_module
from instances.worker.execution import begin, claim, run
from instances.worker.life import Life
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance

Lines = Callable[[], list[str]]


@pytest.fixture
def logged() -> Iterator[Callable[[str], Lines]]:
    """Logs in a format into a buffer: answers a function that returns the lines so far."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    buffer = io.StringIO()

    def begin_logging(log_format: str) -> Lines:
        settings = logging_settings("INFO", log_format)
        settings["handlers"]["stderr"]["stream"] = buffer
        settings.pop("loggers")
        logging.config.dictConfig(settings)
        configure_structlog()
        return lambda: buffer.getvalue().splitlines()

    yield begin_logging
    root.handlers[:] = before
    root.setLevel(level)


def test_json_lines_have_time_level_logger_and_the_fields_of_the_event(
    logged: Callable[[str], Lines],
) -> None:
    lines = logged("json")
    with bound_contextvars(execution_id=7):
        structlog.get_logger("tidemill.test").warning("something", number=3, name="ä")
        logging.getLogger("library").error("it says %s", "no")
    mine, theirs = map(json.loads, lines())
    assert mine.pop("timestamp").endswith("Z")
    assert mine == {
        "event": "something",
        "level": "warning",
        "logger": "tidemill.test",
        "number": 3,
        "name": "ä",
        "execution_id": 7,
    }
    assert (theirs["event"], theirs["logger"], theirs["execution_id"]) == (
        "it says no",
        "library",
        7,
    )


def test_a_traceback_is_one_field_and_shows_no_local_variables(
    logged: Callable[[str], Lines],
) -> None:
    lines = logged("json")
    password = "open" + "sesame"
    try:
        raise ValueError(f"bad {len(password)}")
    except ValueError:
        structlog.get_logger("tidemill.test").exception("broke")
        logging.getLogger("library").exception("broke too")
    for line in lines():
        assert "ValueError: bad 10" in json.loads(line)["exception"]
        assert "opensesame" not in line


def test_lines_for_people_end_with_the_fields(logged: Callable[[str], Lines]) -> None:
    lines = logged("line")
    structlog.get_logger("tidemill.test").warning("something", number=3)
    logging.getLogger("library").info("plain")
    first, second = lines()
    assert first[19:] == " WARNING tidemill.test: something number=3"
    assert second[19:] == " INFO    library: plain"


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="LOG_FORMAT is one of line, json"):
        logging_settings("INFO", "xml")


def test_every_line_of_an_execution_carries_its_ids_and_its_instances(
    engine: Engine, logged: Callable[[str], Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged("json")
    (instance,) = engine.make(new_instance(make_submitted_task()))

    def break_off(*_: object, **__: object) -> None:
        logging.getLogger("library").warning("about to break")
        raise RuntimeError("broken")

    monkeypatch.setattr(execution_module, "run_launch", break_off)
    with engine.committing():
        ids = claim([instance.resource_group.queue], room=1, worker="worker")
    (attempt,) = begin(ids, worker="worker")
    assert run(attempt, Life("worker")).error_code == "INTERNAL_ERROR"
    told = [json.loads(line) for line in lines()]
    assert [(line["event"], line["execution_id"], line["instance_id"]) for line in told] == [
        ("about to break", ids[0], instance.pk),
        ("execution_broke", ids[0], instance.pk),
    ]


def test_a_lost_execution_is_logged_with_its_ids_and_worker(
    engine: Engine, logged: Callable[[str], Lines]
) -> None:
    lines = logged("json")
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution_id = engine.start(instance, worker="host:12:ab")
    with engine.committing():
        rescue(now=clock.now() + timedelta(minutes=5))
    (line,) = map(json.loads, lines())
    assert (line["event"], line["execution_id"], line["instance_id"], line["worker"]) == (
        "execution_lost",
        execution_id,
        instance.pk,
        "host:12:ab",
    )
