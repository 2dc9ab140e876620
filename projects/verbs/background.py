"""Verbs on many objects, done in the background: chunk by chunk, as rows (I10, P3).

An operation that is accepted is a record whose objects have no outcome yet. A chunk takes the next
of them and gives each its outcome in the transaction that changes it. So whoever dies in the
middle is followed by somebody who goes on exactly there, and a chunk that is done is never done
twice. The operation's row is the lock.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F, QuerySet
from django.dispatch import Signal
from django.utils.translation import gettext as _

from projects.access import Actor, projects_lacking, projects_with
from projects.ground import clock
from projects.ground.bulk import is_held, limit_lock_waits, repeat_on_deadlock
from projects.ground.refusals import Conflict, Forbidden, Invalid, Refusal
from projects.ground.words import gettext_lazy
from projects.models import Operation, OperationObject
from projects.roles import Right
from projects.verbs.catalogue import find_recorded
from projects.verbs.recording import BatchResult, ItemOutcome
from projects.verbs.selecting import Selection
from projects.verbs.verb import Noun, Verb

# Up to so many objects are done at once and answered one by one; it is a chunk's number, too.
AT_ONCE = 500
# Written away at once when an operation is cancelled.
_CANCELLED_AT_ONCE = 10_000
# PostgreSQL's advisory lock of whoever does a chunk: a number of our own.
_LOCK = 7_316_407
_FAILED = gettext_lazy("It failed each time that it was tried; the server's log says why.")
_CANCELLED = gettext_lazy("The operation was cancelled before its turn came.")

# Sent after the commit of an operation that is to be done in the background.
accepted = Signal()

logger = structlog.get_logger(__name__)


def operate(
    verb: Verb,
    noun: Noun,
    *,
    actor: Actor,
    chosen: Collection[int] | QuerySet[Any],
    **options: Any,
) -> BatchResult:
    """Do a verb to objects of a noun, whatever their number: to ids, or to the rows of a filter.

    A small number is done at once. A larger one is accepted as it is now and done in the
    background. Raises Invalid for no objects, and what the verb raises.
    """
    if isinstance(chosen, QuerySet):
        parts = noun.part_rows(chosen.order_by())
        first = list(parts.order_by("pk").values_list("pk", flat=True)[: AT_ONCE + 1])
    else:
        first = noun.part_ids(actor=actor, ids=chosen)
        parts = None
    if not first:
        problem = _("No object matches.")
        raise Invalid(problem, code="empty", fields={"filter": [problem]})
    if len(first) <= AT_ONCE:
        return verb(actor=actor, ids=first, **options)
    return accept(verb, actor=actor, chosen=first if parts is None else parts, options=options)


@transaction.atomic
def accept(
    verb: Verb, *, actor: Actor, chosen: Sequence[int] | QuerySet[Any], options: Mapping[str, Any]
) -> BatchResult:
    """Write down what is to be done in the background, and have it begun after the commit.

    Raises Forbidden for who may do it nowhere; else rights are looked at chunk by chunk.
    """
    verb.check(options)
    if not projects_with(actor, verb.right).exists():
        refused = _("Your roles do not allow you to {right}.")
        raise Forbidden(refused.format(right=verb.right.label))
    if isinstance(chosen, QuerySet):
        ids, arguments = chosen.order_by().values_list("pk").query.sql_with_params()
    else:
        ids, arguments = "SELECT unnest(%s::bigint[])", (list(chosen),)
    seen = list(projects_with(actor).values_list("pk", flat=True))
    table = verb.noun.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT m.project_id FROM ({ids}) AS c (id) JOIN {table} m ON m.id = c.id"
            " WHERE m.project_id = ANY(%s)",
            [*arguments, seen],
        )
        # What the record is about is written once, and never changed.
        projects = [row[0] for row in cursor.fetchall()]
        operation = Operation.objects.create(
            actor=actor,
            verb=verb.recorded,
            options=verb.recorded_options(options),
            project_id=projects[0] if len(projects) == 1 else None,
        )
        cursor.execute(
            f"""
            INSERT INTO projects_operationobject
                (operation_id, object_type, object_id, project_id, label, ok, code, detail)
            SELECT %s, %s, s.id, m.project_id, '', NULL, '', ''
            FROM (SELECT DISTINCT c.id FROM ({ids}) AS c (id)) AS s
            LEFT JOIN {table} m ON m.id = s.id AND m.project_id = ANY(%s)
            """,
            [operation.pk, verb.noun.key, *arguments, projects],
        )
        operation.total = cursor.rowcount
        operation.save(update_fields=["total"])
        if len(projects) > 1:
            cursor.execute(
                """
                INSERT INTO projects_operationpart
                    (operation_id, project_id, total, succeeded, refused)
                SELECT operation_id, project_id, count(*), 0, 0 FROM projects_operationobject
                WHERE operation_id = %s AND project_id IS NOT NULL GROUP BY 1, 2
                """,
                [operation.pk],
            )
    transaction.on_commit(lambda: accepted.send(sender=None))
    return BatchResult(operation.pk, pending=operation.total)


def cancel(*, actor: Actor, operation_id: int) -> None:
    """Let no more chunks of an operation begin; what is done stays done.

    For who `may_cancel` it. Raises Forbidden, or Conflict when it has ended.
    """
    with transaction.atomic():
        operation = Operation.objects.select_for_update(no_key=True).get(pk=operation_id)
        if not may_cancel(actor, operation):
            refused = _("Cancelling it is for who began it, or may do the same to all of it.")
            raise Forbidden(refused)
        if operation.ended_at is not None:
            raise Conflict(_("The operation has ended."))
        if operation.cancelled_at is None:
            operation.cancelled_at = clock.now()
            operation.cancelled_by = actor
            operation.save(update_fields=["cancelled_at", "cancelled_by"])
        transaction.on_commit(lambda: accepted.send(sender=None))


def work_in_turn(*, seconds: float) -> bool:
    """Do chunks of all operations that wait, in turn, for so long; True when some are left then.

    The one whose last chunk is longest ago is next. One's trouble is not another's: it is logged,
    and tried again when the others had their turn. False also when somebody else is at it.
    """
    until = time.monotonic() + seconds
    passed: list[int] = []
    while (operation_id := _next(passed)) is not None:
        more = work(operation_id)
        if more is None:
            return False
        if not more:
            passed.append(operation_id)
        if time.monotonic() >= until:
            return _next(passed) is not None
    return False


def work(operation_id: int, *, around_held: bool = False) -> bool | None:
    """Do the next chunk of an operation; True when it is to go on at once.

    False when it has ended, is held by somebody or is in trouble; None when somebody else does a
    chunk, of whatever operation. What somebody holds is left for later, and the others are done.
    """
    try:
        return _Chunk(operation_id, around_held=around_held).do()
    except Refusal as refusal:  # by what it was asked: the same for all of them
        return _refuse(operation_id, refusal.code, refusal.detail)
    except OperationalError as error:
        if is_held(error):
            return _come_back(operation_id) if around_held else work(operation_id, around_held=True)
        logger.exception("operation_failed", operation_id=operation_id)
    except Exception:
        logger.exception("operation_failed", operation_id=operation_id)
    # Which of them fails is found out when none is held.
    return _come_back(operation_id) if around_held else _note_failure(operation_id)


def _come_back(operation_id: int) -> bool:
    """Let the others have their turn first; what somebody has ended meanwhile stays as it is."""
    Operation.objects.filter(pk=operation_id, ended_at=None).update(served_at=clock.now())
    return False


class _Chunk:
    """The next objects of an operation, or those that nobody holds, and what is done to them."""

    def __init__(self, operation_id: int, *, around_held: bool) -> None:
        self.around_held = around_held
        self.operation = Operation.objects.select_related("actor").get(pk=operation_id)
        verb = find_recorded(self.operation.verb)
        if verb is None:
            text = _("There is no verb {name} any more.")
            raise Conflict(text.format(name=self.operation.verb), code="gone")
        self.verb = verb
        self.actor = self.operation.actor

    def do(self) -> bool | None:
        ids = _next_ids(self.operation)
        if self.around_held and not (ids := self._free_ids()):
            return _come_back(self.operation.pk)
        selection = None
        if self.verb.first is not None and ids and self.operation.cancelled_at is None:
            selection = self.verb.look(actor=self.actor, ids=ids)
            self.verb.first(selection)
        else:
            self.verb.noun.prepare()
        selection, more = self._act(ids, selection)
        if selection is not None and self.verb.after is not None:
            self.verb.after(selection)
        return more

    @repeat_on_deadlock
    @transaction.atomic
    def _act(
        self, ids: list[int], selection: Selection | None
    ) -> tuple[Selection | None, bool | None]:
        if not _alone():
            return None, None
        limit_lock_waits(settings.ENGINE_LOCK_SECONDS)
        operation = _lock(self.operation.pk)
        if operation is None:
            return None, False
        if operation.cancelled_at is not None and selection is None:
            return None, _fill_rest(operation, "cancelled", str(_CANCELLED), _CANCELLED_AT_ONCE)
        now_next = _next_ids(operation, AT_ONCE if self.around_held else None)
        now_next = [pk for pk in now_next if pk in ids] if self.around_held else now_next
        if (selection is not None or self.around_held) and now_next != ids:
            return None, True  # somebody else did this chunk while we prepared it
        if not now_next:
            return None, _end(operation)
        selection, outcomes = self.verb.act(
            actor=self.actor,
            ids=now_next,
            selection=selection,
            options=self.verb.options_of(operation.options),
        )
        return selection, _fill(operation, outcomes)

    def _free_ids(self) -> list[int]:
        """Return of the next objects those that are free; none when that says nothing new."""
        if (size := _chunk_size(self.operation)) is None:
            return []
        ids = _next_ids(self.operation, AT_ONCE)
        rows = self.verb.noun.model._default_manager.filter(pk__in=ids).order_by("pk")
        with transaction.atomic():  # the verb locks in an order of its own
            free = rows.select_for_update(no_key=True, skip_locked=True)
            held = set(rows.values_list("pk", flat=True)) - set(free.values_list("pk", flat=True))
        return [pk for pk in ids if pk not in held][:size] if held else []


def _next(passed: Collection[int]) -> int | None:
    waiting = Operation.objects.filter(ended_at=None).exclude(pk__in=passed)
    order = (F("served_at").asc(nulls_first=True), "pk")
    return waiting.order_by(*order).values_list("pk", flat=True).first()


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _lock(operation_id: int) -> Operation | None:
    rows = Operation.objects.select_for_update(no_key=True, skip_locked=True)
    return rows.filter(pk=operation_id, ended_at=None).first()


def _end(operation: Operation) -> bool:
    operation.ended_at = clock.now()
    operation.save(update_fields=["ended_at"])
    return False


def _fill(operation: Operation, outcomes: Sequence[ItemOutcome]) -> bool:
    """Write the outcomes of a chunk, and how far the operation is; True when some are left."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE projects_operationobject o
            SET ok = r.ok, code = r.code, detail = r.detail,
                label = CASE WHEN o.project_id IS NULL THEN '' ELSE r.label END
            FROM unnest(%s::bigint[], %s::boolean[], %s::text[], %s::text[], %s::text[])
                AS r (id, ok, code, detail, label)
            WHERE o.operation_id = %s AND o.object_id = r.id AND o.ok IS NULL
            RETURNING o.project_id, o.ok
            """,
            [
                [one.id for one in outcomes],
                [one.ok for one in outcomes],
                [one.code for one in outcomes],
                [str(one.detail) for one in outcomes],
                [one.label[:255] for one in outcomes],
                operation.pk,
            ],
        )
        written = Counter(cursor.fetchall())
    if written.total() != len(outcomes):
        raise RuntimeError(f"{len(outcomes)} outcomes for {written.total()} objects of {operation}")
    return _go_forward(operation, written)


def _fill_rest(operation: Operation, code: str, detail: str, number: int | None) -> bool:
    """Refuse the next objects of an operation, or all that are left."""
    ids = _next_ids(operation, number)
    return _fill(operation, [ItemOutcome(pk, False, code, detail) for pk in ids])


def _go_forward(operation: Operation, written: Mapping[tuple[int | None, bool], int]) -> bool:
    """Count what was written, {(project, ok): number}; end the operation with the last of it."""
    now = clock.now()
    operation.succeeded += sum(number for (_, ok), number in written.items() if ok)
    operation.refused += sum(number for (_, ok), number in written.items() if not ok)
    operation.served_at = now
    operation.failures = max(0, operation.failures - 1)
    more = operation.done < operation.total
    operation.ended_at = None if more else now
    if operation.project_id is None:
        projects = sorted({project for project, _ in written if project is not None})
        counts = [[written.get((one, ok), 0) for one in projects] for ok in (True, False)]
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE projects_operationpart p
                SET succeeded = p.succeeded + r.succeeded, refused = p.refused + r.refused
                FROM unnest(%s::bigint[], %s::int[], %s::int[]) AS r (id, succeeded, refused)
                WHERE p.operation_id = %s AND p.project_id = r.id
                """,
                [projects, *counts, operation.pk],
            )
    operation.save(update_fields=["succeeded", "refused", "served_at", "failures", "ended_at"])
    return more


def _refuse(operation_id: int, code: str, detail: str) -> bool:
    """Give the objects of a chunk, all of them refused, their outcome."""
    with transaction.atomic():
        operation = _lock(operation_id)
        if operation is None:
            return False
        return _fill_rest(operation, code, detail, _chunk_size(operation))


def _note_failure(operation_id: int) -> bool:
    """Have the chunk that failed tried again with half as many; give up one that fails alone."""
    with transaction.atomic():
        operation = _lock(operation_id)
        if operation is None:
            return False
        number = _chunk_size(operation)
        if number == 1 or (number is None and operation.failures):
            operation.failures = 0
            return _fill_rest(operation, "failed", str(_FAILED), number)
        operation.failures += 1
        operation.served_at = clock.now()
        operation.save(update_fields=["failures", "served_at"])
        return True


def _chunk_size(operation: Operation) -> int | None:
    """Return how many objects are next: fewer after failures; None when it is one step."""
    verb = find_recorded(operation.verb)
    if verb is not None and verb.whole:
        return None
    return max(1, AT_ONCE >> operation.failures)


def _next_ids(operation: Operation, number: int | None = None) -> list[int]:
    rows = OperationObject.objects.filter(operation=operation, ok=None).order_by("object_id")
    ids = rows.values_list("object_id", flat=True)
    return list(ids[: _chunk_size(operation) if number is None else number])


def may_cancel(actor: Actor, operation: Operation) -> bool:
    """Whether the actor may do the same in all its projects, or began it and may in one."""
    if actor is None:
        return True
    verb = find_recorded(operation.verb)
    projects = set(operation.parts.values_list("project_id", flat=True))
    if operation.project_id is not None:
        projects.add(operation.project_id)
    right = Right.OPERATE if verb is None else verb.right
    lacking = projects_lacking(actor, projects, right)
    if operation.actor_id == actor.pk:
        return not projects or lacking != projects
    return bool(projects) and not lacking
