"""The text of workflow files: what is read, what is refused at which line, and the way back."""

from __future__ import annotations

import textwrap

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.bundle_texts import SEATTLE
from tests.workflows.definition_strategies import any_text, definitions, json_values, names, texts
from workflows.bundles.exporting import write_bundle
from workflows.bundles.problems import BundleError
from workflows.bundles.reading import read_documents
from workflows.bundles.schema import TaskBundle, WorkflowBundle, parse_bundle
from workflows.bundles.writing import write_yaml
from workflows.definitions.definition import TaskDefinition

pytestmark = pytest.mark.feature("T9")


def problems(text: str) -> list[str]:
    with pytest.raises(BundleError) as caught:
        parse_bundle(textwrap.dedent(text), "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def workflow_of(task: str) -> str:
    head = "tidemill: 1\nworkflow: w\ntasks:\n  - name: t\n    type: virtual\n"
    return head + textwrap.indent(textwrap.dedent(task), "    ")


def test_a_file_reads_and_writes_as_it_stands() -> None:
    [bundle] = parse_bundle(SEATTLE, "seattle.yaml")
    assert (bundle.name, bundle.folder, bundle.owners) == (
        "seattle_temperatures",
        "weather/seattle",
        ("ada",),
    )
    assert [task.name for task in bundle.tasks] == ["start", "hourly_temps", "hourly_temps_2"]
    assert bundle.tasks[1].draft["depends_on"] == [
        "start",
        {"task": "hourly_temps_2", "offset": "previous"},
    ]
    assert write_bundle(bundle) == SEATTLE


def test_a_file_may_hold_several_workflows() -> None:
    text = "tidemill: 1\nworkflow: a\n---\ntidemill: 1\nworkflow: b\n---\n"
    assert [bundle.name for bundle in parse_bundle(text, "f.yaml")] == ["a", "b"]


@given(
    st.lists(st.tuples(names, definitions), max_size=3, unique_by=lambda pair: pair[0]),
    names,
    any_text,
)
def test_every_workflow_comes_back_byte_for_byte(
    tasks: list[tuple[str, dict]], name: str, description: str
) -> None:
    bundle = WorkflowBundle(
        name=name,
        description=description,
        owners=("ada", "bob b"),
        tasks=tuple(
            TaskBundle(task, TaskDefinition.from_mapping(one, time_zone="UTC").to_mapping())
            for task, one in tasks
        ),
    )
    text = write_bundle(bundle)
    [again] = parse_bundle(text, "f.yaml")
    assert again == bundle
    assert write_bundle(again) == text


@given(st.dictionaries(texts, json_values, min_size=1))
def test_every_json_value_is_written_as_yaml_that_anybody_reads_the_same(data: dict) -> None:
    text = write_yaml(data)
    [document], faults = read_documents(text)
    assert (document.data, faults) == (data, [])
    assert yaml.safe_load(text) == data


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("12:30", "12:30"),
        ("2010-07-01", "2010-07-01"),
        ("on", "on"),
        ("0x10", "0x10"),
        ("007", 7),
        ("-1", -1),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("~", None),
        ("", None),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_words_are_what_they_look_like(written: str, meant: object) -> None:
    [document], faults = read_documents(f"x: {written}\n")
    assert (document.data, faults) == ({"x": meant}, [])


def test_every_problem_is_told_with_file_line_and_field() -> None:
    assert problems(
        """\
        tidemill: 1
        workflow: a/b
        folder: weather//seattle
        ownrs: [ada]
        time_zone: Mars
        tasks:
          - name: load
            type: sql
            schedule:
              cycle: crontab
              expression: 0 0 30 2 *
            parameters:
              day: ${yyyx}
            depends_on:
              - start
              - {task: b, ofset: previous}
            code: SELECT 1
          - nam: report
            type: shell
            schedule: {cycle: day, at: 25:00}
        """
    ) == [
        "f.yaml:2: workflow: A name has no slash and no control character, "
        "and no space at its ends.",
        "f.yaml:3: folder: A path is names of folders with one slash between them.",
        "f.yaml:4: ownrs: There is no field “ownrs” here. Did you mean “owners”?",
        "f.yaml:5: time_zone: “Mars” is not a time zone such as Europe/Berlin.",
        'f.yaml:11: tasks.load.schedule.expression: "0 0 30 2 *" never fires: '
        "no year has such a day",
        'f.yaml:13: tasks.load.parameters.day: unknown "yx" in "yyyx": a format has the parts '
        "yyyy yy mm dd hh24 mi ss (at character 5)",
        "f.yaml:16: tasks.load.depends_on.1.ofset: There is no field “ofset” here. "
        "Did you mean “offset”?",
        "f.yaml:18: tasks.1.nam: There is no field “nam” here. Did you mean “name”?",
        "f.yaml:18: tasks.1.name: This field is required.",
        "f.yaml:18: tasks.1.code: A task of type shell needs code.",
        "f.yaml:20: tasks.1.schedule.at: '25:00' is not a time of day",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f.yaml:1: The file holds no workflow."),
        ("a: [1", "f.yaml:2: This is not YAML: did not find expected ',' or ']'."),
        ("a:\n\t- b", "f.yaml:2: This is not YAML: found character that cannot start any token."),
        ("a: 1\nb: \x00", "f.yaml:2: This is not YAML: a character is not allowed."),
        ("a: \ud800", "f.yaml:1: This is not YAML: a character is not allowed."),
        ("a: &x [*x]", "f.yaml:1: There is no anchor &x before this."),
        ("a: " + "[" * 100_000, "f.yaml:1: Nested deeper than 20 levels."),
        ("? [a]\n: 1", "f.yaml:1: A key must be a text."),
        (
            "tidemill: 1\nworkflow: a\nworkflow: b",
            "f.yaml:3: workflow: Given twice: first in line 2.",
        ),
        ("- 1", "f.yaml:1: Must be a mapping of fields to values."),
        ("workflow: a", "f.yaml:1: tidemill: Must be 1, the version of this file format."),
        ("tidemill: 1\nworkflow: a\ntasks: 5", "f.yaml:3: tasks: Must be a list."),
        (
            "tidemill: 1\nworkflow: a\ntasks: [5]",
            "f.yaml:3: tasks.0: Must be a mapping of fields to values.",
        ),
        ("tidemill: 1\nworkflow: a\nowners: [x, x]", "f.yaml:3: owners.1: “x” is named twice."),
        (
            "tidemill: 1\nworkflow: a\ntasks.x: 1",
            "f.yaml:3: tasks.x: There is no field “tasks.x” here. Did you mean “tasks”?",
        ),
    ],
)
def test_what_is_no_workflow_file_is_refused_at_its_line(text: str, problem: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_bundle(text, "f.yaml")
    assert [str(one) for one in caught.value.problems] == [problem]


def test_tags_never_make_objects() -> None:
    text = workflow_of('description: !!python/object/apply:os.system ["true"]\n')
    assert (
        "f.yaml:6: Tags such as tag:yaml.org,2002:python/object/apply:os.system are not allowed."
        in problems(text)
    )


def test_an_alias_stands_for_its_anchor() -> None:
    text = "tidemill: 1\nworkflow: w\ntasks:\n" + "".join(
        f"  - {{name: {name}, type: virtual, schedule: {schedule}}}\n"
        for name, schedule in (("a", "&day {cycle: day, at: 02:30}"), ("b", "*day"))
    )
    [bundle] = parse_bundle(text, "f.yaml")
    assert bundle.tasks[0].draft == bundle.tasks[1].draft


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [" + ", ".join("1" * 10) + "]"]
    lines += [
        f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * 10) + "]"
        for level in range(1, 12)
    ]
    assert problems("\n".join(lines)) == ["f.yaml:6: The file holds more than 500,000 values."]


def test_a_file_too_large_is_refused() -> None:
    assert problems("#" * 10_000_001) == [
        "f.yaml:1: The file is larger than 10,000,000 characters."
    ]


def test_two_tasks_of_one_name_are_refused() -> None:
    task = "  - {name: t, type: virtual, schedule: {cycle: day, at: 02:30}}\n"
    assert problems("tidemill: 1\nworkflow: w\ntasks:\n" + task * 2) == [
        "f.yaml:5: tasks.t.name: There is a task “t” in this workflow already."
    ]
