"""A plan option and a task type are added in the places that docs/architecture.md names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instances.runners.base import BadConfig, TaskContext
from instances.runners.registry import get_runner
from tests.architecture.test_rooms import ROOT
from workflows.admin.task_form import task_form
from workflows.api.definition_schema import DefinitionField
from workflows.definitions.definition import DefinitionError, TaskDefinition
from workflows.definitions.task_types import task_types

OPTION = """
from dataclasses import dataclass
from backfill.options.part import Part
from projects.ground.fields.field import Choice, Field, Kind, declare

@dataclass(frozen=True, kw_only=True)
class TempoOptions(Part):
    tempo: str = declare(
        Field(
            label="How fast",
            help="How fast it goes.",
            kind=Kind.CHOICE,
            default="brisk",
            choices=(Choice("brisk", "At once", "No pause."), Choice("calm", "With care")),
            option="--tempo",
        )
    )
    beats: int = declare(
        Field(
            help="Beats a minute.",
            kind=Kind.INTEGER,
            default=60,
            minimum=30,
            maximum=240,
            only_with=("tempo", ("calm",)),
            option="--beats",
        )
    )
"""

# Asks each of those that follow from the declaration, in a process that has the option.
LOOK = """
import json
import django
django.setup()
from django.http import QueryDict
from django.template.loader import render_to_string
from backfill.admin.request import PlanRequest
from backfill.admin.wizard import lines
from backfill.api.answers import SpecField
from backfill.management.commands.create_backfill import Command
from backfill.spec import PlanSpec, options
from projects.ground.fields.options import read_options
from projects.ground.refusals import Invalid

base = {"entry": {"kind": "project"}, "periods": [{"first": "2024-05-01", "last": "2024-05-02"}]}
spec = PlanSpec.from_mapping({**base, "tempo": "calm", "beats": 90})
faults = []
for wrong in ({"tempo": "hasty"}, {"tempo": "calm", "beats": 1}, {"beats": 90}):
    try:
        PlanSpec.from_mapping({**base, **wrong})
    except Invalid as error:
        faults.append(list(error.fields))
wanted = PlanRequest.from_post(QueryDict("tempo=calm&beats=90"))
parser = Command().create_parser("manage.py", "create_backfill")
written = vars(parser.parse_args("--project p --all --tempo calm --beats 90".split()))
schemas = {}
SpecField().schema(lambda name, schema: schemas.setdefault(name, schema))
print(json.dumps({
    "read": [spec.tempo, spec.beats],
    "kept": PlanSpec.from_mapping(spec.to_mapping()) == spec,
    "faults": faults,
    "form": "".join(
        render_to_string("backfill/option.html", {"option": one}) for one in lines(wanted, 2)
    ),
    "sent": {name: wanted.spec_mapping()[name] for name in ("tempo", "beats")},
    "help": " ".join(parser.format_help().split()),
    "command": {name: read_options(options(), written)[name] for name in ("tempo", "beats")},
    "schema": schemas["PlanSpec"]["properties"],
    "page": [[one.title, one.words(spec.to_mapping().get(one.name))] for one in options()][-2:],
}))
"""


def test_an_option_of_a_plan_is_its_declaration_and_a_name_in_the_sum(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "backfill", tmp_path / "backfill", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "backfill/options/tempo.py").write_text(OPTION)
    spec = tmp_path / "backfill/spec.py"
    text = spec.read_text().replace("OrderOptions):", "OrderOptions, TempoOptions):")
    before = "from backfill.options.selection"
    spec.write_text(
        text.replace(before, f"from backfill.options.tempo import TempoOptions\n{before}")
    )
    # A process of its own (some 3 s): the product reads its options once.
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "config.settings.test"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (found["read"], found["kept"]) == (["calm", 90], True)
    assert found["faults"] == [["tempo"], ["beats"], ["beats"]]
    assert 'name="tempo" value="calm" checked x-model="$data[$el.name]"' in found["form"]
    assert 'name="beats" id="id_beats" value="90"' in found["form"]
    assert 'data-field="tempo" data-values="calm"' in found["form"]
    assert found["sent"] == found["command"] == {"tempo": "calm", "beats": 90}
    assert "--tempo {brisk,calm} How fast it goes (default: brisk)" in found["help"]
    assert found["schema"]["tempo"]["enum"] == ["brisk", "calm"]
    assert found["schema"]["beats"] == {
        "type": "integer",
        "minimum": 30,
        "maximum": 240,
        "default": 60,
        "description": "Beats a minute. Only where `tempo` is `calm`.",
    }
    assert found["page"] == [["How fast", "With care"], ["Beats", "90"]]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with a folder for a type of task, and its one entry point."""
    folder = tmp_path / "tidemill_toy"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "task_type.py").write_text(
        """
from projects.ground.fields.field import Field, Kind
from workflows.definitions.task_types import TaskType

TOY = TaskType(
    name="toy",
    label="Toy",
    help="Says a word some times.",
    runner="tidemill_toy.runner:ToyRunner",
    config=(
        Field(name="word", help="What it says.", required=True, max_length=20),
        Field(name="times", help="How often.", kind=Kind.INTEGER, default=2, minimum=1, maximum=9),
    ),
)
"""
    )
    (folder / "runner.py").write_text(
        """
from instances.runners.base import Launch, Mode, Runner
from instances.runners.environment import build_environment


class ToyRunner(Runner):
    def prepare(self, context):
        words = [context.config["word"]] * context.config["times"]
        return Launch(
            mode=Mode.EXEC,
            argv=("/bin/echo", *words),
            environment=build_environment(context),
            working_directory=context.scratch,
        )
"""
    )
    info = tmp_path / "tidemill_toy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tidemill-toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[tidemill.task_types]\ntoy = tidemill_toy.task_type:TOY\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task_types.cache_clear()
    yield
    task_types.cache_clear()
    for name in [name for name in sys.modules if name.startswith("tidemill_toy")]:
        del sys.modules[name]


def definition(config: dict[str, Any]) -> TaskDefinition:
    return TaskDefinition.from_mapping(
        {"type": "toy", "config": config, "schedule": {"cycle": "day", "at": "00:00"}},
        time_zone="UTC",
    )


def test_a_type_of_task_is_one_folder_and_one_entry_point(package: None, tmp_path: Path) -> None:
    assert definition({"word": "a", "times": 3}).to_mapping()["config"] == {"times": 3, "word": "a"}
    for config, field in (({}, "config.word"), ({"word": "a", "times": 10}, "config.times")):
        with pytest.raises(DefinitionError) as refused:
            definition(config)
        assert [path for path, _ in refused.value.errors] == [field]

    fields = task_form().base_fields
    assert fields["config_toy_word"].help_text == "What it says."
    assert fields["config_toy_times"].widget.attrs["placeholder"] == "2"

    schemas: dict[str, Any] = {}

    def refer(name: str, schema: dict[str, Any]) -> dict[str, Any]:
        schemas[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    DefinitionField().schema(refer)
    assert {"$ref": "#/components/schemas/ToyTask"} in schemas["TaskDefinition"]["oneOf"]
    assert schemas["ToyConfig"]["properties"]["times"] == {
        "description": "How often.",
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "default": 2,
    }

    assert "tidemill_toy.runner" not in sys.modules  # imported when the first task runs
    context = TaskContext(
        execution_id=1, task_name="t", task_type="toy", work_dir=tmp_path, config={"word": "hi"}
    )
    launch = get_runner("toy").launch(context)
    assert launch is not None
    assert launch.argv == ("/bin/echo", "hi", "hi")
    with pytest.raises(BadConfig, match=r"config\.word"):
        get_runner("toy").launch(TaskContext(**{**_values(context), "config": {"word": ""}}))


def _values(context: TaskContext) -> dict[str, Any]:
    return {
        name: getattr(context, name)
        for name in ("execution_id", "task_name", "task_type", "work_dir")
    }
