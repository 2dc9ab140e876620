"""What the OpenAPI document says of specs, definitions and files is what the API does."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml
from drf_spectacular.generators import SchemaGenerator
from hypothesis import given

from backfill.spec import PlanSpec
from projects.ground.refusals import Invalid
from projects.models import DataSource
from tests.api.caller import Caller
from tests.api.world import World
from tests.workflows.definition_strategies import definitions
from workflows.definitions.definition import DefinitionError, TaskDefinition

pytestmark = pytest.mark.feature("P4")

DAY = {"cycle": "day", "at": "02:00"}
SPEC = {
    "entry": {"kind": "tasks", "ids": [1]},
    "periods": [{"first": "2024-05-01", "last": "2024-05-02"}],
}


def _nullable(schema: Any) -> Any:
    """Rewrite OpenAPI 3.0's word for null into JSON Schema's."""
    if isinstance(schema, list):
        return [_nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _nullable(one) for name, one in schema.items() if name != "nullable"}
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") is True else found


@cache
def document() -> dict[str, Any]:
    return _nullable(SchemaGenerator().get_schema(request=None, public=True))


def conforms(value: object, schema: dict[str, Any]) -> bool:
    whole = {**schema, "components": document()["components"]}
    return bool(jsonschema.Draft202012Validator(whole).is_valid(value))


def part(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"groups": 3, "run_mode": "day_by_day"}, True),
        ({"groups": None}, True),
        ({"time_from": "07:30", "order": "descending"}, True),
        ({"entry": {"kind": "project"}}, True),
        ({"periods": None}, True),
        ({"groups": 11, "run_mode": "day_by_day"}, False),
        ({"groups": "3", "run_mode": "day_by_day"}, False),
        ({"order": "sideways"}, False),
        ({"time_from": "7:30"}, False),
        ({"entry": {"ids": [1]}}, False),
        ({"entry": {"kind": "tasks", "ids": [0]}}, False),
        ({"periods": []}, False),
        ({"periods": [{"first": "2024-05-01"}]}, False),
        ({"periods": SPEC["periods"] * 11}, False),
        ({"future_run": "at_once"}, False),
    ],
)
def test_a_spec_is_described_as_it_is_read(change: dict[str, Any], good: bool) -> None:
    spec = {**SPEC, **change}
    assert conforms(spec, part("PlanSpec")) == good
    try:
        read = PlanSpec.from_mapping(spec, today=date(2024, 5, 10))
    except Invalid:
        assert not good
    else:
        assert good
        assert conforms(read.to_mapping(), part("PlanSpec"))


@given(definitions)
def test_every_definition_is_described(definition: dict[str, Any]) -> None:
    written = TaskDefinition.from_mapping(definition, time_zone="UTC").to_mapping()
    assert conforms(written, part("TaskDefinition"))


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "python", "code": "x", "config": {"arguments": ["--day", 7]}},
        {"type": "python"},
        {"type": "sql", "code": "x", "config": {"rows": 10_001}},
        {"type": "http"},
        {"type": "http", "config": {"url": "http://x/", "method": "BREW"}},
        {"type": "cobol", "code": "x"},
        {"type": "virtual", "timeout": 0},
        {"type": "virtual", "retries": {"limits": 3}},
        {"type": "virtual", "schedule": {"cycle": "day", "weekdays": [1]}},
    ],
)
def test_what_is_refused_is_not_described(definition: dict[str, Any]) -> None:
    whole = {"schedule": DAY, **definition}
    assert not conforms(whole, part("TaskDefinition"))
    with pytest.raises(DefinitionError):
        TaskDefinition.from_mapping(whole, time_zone="UTC")


@pytest.mark.django_db
def test_a_workflow_file_is_described_as_an_object(world: World) -> None:
    path = f"workflows/{world.place.workflow.pk}/export/"
    answer = Caller(world.superuser).call("GET", path)
    operation = document()["paths"]["/api/v1/workflows/{id}/export/"]["get"]
    schema = operation["responses"]["200"]["content"]["application/yaml"]["schema"]
    assert conforms(yaml.safe_load(answer.content), schema)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["plain", "così", "источник-1"])
def test_the_name_of_a_data_source_is_described_as_it_is_taken(world: World, name: str) -> None:
    body = {"project": world.place.project.pk, "name": name, "url": "sqlite://"}
    answer = Caller(world.superuser).post("data-sources/", body, 201)
    assert DataSource.objects.filter(name=name).exists()
    schema = document()["components"]["schemas"]["DataSourceAnswer"]["properties"]["name"]
    assert conforms(answer["name"], schema)
