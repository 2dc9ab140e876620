"""A lower app does not name an upper one: by strings and templates no more than by imports.

What the contracts of imports cannot see: names of apps in strings, addresses of their pages in
templates, and ways through the database that begin with an upper app's relation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parents[2]
# From the lowest to the highest.
LAYERS = ("projects", "workflows", "events", "instances", "backfill", "config")
# Templates that belong to no app by their folder.
TEMPLATES = {"tidemill": "projects", "unfold": "projects", "admin": "config"}

# Each exemption says why.
ALLOWED = {
    ("projects", "backfill_retention_days"): "a column: how long a kind of instance is kept",
}


def above(app: str) -> tuple[str, ...]:
    return LAYERS[LAYERS.index(app) + 1 :]


def naming(app: str) -> re.Pattern[str]:
    """What names an upper app: alone, or before what belongs to it.

    "config" is also what a task's settings are called: the app is meant where a room follows.
    """
    rooms = "|".join(path.stem for path in (ROOT / "config").iterdir() if path.stem[0] != "_")
    upper = [rf"{name}(?=[._:/]|$)" for name in above(app) if name != "config"]
    return re.compile(rf"(?<![\w/.])({'|'.join([*upper, rf'config[._/]({rooms})'])})(?![a-z])")


def ways_up(app: str) -> re.Pattern[str] | None:
    """Steps from a lower app's model to an upper one: "batch__plan", "batch.plan"."""
    steps = set()
    for model in apps.get_models():
        if model._meta.app_label not in LAYERS:
            continue
        for field in model._meta.get_fields():
            target = getattr(field, "related_model", None)
            if not field.concrete or target is None or isinstance(target, str):
                continue
            home = target._meta.app_label
            if home not in LAYERS[: LAYERS.index(app) + 1]:
                continue
            for relation in target._meta.related_objects:
                name = relation.get_accessor_name()
                if name and relation.related_model._meta.app_label in above(app):
                    steps.add(rf"{field.name}(?:__|\.){name}")
    return re.compile(rf"\b({'|'.join(sorted(steps))})(?![a-z])") if steps else None


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def template_code(path: Path) -> Iterator[tuple[int, str]]:
    """The tags and variables of a template; what stands between them is prose."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for found in re.finditer(r"{%.*?%}|{{.*?}}", line):
            for quoted in re.findall(r"\"[^\"]*\"|'[^']*'", found.group()):
                yield number, quoted[1:-1].removeprefix("admin:")
            yield number, re.sub(r"\"[^\"]*\"|'[^']*'", "", found.group())


def pieces(app: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / app).rglob("*.py")):
        if "migrations" not in path.parts:
            for line, text in strings(path):
                yield f"{path.relative_to(ROOT)}:{line}", text.removeprefix("admin:")
    folders = [app, *(folder for folder, home in TEMPLATES.items() if home == app)]
    for folder in folders:
        for path in sorted((ROOT / "templates" / folder).rglob("*.html")):
            for line, text in template_code(path):
                yield f"{path.relative_to(ROOT)}:{line}", text


@pytest.mark.parametrize("app", LAYERS[:-1])
def test_no_lower_app_names_an_upper_one(app: str) -> None:
    patterns = [pattern for pattern in (naming(app), ways_up(app)) if pattern is not None]
    named = [
        (place, text[:80])
        for place, text in pieces(app)
        if " " not in text.strip() or place.endswith(".html")
        for pattern in patterns
        if pattern.search(text)
        and not any(text.startswith(start) for home, start in ALLOWED if home == app)
    ]
    assert named == []


def test_every_folder_of_templates_is_somebodys() -> None:
    folders = {path.name for path in (ROOT / "templates").iterdir() if path.is_dir()}
    assert folders - {*LAYERS, *TEMPLATES} == set()


def test_the_guard_sees_what_it_is_for() -> None:
    assert naming("instances").search("backfill_plan_change")
    assert naming("instances").search("backfill")
    assert not naming("instances").search("instances_instance_change")
    ways = ways_up("instances")
    assert ways is not None and ways.search("batch__plan__spec") and ways.search("row.batch.plan")
