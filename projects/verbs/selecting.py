"""Choosing what a verb acts on: within the user's rights, in a state that allows it.

The verb locks what it chooses, and the page that says what would happen does not: beside that both
go through the same rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from projects.access import Actor, projects_lacking
from projects.ground.refusals import Invalid
from projects.ground.words import gettext_lazy, one_of, thousands
from projects.roles import Right
from projects.verbs.recording import ItemOutcome

if TYPE_CHECKING:
    from projects.verbs.verb import Verb

# One transaction acts on at most so many objects.
MOST_IDS = 10_000

_LATE = gettext_lazy("Its state changed at this moment; nothing was done.")


@dataclass(frozen=True, slots=True)
class Row:
    """An object as a verb sees it; `state` is a member of its noun's states."""

    project_id: int
    label: str
    state: Any


@dataclass(frozen=True, slots=True)
class Selection:
    """What a verb acts on, by id, and the outcomes of what it does not act on."""

    actor: Actor
    asked: list[int]
    rows: dict[int, Row]
    refused: dict[int, ItemOutcome]

    @property
    def states(self) -> dict[int, Any]:
        """The states of what is acted on."""
        return {pk: row.state for pk, row in self.rows.items()}

    def outcomes(
        self, done: Iterable[int], *, details: Mapping[int, str] | None = None
    ) -> list[ItemOutcome]:
        """Return an outcome for each object asked for: `done` ones, late ones, refused ones.

        details: what there is to say about some of those that are done, by id.
        """
        reached, said = set(done), details or {}
        return [
            self.refused[pk]
            if pk in self.refused
            else self.done(pk, said.get(pk, ""))
            if pk in reached
            else self.refuse(pk, "wrong_state", str(_LATE))
            for pk in self.asked
        ]

    def refuse(self, pk: int, code: str, detail: str) -> ItemOutcome:
        """Return the outcome of a chosen object with which nothing could be done after all."""
        row = self.rows[pk]
        return ItemOutcome(pk, False, code, detail, row.label, project_id=row.project_id)

    def done(self, pk: int, detail: str = "", code: str = "") -> ItemOutcome:
        """Return the outcome of a chosen object with which it was done."""
        row = self.rows[pk]
        return ItemOutcome(pk, True, code, detail, row.label, project_id=row.project_id)


class _Judge:
    """The rule of who may do the verb to what."""

    def __init__(self, verb: Verb, actor: Actor, project_ids: Iterable[int]) -> None:
        self.verb = verb
        self.barred = projects_lacking(actor, project_ids, verb.right)
        # Whoever has any right may see as well.
        self.unseen = projects_lacking(actor, self.barred, Right.VIEW) if self.barred else set()

    def of_rights(self, row: Row | None) -> tuple[str, str] | None:
        """Return code and detail of a refusal by right; None when there is none.

        What the actor does not see is said not to be there.
        """
        if row is None or row.project_id in self.unseen:
            return "not_found", str(self.verb.noun.missing)
        if row.project_id in self.barred:
            detail = _("Your role in its project does not allow you to {right}.")
            return "forbidden", detail.format(right=self.verb.right.label)
        return None

    def of_state(self, state: Any) -> tuple[str, str] | None:
        """Return code and detail of a refusal by state; None when there is none."""
        if state in self.verb.effects:
            return None
        now = state.label.lower() if state is not None else _("gone")
        needed = spell_states(
            state for state in self.verb.noun.states if state in self.verb.effects
        )
        detail = _("It is {state}; {verb} needs {needed}.")
        verb = self.verb.title.lower()
        return "wrong_state", detail.format(state=now, verb=verb, needed=needed)


def select(verb: Verb, *, actor: Actor, ids: Iterable[int], lock: bool = False) -> Selection:
    """Sort out which of the objects the verb may act on.

    lock: hold them until the end of the transaction; states are those after the locks were granted.
    Raises Invalid for no ids, or too many.
    """
    noun = verb.noun
    asked = list(dict.fromkeys(ids))
    if not asked or (len(asked) > MOST_IDS and not verb.whole):
        problem = _("Choose from 1 to {objects}; {count} were given.").format(
            objects=noun.counted(MOST_IDS), count=thousands(len(asked))
        )
        raise Invalid(problem, fields={"ids": [problem]})
    rows = noun.rows(asked)
    judge = _Judge(verb, actor, {row.project_id for row in rows.values()})
    refusals = {pk: judge.of_rights(rows.get(pk)) for pk in asked}
    permitted = sorted(pk for pk, refusal in refusals.items() if refusal is None)
    states = noun.locked(permitted) if lock else {pk: rows[pk].state for pk in permitted}
    refusals |= {pk: judge.of_state(states.get(pk)) for pk in permitted}
    return Selection(
        actor=actor,
        asked=asked,
        rows={
            pk: Row(rows[pk].project_id, rows[pk].label, states[pk])
            for pk in permitted
            if refusals[pk] is None
        },
        refused={
            pk: _refused(pk, refusal, rows.get(pk))
            for pk, refusal in refusals.items()
            if refusal is not None
        },
    )


def _refused(pk: int, refusal: tuple[str, str], row: Row | None) -> ItemOutcome:
    if row is None or refusal[0] == "not_found":
        return ItemOutcome(pk, False, *refusal)
    return ItemOutcome(pk, False, *refusal, row.label, project_id=row.project_id)


@dataclass(frozen=True, slots=True)
class Promise:
    """What a verb would do: how many objects by state, and why it leaves how many alone."""

    acting: dict[Any, int]
    left: dict[str, int]
    project_ids: frozenset[int]  # where it acts

    @property
    def total(self) -> int:
        """How many it acts on."""
        return sum(self.acting.values())

    @property
    def asked(self) -> int:
        """How many it was asked to act on."""
        return self.total + sum(self.left.values())


def promise(verb: Verb, *, actor: Actor, rows: QuerySet[Any], asked: int | None = None) -> Promise:
    """Count what the verb would do to the rows, by the rule of `select`, whatever their number.

    asked: how many ids were given; those without a row are left alone.
    """
    noun = verb.noun
    noun.prepare()
    groups = (
        noun.with_state(rows.order_by())
        .values_list("project_id", "verb_state")
        .annotate(number=Count("pk"))
    )
    counted = [(Row(project, "", noun.states(state)), number) for project, state, number in groups]
    judge = _Judge(verb, actor, {row.project_id for row, _ in counted})
    acting: Counter[Any] = Counter()
    left: Counter[str] = Counter()
    project_ids = set()
    for row, number in counted:
        refusal = judge.of_rights(row) or judge.of_state(row.state)
        if refusal is None:
            acting[row.state] += number
            project_ids.add(row.project_id)
        else:
            left[refusal[1]] += number
    if asked is not None and (gone := asked - acting.total() - left.total()):
        left[str(noun.missing)] += gone
    return Promise(
        acting={state: acting[state] for state in noun.states if acting[state]},
        left=dict(sorted(left.items(), key=lambda one: (-one[1], one[0]))),
        project_ids=frozenset(project_ids),
    )


def spell_states(states: Iterable[Any]) -> str:
    """Return "failed, success or retrying"."""
    return one_of(state.label.lower() for state in states)
