"""States: one module of an app writes them, docs/states.md has the tables, no group is spelled."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

import pytest

from backfill import states as plans
from instances import states as instances
from tests.architecture.test_rooms import ROOT, modules

TEXT = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
# What may write a state: the one module of each app that has states.
WRITERS = {"instances/transitions.py", "backfill/transitions.py"}
TABLES = ("instances_instance", "instances_execution", "backfill_plan")
# UPDATE table [AS x] SET …, state = …, up to the end of the list of what is set.
UPDATED = re.compile(
    rf"UPDATE\s+(?:{'|'.join(TABLES)})\b(?:(?!\bWHERE\b|\bFROM\b).)*?\bstate\s*=", re.DOTALL
)
NAMES = {state.value for kind in (instances.State, instances.ExecutionState) for state in kind}
STATES = "|".join(sorted(NAMES | {state.value for state in plans.PlanState}))
# Two or more states side by side, as in IN ('RUNNING', 'SENT') or VALUES ('FAILED'), ('FROZEN').
SPELLED = re.compile(rf"'(?:{STATES})'\)?,\s*\(?'(?:{STATES})'")


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each string; what stands in the braces of an f-string is left out."""
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part for part in node.values if isinstance(part, ast.Constant)]
            inside |= {id(part) for part in parts}
            yield node.lineno, " {} ".join(str(part.value) for part in parts)
        elif id(node) not in inside and isinstance(node, ast.Constant):
            yield node.lineno, str(node.value)


def writes_of_states(source: str) -> list[int]:
    """Return the lines that change a state of a row: by attribute, by update(), or in SQL."""
    tree = ast.parse(source)
    found = [line for line, text in texts(tree) if UPDATED.search(text)]
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        found += [
            target.lineno
            for target in targets
            if isinstance(target, ast.Attribute) and target.attr == "state"
        ]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            named = {keyword.arg for keyword in node.keywords}
            if node.func.attr in ("update", "aupdate") and "state" in named:
                found.append(node.lineno)
            listed = (text for _, text in texts(node))
            if node.func.attr in ("save", "bulk_update") and "state" in listed:
                found.append(node.lineno)
    return sorted(found)


def spelled_groups(source: str) -> list[int]:
    return [line for line, text in texts(ast.parse(source)) if SPELLED.search(text)]


def test_only_the_transitions_of_an_app_write_a_state() -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in modules()}
    assert {name for name, source in sources.items() if writes_of_states(source)} == WRITERS


def test_no_group_of_states_is_spelled_in_sql() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules()
        for line in spelled_groups(path.read_text())
    }
    assert found == set()


@pytest.mark.parametrize(
    "source",
    [
        "plan.state = 1",
        "rows.update(name='', state=x)",
        "plan.save(update_fields=['state'])",
        "rows.bulk_update(found, ['state', 'name'])",
        "run(f'UPDATE backfill_plan AS p SET {more} state = 1 WHERE p.id = 2')",
        "run('UPDATE instances_instance SET ended_at = NULL, state = %s')",
    ],
)
def test_a_write_of_a_state_is_seen(source: str) -> None:
    assert writes_of_states(source)


@pytest.mark.parametrize(
    "source",
    [
        "x = y.state == 1",
        "rows.filter(state=1)",
        "run('UPDATE backfill_plan SET a = 1 WHERE state = 2')",
    ],
)
def test_what_only_reads_a_state_is_no_write(source: str) -> None:
    assert not writes_of_states(source)


@pytest.mark.parametrize(
    "source",
    ["\"state IN ('RUNNING', 'SENT')\"", "f\"{x} VALUES ('FAILED'), ('FROZEN')\""],
)
def test_a_spelled_group_is_seen(source: str) -> None:
    assert spelled_groups(source)


def rows_of(heading: str, first: str) -> dict[str, list[str]]:
    """Return the rows of the table of a section whose first column is called `first`."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = section.split(f"| {first} |")[1].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


def named(text: str, states: type[instances.State] | type[plans.PlanState]) -> set[str]:
    """Return the states that a cell names; what stands in parentheses is a remark."""
    return set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", text))) & set(states.values)


@pytest.mark.parametrize(
    ("heading", "states", "table"),
    [
        ("Instances", instances.State, instances.TRANSITIONS),
        ("Plans", plans.PlanState, plans.TRANSITIONS),
    ],
)
def test_the_page_has_the_transitions(
    heading: str, states: type[instances.State], table: Mapping[instances.State, frozenset]
) -> None:
    found = {name: named(cells[1], states) for name, cells in rows_of(heading, "state").items()}
    assert found == {source.value: {one.value for one in table[source]} for source in table}


def test_the_page_has_the_operations_on_instances() -> None:
    groups = {
        "terminate": instances.TERMINABLE,
        "rerun": instances.RERUNNABLE,
        "mark success": instances.MARKABLE,
        "freeze": instances.FREEZABLE,
        "unfreeze": {instances.State.FROZEN},
    }
    found = rows_of("Instances", "operation")
    assert found.pop("remove dependencies")[0].startswith("any")
    assert {name: named(cells[0], instances.State) for name, cells in found.items()} == {
        name: {state.value for state in group} for name, group in groups.items()
    }


def test_the_page_has_the_results_of_plans() -> None:
    assert set(rows_of("Plans", "result")) == set(plans.PlanResult.values)
