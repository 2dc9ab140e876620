"""`depends_on` names no task of a project that its reader does not see, and loses none (V8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import Client

from tests.admin.browsing import Browser
from tests.api.caller import Caller
from tests.api.world import World
from tests.factories import mapping
from workflows.models import Dependency, Task

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T12", "P2")]


@pytest.fixture
def name(world: World) -> str:
    """The full name of a task that the project's members do not see."""
    return f"elsewhere/{world.elsewhere.workflow.name}/up"


@pytest.fixture
def task(world: World, name: str) -> Task:
    """A task that waits for it, with a second such name in its draft alone."""
    task, root = world.place.up, Caller(world.superuser)
    address = f"tasks/{task.pk}/"
    root.patch(address, {"definition": mapping(depends_on=[name])})
    root.post(f"{address}submit/")
    second = {"task": name.replace("/up", "/down"), "offset": "previous"}
    root.patch(address, {"definition": mapping(depends_on=[name, second], code="echo two")})
    return task


@pytest.fixture
def mark(world: World) -> str:
    """What stands for the name."""
    return f"//{world.elsewhere.up.pk}"


@pytest.fixture
def browse() -> Callable[[User], Browser]:
    """Return a browser in which the user is logged in."""

    def browse_as(user: User) -> Browser:
        get_user_model().objects.filter(pk=user.pk).update(is_staff=True)
        client = Client()
        client.force_login(get_user_model().objects.get(pk=user.pk))
        return Browser(client)

    return browse_as


def depends_on(caller: Caller, task: Task) -> Any:
    return caller.get(f"tasks/{task.pk}/")["draft"]["depends_on"]


def test_who_does_not_see_the_project_reads_a_mark(
    world: World, task: Task, name: str, mark: str
) -> None:
    developer, root = Caller(world.users["developer"]), Caller(world.superuser)
    first, second = depends_on(developer, task)
    assert first == mark
    assert second["task"].startswith("//x") and second["offset"] == "previous"
    assert depends_on(root, task)[0] == name
    version = developer.get(f"tasks/{task.pk}/versions/2/")
    assert version["definition"]["depends_on"] == [mark]
    assert developer.get(f"versions/{version['id']}/")["definition"]["depends_on"] == [mark]
    assert mark in str(developer.get(f"tasks/{task.pk}/versions/2/diff/"))
    for path in (
        f"tasks/{task.pk}/",
        f"tasks/{task.pk}/versions/2/",
        f"tasks/{task.pk}/versions/2/diff/",
        f"workflows/{task.workflow_id}/export/",
    ):
        assert b"elsewhere" not in developer.call("GET", path).content, path
        assert b"elsewhere" in root.call("GET", path).content, path


def test_who_writes_the_marks_back_keeps_what_stands_there(
    world: World, task: Task, name: str
) -> None:
    developer = Caller(world.users["developer"])
    draft = developer.get(f"tasks/{task.pk}/")["draft"]
    answer = developer.patch(
        f"tasks/{task.pk}/", {"definition": {**draft, "description": "changed"}}
    )
    assert answer["draft"]["depends_on"] == draft["depends_on"]
    stored = Task.objects.get(pk=task.pk).draft
    assert stored["description"] == "changed"
    assert stored["depends_on"][0] == name
    assert stored["depends_on"][1]["task"] == name.replace("/up", "/down")


def test_what_is_in_force_is_submitted_again_by_who_does_not_see_it(
    world: World, task: Task, mark: str
) -> None:
    developer = Caller(world.users["developer"])
    definition = mapping(depends_on=[mark], code="echo three")
    developer.patch(f"tasks/{task.pk}/", {"definition": definition})
    assert developer.post(f"tasks/{task.pk}/submit/")["version"] == 3
    upstream = Dependency.objects.filter(downstream=task).values_list("upstream_id", flat=True)
    assert list(upstream) == [world.elsewhere.up.pk]


def test_what_is_not_in_force_is_for_those_who_see_it(world: World, task: Task) -> None:
    answer = Caller(world.users["developer"]).post(f"tasks/{task.pk}/submit/", {}, 400)
    assert "elsewhere" not in str(answer)
    assert "//x" in str(answer)


def test_a_name_in_a_hidden_project_is_refused_whether_it_is_there_or_not(
    world: World, task: Task, name: str
) -> None:
    """Nor does it help to write what stands there already: that would tell that it does."""
    developer = Caller(world.users["developer"])
    told = []
    for tried in (name, name.replace("/up", "/never"), "never/there/was"):
        answer = developer.patch(
            f"tasks/{task.pk}/", {"definition": mapping(depends_on=[tried])}, 400
        )
        assert list(answer["fields"]) == ["definition.depends_on.0"]
        told.append(str(answer).replace(tried, "…"))
        new = {"workflow": task.workflow_id, "name": "n", "definition": mapping(depends_on=[tried])}
        assert developer.post("tasks/", new, 400)["code"] == "invalid_definition"
    assert len(set(told)) == 1


@pytest.mark.parametrize("tried", ["//1", "//x0123456789ab", "//", "//up", "/a/b"])
def test_a_mark_that_stands_for_nothing_of_the_task(world: World, task: Task, tried: str) -> None:
    body = {"definition": mapping(depends_on=[tried])}
    answer = Caller(world.users["developer"]).patch(f"tasks/{task.pk}/", body, 400)
    assert list(answer["fields"]) == ["definition.depends_on.0"]


def test_a_mark_of_one_task_is_nothing_in_another(world: World, task: Task, mark: str) -> None:
    body = {"definition": mapping(depends_on=[mark])}
    answer = Caller(world.users["developer"]).patch(f"tasks/{world.place.down.pk}/", body, 400)
    assert list(answer["fields"]) == ["definition.depends_on.0"]


def test_a_file_goes_out_and_comes_back(world: World, task: Task, name: str, mark: str) -> None:
    developer = Caller(world.users["developer"])
    address = f"workflows/{task.workflow_id}/export/"
    text = developer.call("GET", address).content.decode()
    assert mark in text
    before = Task.objects.get(pk=task.pk).draft
    body = {"project": task.project_id, "yaml": text}
    (imported,) = developer.post("workflows/import/", body)["workflows"]
    assert task.name in imported["tasks_unchanged"]
    assert Task.objects.get(pk=task.pk).draft == before
    answer = developer.post("workflows/import/", {**body, "yaml": text.replace(mark, name)}, 400)
    assert "There is no task" in str(answer)


def test_the_form_shows_marks_and_keeps_what_they_stand_for(
    world: World, task: Task, name: str, mark: str, browse: Callable[[User], Browser]
) -> None:
    browser = browse(world.users["developer"])
    form = browser.form("workflows_task_edit", task.pk)
    assert form["depends_on__task"][0] == mark
    assert "elsewhere" not in browser.get("workflows_task_change", task.pk).html
    assert "elsewhere" not in browser.get("workflows_task_version", task.pk, 2).html
    data = {**form, "description": "by the form"}
    page = browser.post("workflows_task_edit", task.pk, data=data)
    assert "The draft was saved" in " ".join(page.messages)
    stored = Task.objects.get(pk=task.pk).draft
    assert (stored.get("description"), stored["depends_on"][0]) == ("by the form", name)
