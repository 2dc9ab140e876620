"""What can be done to objects: each verb is declared once, beside the function that does it.

API, admin and `manage.py operate` follow from the declaration: addresses, bodies, actions, buttons,
the page that says what will happen, the report and the record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from django.db import transaction
from django.db.models import F, Model, QuerySet, TextChoices
from django.db.models.expressions import Combinable
from django.utils.translation import gettext as _

from projects.access import Actor, scope
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.refusals import Conflict, Forbidden, Invalid, NotFound, Refusal
from projects.roles import Right
from projects.verbs.recording import BatchResult, ItemOutcome, record
from projects.verbs.selecting import Row, Selection, select


@dataclass(frozen=True, slots=True, eq=False)
class Noun:
    """What verbs act on: a model whose rows are in a project and have a state.

    key: "instance", as in the record; plural: "instances", as in addresses and on the command line;
    counted: "3 instances", as the reader says it. state: the expression of the state as people see
    it now. label: the columns that `spell` makes an object's name of. missing: what is said of an
    object that is not there. filterset: the import path of the FilterSet of its lists. lock: locks
    rows in id order and returns {id: state}; by default plainly. prepare: what is done before
    anybody looks, so that states are true. parts: what is done to one of these is done to all its
    parts, which reach it by `parts_path`; `empty` is said of one that has none.
    """

    key: str
    plural: str
    model: type[Model]
    states: type[TextChoices]
    missing: str
    filterset: str
    counted: Callable[[int], str]
    label: tuple[str, ...]
    spell: Callable[..., str] = lambda *parts: "/".join(parts)
    state: Callable[[], Combinable] = lambda: F("state")
    lock: Callable[[Sequence[int]], Mapping[int, Any]] | None = None
    prepare: Callable[[], object] = lambda: None
    record: str = ""  # the first part of its verbs' names in the record; the plural when empty
    parts: Noun | None = None
    parts_path: str = ""
    empty: str = ""

    def with_state(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Annotate the state as people see it: `verb_state`."""
        return rows.annotate(verb_state=self.state())

    @property
    def acted_on(self) -> Noun:
        """What its verbs change: its parts, or itself."""
        return self.parts or self

    def part_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the parts of the objects, or the objects when they have none."""
        if self.parts is None:
            return rows
        wholes = rows.order_by().values("pk")
        return self.parts.model._default_manager.filter(**{f"{self.parts_path}__in": wholes})

    def part_ids(self, *, actor: Actor, ids: Collection[int]) -> list[int]:
        """Return the ids of the parts of the objects, or `ids` when they have none.

        Raises NotFound for one that the actor does not see, and Invalid when there is no part.
        """
        if self.parts is None:
            return list(ids)
        rows = scope(self.model._default_manager.filter(pk__in=ids), actor)
        if rows.count() < len(set(ids)):
            raise NotFound(str(self.missing))
        parts = list(self.part_rows(rows).order_by("pk").values_list("pk", flat=True))
        if not parts:
            raise Invalid(self.empty, code="empty")
        return parts

    def rows(self, ids: Collection[int]) -> dict[int, Row]:
        """Return those of the objects that exist; one query."""
        found = self.with_state(self.model._default_manager.filter(pk__in=ids)).values_list(
            "pk", "project_id", "verb_state", *self.label
        )
        return {
            pk: Row(project_id, self.spell(*label), self.states(state))
            for pk, project_id, state, *label in found
        }

    def locked(self, ids: Sequence[int]) -> Mapping[int, Any]:
        """Lock the objects, in id order, and return {id: state} as it is then."""
        if self.lock is not None:
            return self.lock(ids)
        rows = self.model._default_manager.filter(pk__in=ids)
        held = list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
        # In a new statement: the state may hang on other rows too.
        return {pk: row.state for pk, row in self.rows(held).items()}


@dataclass(frozen=True, slots=True)
class Option:
    """Something to say about how a verb is to be done.

    title: its label on the page. text: at most `limit` characters; empty by default. ids: ids of
    parts of the object, when it is a single one; without them all of its parts, which the API wants
    said.
    """

    name: str
    kind: Literal["text", "ids"]
    help: str
    title: str = ""
    limit: int = 0
    nothing_chosen: str = ""  # what is said when a page lists parts and none is chosen

    @property
    def alone(self) -> bool:
        """Whether it can be given for a single object only."""
        return self.kind == "ids"


@dataclass(frozen=True, slots=True, eq=False)
class Verb:
    """An operation on objects of a noun. Call it with `ids`: it answers for each of them.

    key: as in addresses, such as "mark-success". effects: the states that allow it, and what
    happens to an object in each. run(selection, **options) does it to the locked objects, in the
    transaction of the record, and returns their outcomes.

    first, after: what is done, in transactions of its own, before and after that. With `first` the
    objects are chosen before it and are not locked: `run` has to look for itself. hold: what is
    locked before the objects are. whole: it is done to all of them together or not at all: `run`
    raises what refuses one, and their number has no bound.
    """

    noun: Noun
    key: str
    title: str  # "Rerun"
    done: str  # 3 instances "run again"
    icon: str
    warning: str
    effects: Mapping[Any, str]
    run: Callable[..., Iterable[ItemOutcome]]
    right: Right = Right.OPERATE
    place: int = 0  # among the verbs of the noun
    phrase: str = ""  # "Remove dependencies of" 3 instances; the title when empty
    danger: bool = False
    alternate: bool = False  # of two opposites only the one that the state allows is shown
    options: tuple[Option, ...] = ()
    hold: Callable[[], object] | None = None
    whole: bool = False
    first: Callable[[Selection], object] | None = None
    after: Callable[[Selection], object] | None = None
    description: str = field(default="", repr=False)

    do_not_call_in_templates: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The key as a name: "mark_success"."""
        return self.key.replace("-", "_")

    @property
    def recorded(self) -> str:
        """The name in the operation record: "instances.mark_success"."""
        return f"{self.noun.record or self.noun.plural}.{self.name}"

    @property
    def spoken(self) -> str:
        """What stands before the objects: "Remove dependencies of"."""
        return self.phrase or self.title

    def __call__(self, *, actor: Actor, ids: Iterable[int], **options: Any) -> BatchResult:
        """Do it to the objects; an outcome for each, in the order asked.

        Codes: "not_found", "forbidden", "wrong_state", and the verb's own. Raises Invalid for no
        ids or too many, and what the verb says of its options.
        """
        self.check(options)
        listed = list(ids)
        selection = None
        if self.first is not None:
            selection = self.look(actor=actor, ids=listed)
            self.first(selection)
        else:
            self.noun.prepare()
        selection, result = self._act_and_record(actor, listed, selection, options)
        if self.after is not None:
            self.after(selection)
        return result

    def act(
        self,
        *,
        actor: Actor,
        ids: list[int],
        selection: Selection | None,
        options: Mapping[str, Any],
    ) -> tuple[Selection, list[ItemOutcome]]:
        """Do it inside a transaction of the caller's, who records it and sees to `after`.

        selection: what was chosen for `first`.
        """
        if self.hold is not None:
            self.hold()
        if selection is None:
            selection = select(self, actor=actor, ids=ids, lock=True)
        return selection, list(self.run(selection, **options))

    def on(self, noun: Noun, *, actor: Actor, ids: Collection[int], **options: Any) -> BatchResult:
        """Do it to objects of its noun, or to all parts of objects of a noun that has such."""
        return self(actor=actor, ids=noun.part_ids(actor=actor, ids=ids), **options)

    def one(self, *, actor: Actor, pk: int, **options: Any) -> Any:
        """Do it to one object and return that as it is now; raise what it was refused for."""
        for outcome in self(actor=actor, ids=[pk], **options).refused:
            raise outcome.refusal or refusal_of(outcome)
        return self.noun.model._default_manager.get(pk=pk)

    def look(self, *, actor: Actor, ids: Iterable[int]) -> Selection:
        """Return what it would act on: the verb's own selection, without its locks."""
        self.noun.prepare()
        return select(self, actor=actor, ids=ids)

    @repeat_on_deadlock
    @transaction.atomic
    def _act_and_record(
        self, actor: Actor, ids: list[int], selection: Selection | None, options: Mapping[str, Any]
    ) -> tuple[Selection, BatchResult]:
        selection, outcomes = self.act(actor=actor, ids=ids, selection=selection, options=options)
        result = record(
            actor=actor,
            verb=self.recorded,
            object_type=self.noun.key,
            options=self.recorded_options(options),
            outcomes=outcomes,
        )
        return selection, result

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise Invalid at a text that is too long, or that the database cannot hold."""
        for option in self.options:
            value = options.get(option.name)
            if option.kind == "text" and value and (len(value) > option.limit or "\x00" in value):
                problem = _("At most {limit} characters, and no NUL.").format(limit=option.limit)
                raise Invalid.from_pairs([(option.name, problem)])

    def options_of(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with which an operation on many objects was recorded."""
        return {
            option.name: recorded[option.name]
            for option in self.options
            if not option.alone and option.name in recorded
        }

    def recorded_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the record says of the options."""
        said: dict[str, Any] = {}
        for option in self.options:
            value = options.get(option.name)
            if option.alone:
                said[option.name] = "all" if value is None else sorted(value)
            elif value:
                said[option.name] = value
        return said


def refusal_of(outcome: ItemOutcome) -> Refusal:
    """Return what is raised for a single object that was refused."""
    kinds: dict[str, type[Refusal]] = {"not_found": NotFound, "forbidden": Forbidden}
    return kinds.get(outcome.code, Conflict)(outcome.detail, code=outcome.code)
