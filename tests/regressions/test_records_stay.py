"""The operation record is never changed nor deleted, not even by a mistake in the code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from projects.access import operations_of
from projects.administration import retention
from projects.administration.retention import forget_operations
from projects.models import Operation, OperationObject
from projects.roles import Role
from projects.verbs.recording import ItemOutcome, record
from tests.admin.browsing import Browser
from tests.api.caller import Caller
from tests.factories import make_member, make_project, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P3")]


def make_record(days: int = 0) -> int:
    done = record(actor=None, verb="tasks.look", object_type="task", outcomes=[ItemOutcome(1)])
    if days:
        with connection.cursor() as cursor:
            # As superuser of the database; the product's own statements cannot.
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                "UPDATE projects_operation SET created_at = %s WHERE id = %s",
                [timezone.now() - timedelta(days=days), done.operation_id],
            )
            cursor.execute("SET LOCAL session_replication_role = origin")
    return done.operation_id


@pytest.mark.parametrize(
    "change",
    [
        lambda: Operation.objects.update(verb="tasks.other"),
        lambda: Operation.objects.update(actor=None, project=None),
        lambda: Operation.objects.all()._raw_delete("default"),
        lambda: OperationObject.objects.update(ok=False),
        lambda: OperationObject.objects.update(detail="nothing happened"),
        lambda: OperationObject.objects.all().delete(),
        lambda: Operation.objects.all().delete(),
    ],
)
@pytest.mark.item("P3.4")
def test_the_database_refuses_to_change_a_record(change: Callable[[], object]) -> None:
    pk = make_record()
    with pytest.raises(DatabaseError, match="is never changed"), transaction.atomic():
        change()
    kept = Operation.objects.get(pk=pk)
    assert (kept.verb, kept.objects_of.get().ok) == ("tasks.look", True)


def test_retention_deletes_old_records_and_nothing_else_does_afterwards() -> None:
    old, older, young = make_record(40), make_record(90), make_record()
    assert forget_operations(timezone.now() - timedelta(days=60)) == 1
    assert set(Operation.objects.values_list("pk", flat=True)) == {old, young}
    output = StringIO()
    call_command("cleanup_operations", "--days", "30", "--dry-run", stdout=output)
    assert output.getvalue() == "1 records of operations would be deleted.\n"
    call_command("cleanup_operations", "--days", "30", stdout=output)
    assert OperationObject.objects.get().operation_id == young
    assert older != young
    with pytest.raises(DatabaseError), transaction.atomic():
        Operation.objects.filter(pk=young).delete()
    with pytest.raises(CommandError, match="30 days"):
        call_command("cleanup_operations", "--days", "0")


@pytest.mark.django_db(transaction=True)
def test_an_operation_of_any_size_is_deleted_in_bounded_parts_and_where_it_was_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    outcomes = [ItemOutcome(number) for number in range(1, 12)]
    record(actor=None, verb="tasks.look", object_type="task", outcomes=outcomes)
    make_record()
    deleted: list[int] = []
    whole = retention._delete_some

    def cut_off(*args: Any) -> int:
        if len(deleted) == 2:
            raise ConnectionError
        deleted.append(whole(*args))
        return deleted[-1]

    later = timezone.now() + timedelta(days=1)
    monkeypatch.setattr(retention, "_delete_some", cut_off)
    with pytest.raises(ConnectionError):
        forget_operations(later)
    assert deleted == [3, 3]
    assert (Operation.objects.count(), OperationObject.objects.count()) == (2, 6)
    monkeypatch.setattr(retention, "_delete_some", whole)
    assert forget_operations(later) == 2
    assert (Operation.objects.count(), OperationObject.objects.count()) == (0, 0)


def test_a_record_over_several_projects_is_shown_to_who_made_it() -> None:
    user = make_member(make_project("a"), Role.OPERATOR, user=make_user(is_staff=True))
    make_member(make_project("b"), Role.OPERATOR, user=user)
    mine = record(actor=user, verb="tasks.pause", object_type="task", outcomes=[ItemOutcome(1)])
    other = record(
        actor=make_user(), verb="tasks.pause", object_type="task", outcomes=[ItemOutcome(1)]
    )
    browser = Browser.of(user)
    assert browser.get("projects_operation_change", mine.operation_id).status == 200
    assert browser.get("projects_operation_change", other.operation_id).status == 404
    assert browser.get("projects_operation_changelist").ids == [mine.operation_id]
    assert Caller(user).ids("operations/") == [mine.operation_id]
    assert [one.pk for one in operations_of(user)] == [mine.operation_id]


@pytest.mark.django_db(transaction=True)
def test_the_migration_goes_back_and_forth() -> None:
    pk = make_record()
    executor = MigrationExecutor(connection)
    try:
        executor.migrate([("projects", "0001_initial")])
        assert Operation.objects.filter(pk=pk).update(verb="changed") == 1
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
    with pytest.raises(DatabaseError, match="is never changed"):
        Operation.objects.filter(pk=pk).update(verb="again")
