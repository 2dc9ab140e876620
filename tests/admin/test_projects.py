"""Projects, members, data sources, resource groups, the operation record, the first page."""

from __future__ import annotations

from typing import Any

import pytest

from instances.states import ExecutionState
from projects.models import DataSource, Member, Operation, Project, ResourceGroup
from projects.roles import Role
from tests.admin.browsing import Browser
from tests.admin.test_instances import fail
from tests.api.world import World, make_execution
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(world: World, browse: Any) -> Browser:
    return browse(world.users["administrator"])


def members_form(members: list[Member], **rows: Any) -> dict[str, Any]:
    """Return the members' rows of the project's form, with changes by row number."""
    data: dict[str, Any] = {
        "members-TOTAL_FORMS": len(members) + len(rows.get("new", ())),
        "members-INITIAL_FORMS": len(members),
        "members-MIN_NUM_FORMS": 0,
        "members-MAX_NUM_FORMS": 1000,
    }
    for index, member in enumerate(members):
        data |= {f"members-{index}-id": member.pk, f"members-{index}-role": member.role}
        data[f"members-{index}-project"] = member.project_id
    for index, (name, role) in enumerate(rows.get("new", ()), len(members)):
        data |= {f"members-{index}-user": name, f"members-{index}-role": role}
    return data | rows.get("changes", {})


def project_form(project: Project, **changes: Any) -> dict[str, Any]:
    return {
        "name": project.name,
        "description": project.description,
        "time_zone": project.time_zone,
        "periodic_retention_days": project.periodic_retention_days,
        "backfill_retention_days": project.backfill_retention_days,
        "allowed_hosts": "\n".join(project.allowed_hosts),
        **changes,
    }


@pytest.mark.feature("P1", "P3")
def test_a_project_is_changed_by_its_administrator_and_recorded(
    world: World, administrator: Browser
) -> None:
    project = world.place.project
    members = list(project.members.order_by("project", "user"))
    data = project_form(project, description="new", allowed_hosts="a.example.com\n\n*.b.org")
    administrator.post("projects_project_change", project.pk, data=data | members_form(members))
    project.refresh_from_db()
    assert (project.description, project.allowed_hosts) == ("new", ["a.example.com", "*.b.org"])
    operation = Operation.objects.latest("pk")
    assert operation.verb == "projects.update"
    assert set(operation.options) == {"description", "allowed_hosts"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"allowed_hosts": "http://x/y"}, "allowed_hosts"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"name": "elsewhere"}, "name"),
        ({"periodic_retention_days": "0"}, "periodic_retention_days"),
    ],
)
def test_a_fault_stands_at_its_field(
    world: World, administrator: Browser, changes: dict[str, Any], field: str
) -> None:
    project = world.place.project
    data = project_form(project, **changes) | members_form(list(project.members.all()))
    page = administrator.post("projects_project_change", project.pk, data=data)
    assert list(page.form_faults) == [field]


@pytest.mark.feature("P1")
def test_members_are_added_changed_and_removed(world: World, administrator: Browser) -> None:
    project = world.place.project
    members = list(project.members.order_by("project", "user"))
    at = {member.user.username: index for index, member in enumerate(members)}
    newcomer = make_user("newcomer", is_staff=True)
    data = project_form(project) | members_form(
        members,
        new=[("newcomer", "operator")],
        changes={
            f"members-{at['viewer']}-role": "developer",
            f"members-{at['operator']}-DELETE": "on",
        },
    )
    administrator.post("projects_project_change", project.pk, data=data)
    roles = {member.user.username: member.role for member in project.members.all()}
    assert roles == {
        "viewer": Role.DEVELOPER,
        "developer": Role.DEVELOPER,
        "administrator": Role.ADMINISTRATOR,
        newcomer.username: Role.OPERATOR,
    }


@pytest.mark.feature("P1")
def test_the_last_administrator_stays_and_nothing_else_is_changed(
    world: World, administrator: Browser
) -> None:
    project = world.place.project
    members = list(project.members.order_by("project", "user"))
    index = next(i for i, one in enumerate(members) if one.role == Role.ADMINISTRATOR)
    data = project_form(project, description="changed too") | members_form(
        members, changes={f"members-{index}-role": "viewer"}
    )
    page = administrator.post("projects_project_change", project.pk, data=data)
    assert "last administrator" in page.text
    project.refresh_from_db()
    assert project.description == ""
    assert project.members.filter(role=Role.ADMINISTRATOR).exists()


def test_a_member_must_be_a_user(world: World, administrator: Browser) -> None:
    project = world.place.project
    members = list(project.members.order_by("project", "user"))
    data = project_form(project) | members_form(members, new=[("nobody", "viewer")])
    page = administrator.post("projects_project_change", project.pk, data=data)
    assert "There is no active user “nobody”." in page.text


@pytest.mark.feature("P1")
def test_who_may_make_projects_administers_what_they_make(world: World, operator: Browser) -> None:
    form = operator.form("projects_project_add")
    operator.post("projects_project_add", data={**form, "name": "mine"})
    member = Member.objects.get(project__name="mine")
    assert (member.user, member.role) == (world.users["operator"], Role.ADMINISTRATOR)


@pytest.mark.feature("P5")
@pytest.mark.item("P5.1")
def test_a_password_is_written_kept_and_never_shown(world: World, administrator: Browser) -> None:
    source = world.place.source
    page = administrator.get("projects_datasource_change", source.pk)
    assert "s3cret-of-the-source" not in page.html
    DataSource.objects.filter(pk=source.pk).update(url="postgresql://u@h/d")
    data = {"name": source.name, "url": "postgresql://u@h/e", "password": "", "description": ""}
    administrator.post("projects_datasource_change", source.pk, data=data)
    source = DataSource.objects.get(pk=source.pk)
    assert (source.url, source.password) == ("postgresql://u@h/e", "s3cret-of-the-source")
    elsewhere = {**data, "url": "postgresql://u@elsewhere/e"}
    page = administrator.post("projects_datasource_change", source.pk, data=elsewhere)
    assert list(page.form_faults) == ["password"]
    data["password"] = "an0ther"
    administrator.post("projects_datasource_change", source.pk, data=data)
    assert DataSource.objects.get(pk=source.pk).password == "an0ther"
    operation = Operation.objects.latest("pk")
    record = administrator.get("projects_operation_change", operation.pk)
    assert "an0ther" not in record.html and "(changed)" in record.text


def test_a_password_in_the_url_is_refused_at_its_field(
    world: World, administrator: Browser
) -> None:
    data = {
        "project": world.place.project.pk,
        "name": "fresh",
        "url": "postgresql://u:pw@h/d",
        "password": "",
        "description": "",
    }
    page = administrator.post("projects_datasource_add", data=data)
    assert list(page.form_faults) == ["url"]
    administrator.post("projects_datasource_add", data={**data, "url": "sqlite://"})
    created = DataSource.objects.get(name="fresh")
    administrator.post("projects_datasource_delete", created.pk, data={"post": "yes"})
    assert not DataSource.objects.filter(pk=created.pk).exists()


@pytest.mark.feature("P1")
def test_resource_groups_show_their_use_and_are_managed_by_superusers(
    world: World, operator: Browser, root: Browser
) -> None:
    group = world.place.group
    make_execution(
        world.place.first,
        number=7,
        state=ExecutionState.SENT,
        resource_group_id=group.pk,
        started_at=None,
        ended_at=None,
    )
    assert "1 / 8" in operator.get("projects_resourcegroup_changelist").text
    assert operator.post("projects_resourcegroup_change", group.pk, data={}).status == 403
    form = {**root.form("projects_resourcegroup_change", group.pk), "slots": 3}
    root.post("projects_resourcegroup_change", group.pk, data=form)
    group.refresh_from_db()
    assert group.slots == 3
    assert list(group.projects.all()) == [world.place.project]
    default = ResourceGroup.objects.get(name="default")
    page = root.post("projects_resourcegroup_delete", default.pk, data={"post": "yes"})
    assert "The default group stays" in page.messages[0]


@pytest.mark.feature("P2")
def test_a_member_does_not_learn_who_else_uses_a_group(world: World, operator: Browser) -> None:
    world.place.group.projects.add(world.elsewhere.project)
    page = operator.get("projects_resourcegroup_change", world.place.group.pk)
    assert page.status == 200
    assert "elsewhere" not in page.text
    theirs = world.elsewhere.group
    assert theirs.pk not in operator.get("projects_resourcegroup_changelist").ids


@pytest.mark.feature("P3")
def test_the_operation_record_is_read_filtered_and_never_changed(
    world: World, operator: Browser, root: Browser
) -> None:
    pk = world.place.operation_id
    found = operator.get(
        "projects_operation_changelist", object_type="task", object_id=world.place.up.pk
    )
    assert pk in found.ids
    assert operator.get("projects_operation_changelist", actor="viewer", verb="tasks.look").ids == [
        pk
    ]
    page = operator.get("projects_operation_change", pk)
    assert "Look · tasks" in page.text
    assert f"/admin/workflows/task/{world.place.up.pk}/change/" in page.html
    for browser in (operator, root):
        assert browser.get("projects_operation_add").status == 403
        assert browser.post("projects_operation_delete", pk, data={"post": "yes"}).status == 403
        browser.post("projects_operation_change", pk, data={"verb": "forged"})
    assert Operation.objects.get(pk=pk).verb == "tasks.look"


@pytest.mark.feature("P3")
def test_the_history_of_an_object_is_its_operation_record(world: World, operator: Browser) -> None:
    page = operator.get("workflows_task_history", world.place.up.pk)
    assert world.place.operation_id in page.ids


def test_the_first_page_tells_how_things_stand(world: World, operator: Browser) -> None:
    fail(world.place.first)
    page = operator.get("index")
    figures = {state.value: number for state, number, _ in page.context["figures"]}
    assert figures["FAILED"] == 1 and figures["NOT_RUN"] >= 1
    assert [row.pk for row, _ in page.context["failures"]] == [world.place.first.pk]
    assert [one["plan"].pk for one in page.context["plans"]] == [world.place.expanded.pk]
    for text in ("The process ended with an error", world.place.group.name, "Due next"):
        assert text in page.text
