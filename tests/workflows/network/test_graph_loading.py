"""References and the submitted graph: what is found, from where, and at what cost."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.roles import Role
from tests.factories import (
    make_member,
    make_project,
    make_submitted_task,
    make_submitted_tasks,
    make_task,
    make_user,
    make_workflow,
)
from workflows.definitions.references import Place, find_tasks
from workflows.models import Task
from workflows.network.graph_loading import Direction, LoadedGraph, load_graph
from workflows.network.links import Link
from workflows.schedules.matching import Offset, Scope

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T12")]


@pytest.fixture
def chain() -> dict[str, Task]:
    """a → b → c → d, b → e, x → c; z stands alone."""
    return make_submitted_tasks(
        {
            "a": {},
            "x": {},
            "b": {"depends_on": ["a"]},
            "c": {"depends_on": ["b", {"task": "x", "offset": "previous", "scope": "latest"}]},
            "d": {"depends_on": ["c"]},
            "e": {"depends_on": ["b"]},
            "z": {},
        }
    )


def names(loaded: LoadedGraph, tasks: dict[str, Task]) -> str:
    return "".join(sorted(name for name, task in tasks.items() if task.pk in loaded.project_of))


@pytest.mark.parametrize(
    ("start", "direction", "level", "reached"),
    [
        ("c", Direction.UPSTREAM, None, "abcx"),
        ("c", Direction.UPSTREAM, 1, "bcx"),
        ("c", Direction.UPSTREAM, 0, "c"),
        ("b", Direction.DOWNSTREAM, None, "bcde"),
        ("b", Direction.DOWNSTREAM, 1, "bce"),
        ("b", Direction.BOTH, None, "abcde"),
        ("b", Direction.BOTH, 1, "abce"),
        ("ad", Direction.UPSTREAM, None, "abcdx"),
        ("z", Direction.BOTH, None, "z"),
    ],
)
def test_what_is_reached(
    chain: dict[str, Task], start: str, direction: Direction, level: int | None, reached: str
) -> None:
    ids = [chain[name].pk for name in start]
    assert names(load_graph(ids, direction, max_level=level), chain) == reached


def test_the_links_among_what_is_reached(chain: dict[str, Task]) -> None:
    loaded = load_graph([chain["c"].pk], Direction.UPSTREAM)
    a, b, c, x = (chain[name].pk for name in "abcx")
    assert set(loaded.links) == {
        Link(a, b),
        Link(b, c),
        Link(x, c, Offset.PREVIOUS, Scope.LATEST),
    }
    assert loaded.graph.ancestors([c]) == {b: 1, x: 1, a: 2}


def test_ids_that_do_not_exist_are_left_out() -> None:
    assert load_graph([0], Direction.BOTH) == LoadedGraph({}, ())


@pytest.mark.feature("P2")
@pytest.mark.item("T12.1")
def test_other_projects_are_reached_and_kept_apart() -> None:
    ours, theirs = make_project("ours"), make_project("theirs")
    a = make_submitted_task("a", workflow=make_workflow("w", project=ours))
    b = make_submitted_task(
        "b", workflow=make_workflow("w", project=theirs), depends_on=["ours/w/a"]
    )
    c = make_submitted_task("c", workflow=b.workflow, depends_on=["b"])
    loaded = load_graph([a.pk], Direction.DOWNSTREAM)
    assert set(loaded.project_of) == {a.pk, b.pk, c.pk}
    assert loaded.outside([ours.pk]) == {b.pk, c.pk}


def test_a_graph_takes_the_same_number_of_queries_however_large() -> None:
    counts = []
    for size in (2, 40):
        tasks = make_submitted_tasks(
            {f"t{n}": {"depends_on": [f"t{n - 1}"] if n else []} for n in range(size)}
        )
        with CaptureQueriesContext(connection) as queries:
            loaded = load_graph([tasks["t0"].pk], Direction.DOWNSTREAM)
        assert len(loaded.project_of) == size
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_names_are_looked_up_from_where_they_stand() -> None:
    p, q = make_project("p"), make_project("q")
    tasks = {
        name: make_task("t", workflow=make_workflow(name[1], project=project))
        for name, project in (("pw", p), ("pv", p), ("qw", q))
    }
    place = Place(p.pk, "p", "w")
    found = find_tasks(
        [(place, name) for name in ("t", "w/t", "v/t", "q/w/t", "x", "q/t", "w")], actor=None
    )
    assert {name: task.id for (_, name), task in found.items()} == {
        "t": tasks["pw"].pk,
        "w/t": tasks["pw"].pk,
        "v/t": tasks["pv"].pk,
        "q/w/t": tasks["qw"].pk,
    }


@pytest.mark.feature("P2")
def test_names_of_hidden_projects_are_not_found() -> None:
    p, q = make_project("p"), make_project("q")
    make_task("t", workflow=make_workflow("w", project=q))
    own = make_task("t", workflow=make_workflow("w", project=p))
    place = Place(p.pk, "p", "w")
    references = [(place, "q/w/t"), (place, "t")]
    member = make_member(p, Role.DEVELOPER)
    assert [task.id for task in find_tasks(references, actor=member).values()] == [own.pk]
    make_member(q, Role.VIEWER, user=member)
    assert {name for _, name in find_tasks(references, actor=member)} == {"q/w/t", "t"}
    # At home nobody is a stranger: whether they may be there was asked before.
    assert {name for _, name in find_tasks(references, actor=make_user())} == {"t"}
