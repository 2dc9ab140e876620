"""Definitions: the normal form, and every fault at its field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.workflows.definition_strategies import definitions
from workflows.definitions.definition import DefinitionError, TaskDefinition
from workflows.schedules.matching import Offset, Scope

pytestmark = pytest.mark.feature("T13")

PLAIN = {"type": "virtual", "schedule": {"cycle": "day", "at": "02:30"}}


def read(**fields: Any) -> TaskDefinition:
    return TaskDefinition.from_mapping({**PLAIN, **fields}, time_zone="UTC")


def faults(**fields: Any) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read(**fields)
    return [field for field, _ in caught.value.errors]


@given(definitions)
def test_every_definition_comes_back_from_its_mapping(mapping: dict[str, Any]) -> None:
    definition = TaskDefinition.from_mapping(mapping, time_zone="Europe/Berlin")
    normal = definition.to_mapping()
    again = TaskDefinition.from_mapping(normal, time_zone="Europe/Berlin")
    assert again == definition
    assert again.to_mapping() == normal


@pytest.mark.item("1.16")
def test_what_is_not_said_has_its_default() -> None:
    definition = read()
    assert (definition.retries.limit, definition.retries.interval) == (5, 60)
    assert (definition.timeout, definition.priority) == (24 * 3600, 5)
    assert (definition.resource_group, definition.catch_up) == ("default", "all")
    assert definition.to_mapping() == PLAIN


def test_defaults_are_left_out_of_the_normal_form() -> None:
    assert (
        read(retries={"limit": 5}, priority=5, depends_on=[], description="").to_mapping() == PLAIN
    )


def test_null_is_as_good_as_absent() -> None:
    assert read(description=None, retries=None, depends_on=None) == read()


@pytest.mark.feature("T12")
def test_a_plain_name_is_short_for_the_usual_dependency() -> None:
    short, long = read(depends_on=["a"]), read(depends_on=[{"task": "a", "offset": "same"}])
    assert short == long
    assert short.to_mapping()["depends_on"] == ["a"]
    [reference] = read(
        depends_on=[{"task": "p/w/a", "offset": "previous", "scope": "latest"}]
    ).depends_on
    assert (reference.task, reference.offset, reference.scope) == (
        "p/w/a",
        Offset.PREVIOUS,
        Scope.LATEST,
    )


@pytest.mark.feature("T12")
@pytest.mark.parametrize("name", ["a/b/c/d", "/a", "a/", "a//b"])
def test_a_reference_has_one_to_three_parts(name: str) -> None:
    assert faults(depends_on=[name]) == ["depends_on.0"]


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"priorty": 5}, "priorty"),
        ({"type": None}, "type"),
        ({"type": "shel"}, "type"),
        ({"code": "x"}, "code"),
        ({"type": "shell"}, "code"),
        ({"type": "shell", "code": "x" * 1_000_001}, "code"),
        ({"type": "shell", "code": "a\x00b"}, "code"),
        ({"type": "shell", "code": 5}, "code"),
        ({"description": "\ud800"}, "description"),
        ({"schedule": None}, "schedule"),
        ({"schedule": "daily"}, "schedule"),
        ({"schedule": {"cycle": "day", "at": "02:30", "on": 1}}, "schedule.on"),
        ({"priority": 4}, "priority"),
        ({"priority": True}, "priority"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 7 * 24 * 3600 + 1}, "timeout"),
        ({"max_parallel": 0}, "max_parallel"),
        ({"catch_up": "some"}, "catch_up"),
        ({"self_dependent": "yes"}, "self_dependent"),
        ({"retries": 3}, "retries"),
        ({"retries": {"limit": 101}}, "retries.limit"),
        ({"retries": {"backoff": 0.5}}, "retries.backoff"),
        ({"retries": {"backoff": float("nan")}}, "retries.backoff"),
        ({"retries": {"interval": 60, "max_interval": 30}}, "retries.max_interval"),
        ({"parameters": {"1a": "x"}}, "parameters.1a"),
        ({"parameters": {"a": "$nothing"}}, "parameters.a"),
        ({"parameters": {"a": "${yyyyqq}"}}, "parameters.a"),
        ({"parameters": {"a": "\x00"}}, "parameters.a"),
        ({"parameters": {"a": 1}}, "parameters.a"),
        ({"parameters": ["a"]}, "parameters"),
        ({"depends_on": "a"}, "depends_on"),
        ({"depends_on": [5]}, "depends_on.0"),
        ({"depends_on": [{"task": "a", "offset": "next"}]}, "depends_on.0.offset"),
        ({"depends_on": ["a", "a"]}, "depends_on.1"),
        ({"config": {"x": 1}}, "config.x"),
        ({"config": [1]}, "config"),
        ({"type": "http"}, "config.url"),
        ({"type": "http", "config": {"url": "http://x", "method": "GRAB"}}, "config.method"),
        ({"type": "http", "config": {"url": "http://x", "timeout": 0}}, "config.timeout"),
        ({"type": "http", "config": {"url": "http://x", "headers": {"a": 1}}}, "config.headers.a"),
        (
            {"type": "http", "config": {"url": "http://x", "expected_status": [20]}},
            "config.expected_status.0",
        ),
        (
            {"type": "http", "config": {"url": "http://x", "body": {"a": float("inf")}}},
            "config.body.a",
        ),
        (
            {"type": "sql", "code": "x", "config": {"data_source": "a", "database": "b"}},
            "config.database",
        ),
    ],
)
def test_a_fault_is_told_at_its_field(fields: dict[str, Any], at: str) -> None:
    assert faults(**fields) == [at]


def test_all_faults_are_told_at_once() -> None:
    assert faults(type="shel", priority=2, timeout=-1) == ["type", "timeout", "priority"]


def test_a_misspelt_field_gets_a_hint() -> None:
    with pytest.raises(DefinitionError, match="Did you mean “priority”"):
        read(priorty=5)


def test_what_is_no_mapping_is_no_definition() -> None:
    for data in ([], "x", 5):
        with pytest.raises(DefinitionError):
            TaskDefinition.from_mapping(data, time_zone="UTC")


def test_depth_is_bounded() -> None:
    body: Any = "x"
    for _ in range(50):
        body = [body]
    found = faults(type="http", config={"url": "http://x", "body": body})
    assert len(found) == 1
    assert found[0].startswith("config.body.0.0")
