"""Task types: the built-in ones agree with the runners, and packages bring more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from workflows import task_types as module
from workflows.definition import DefinitionError, TaskDefinition
from workflows.task_types import ConfigField, FieldKind, TaskType, get_task_type, task_types

pytestmark = pytest.mark.feature("T10")

SPARK = TaskType(
    name="spark",
    label="Spark",
    help="A Spark job.",
    code_language="sql",
    config=(ConfigField(name="cores", help="Cores.", kind=FieldKind.INTEGER, default=1),),
)
NOT_A_TYPE = "spark"


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def found(group: str) -> list[EntryPoint]:
        return [
            EntryPoint(name, f"tests.workflows.test_task_types:{name}", group)
            for name in ("SPARK", "NOT_A_TYPE", "MISSING")
        ]

    monkeypatch.setattr(module, "entry_points", found)
    task_types.cache_clear()
    yield
    task_types.cache_clear()


def test_a_package_brings_a_type_and_a_broken_one_is_logged(
    plugins: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert list(task_types()) == ["shell", "python", "sql", "http", "virtual", "spark"]
    assert [record.args for record in caplog.records] == [
        ("tests.workflows.test_task_types:MISSING",),
        ("tests.workflows.test_task_types:NOT_A_TYPE",),
    ]
    definition = TaskDefinition.from_mapping(
        {
            "type": "spark",
            "code": "SELECT 1",
            "config": {"cores": 4},
            "schedule": {"cycle": "day", "at": "00:00"},
        },
        time_zone="UTC",
    )
    assert definition.task_type == SPARK


def test_a_type_whose_package_is_gone_is_a_fault_and_no_crash() -> None:
    with pytest.raises(DefinitionError) as caught:
        TaskDefinition.from_mapping(
            {"type": "spark", "schedule": {"cycle": "day", "at": "00:00"}}, time_zone="UTC"
        )
    assert [field for field, _ in caught.value.errors] == ["type"]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("shell", {"shell": "/bin/bash", "stop_on_error": False}),
        ("python", {"arguments": ["a", "b"]}),
        ("sql", {"database": "x.duckdb", "rows": 5, "lock_wait": 0}),
        (
            "http",
            {
                "method": "POST",
                "url": "https://x.example/d",
                "headers": {"X-A": "1"},
                "body": {"a": [1, None]},
                "expected_status": [204, "300-399"],
                "timeout": 5,
            },
        ),
        ("virtual", {}),
    ],
)
def test_every_setting_is_kept_as_it_was_written(name: str, config: dict[str, Any]) -> None:
    task_type = get_task_type(name)
    assert task_type is not None
    assert task_type.check_config(config) == (config, [])
    described = {field.name for field in task_type.config if field.name != "data_source"}
    assert described == set(config)


def test_a_setting_that_is_the_default_is_left_out() -> None:
    task_type = get_task_type("shell")
    assert task_type is not None
    assert task_type.check_config({"shell": "/bin/sh", "stop_on_error": True}) == ({}, [])


def test_one_value_may_stand_for_a_list() -> None:
    task_type = get_task_type("http")
    assert task_type is not None
    config, faults = task_type.check_config({"url": "http://x", "expected_status": 204})
    assert (config["expected_status"], faults) == ([204], [])
