"""Task types: what each may be told, and packages bring more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from projects.ground.fields.field import Field, Kind
from workflows.definitions import task_types as module
from workflows.definitions.definition import DefinitionError, TaskDefinition
from workflows.definitions.task_types import TaskType, get_task_type, task_types

pytestmark = pytest.mark.feature("T10")

SPARK = TaskType(
    name="spark",
    label="Spark",
    help="A Spark job.",
    code_language="sql",
    config=(Field(name="cores", help="Cores.", kind=Kind.INTEGER, default=1),),
)
NOT_A_TYPE = "spark"


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def found(group: str) -> list[EntryPoint]:
        return [
            EntryPoint(name, f"tests.workflows.definitions.test_task_types:{name}", group)
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
        ("tests.workflows.definitions.test_task_types:MISSING",),
        ("tests.workflows.definitions.test_task_types:NOT_A_TYPE",),
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


def faults_of(name: str, config: dict[str, Any], code: str = "") -> list[str]:
    task_type = get_task_type(name)
    assert task_type is not None
    faults = task_type.check_config(config)[1] + (task_type.check_code(code) if code else [])
    return [field for field, _ in faults]


@pytest.mark.parametrize(
    ("name", "config", "fields"),
    [
        ("shell", {"shell": "/bin/zsh"}, ["config.shell"]),
        ("shell", {"stop_on_error": "no"}, ["config.stop_on_error"]),
        ("shell", {"shel": "/bin/sh"}, ["config.shel"]),
        ("python", {"arguments": 7}, ["config.arguments.0"]),
        ("python", {"arguments": ["--day", 7]}, ["config.arguments.1"]),
        ("python", {"arguments": [True]}, ["config.arguments.0"]),
        ("python", {"version": "3"}, ["config.version"]),
        ("sql", {"rows": -1}, ["config.rows"]),
        ("sql", {"database": 1}, ["config.database"]),
        ("sql", {"lock_wait": "x", "db": 1}, ["config.db", "config.lock_wait"]),
        ("sql", {"database": "x", "data_source": "y"}, ["config.database"]),
    ],
)
def test_bad_settings_are_named(name: str, config: dict[str, Any], fields: list[str]) -> None:
    assert faults_of(name, config) == fields


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": ""}, "config.url"),
        ({"url": "ftp://x"}, "config.url"),
        ({"url": "http://x:99999/"}, "config.url"),
        ({"method": "BREW"}, "config.method"),
        ({"method": "post"}, "config.method"),
        ({"headers": {"A B": "x"}}, "config.headers.A B"),
        ({"headers": {"A": "x\ny"}}, "config.headers.A"),
        ({"headers": []}, "config.headers"),
        ({"expected_status": ["2xx"]}, "config.expected_status.0"),
        ({"expected_status": True}, "config.expected_status.0"),
        ({"timeout": 0}, "config.timeout"),
        ({"timeout": 0.5}, "config.timeout"),
        ({"body": 5}, "config.body"),
        ({"uri": "x"}, "config.uri"),
    ],
)
def test_bad_settings_of_a_request_are_named(change: dict[str, Any], field: str) -> None:
    assert faults_of("http", {"url": "http://x/", **change}) == [field]


def test_a_parameter_in_an_address_is_judged_when_it_runs() -> None:
    assert faults_of("http", {"url": "${base}/x"}) == []


def test_code_that_no_shell_can_read_is_refused() -> None:
    assert faults_of("shell", {}, "a\0b") == ["code"]
