"""A field, declared once: what it is called, what it may hold, how it is read and spelled out.

Options of plans and settings of task types are declared with it. From the declaration follow the
reader (here), the form's field (`forms`), the command's option (`options`), the OpenAPI schema
(`openapi`) and the text of a page (`Field.words`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from projects.ground.fields.faults import FieldError, join, quoted
from projects.ground.fields.reader import FieldReader
from projects.ground.words import gettext_lazy, listed, thousands


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"  # one or more lines
    INTEGER = "integer"  # a whole number between two bounds
    NUMBER = "number"  # any number between two bounds
    BOOLEAN = "boolean"  # true or false
    CHOICE = "choice"  # one of a list of texts
    LIST = "list"  # a list of texts; one may stand by itself
    TEXTS = "texts"  # a mapping of names to texts
    JSON = "json"  # a text, or a list or mapping that is sent as JSON
    DATA_SOURCE = "data_source"  # the name of a data source of the task's project
    IDS = "ids"  # a list of ids, each once
    DATE = "date"  # YYYY-MM-DD
    TIME = "time"  # a time of day, HH:MM
    OBJECT = "object"  # a mapping with fields of its own
    OBJECTS = "objects"  # a list of such mappings, at least one


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that may be chosen. `word` stands for it on the command line, else the value."""

    value: str
    label: str = ""
    help: str = ""
    word: str = ""


# What is wrong with a value, as (path inside of it, message); the path "" is the value itself.
Rule = Callable[[Any], Iterable[FieldError]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `help` is a sentence; where a value is the `default`, nobody need write it."""

    name: str = ""
    help: str
    label: str = ""
    kind: Kind = Kind.TEXT
    required: bool = False
    default: Any = None
    choices: tuple[Choice | str, ...] = ()
    minimum: int = 0
    maximum: int = 2**31 - 1
    unit: str = ""  # what the number counts, such as seconds
    max_length: int = 10_000
    max_items: int = 100
    # A regular expression for all of a text (of a LIST: of each item), and what it asks for.
    pattern: tuple[str, str] | None = None
    numbers: bool = False  # whether a LIST takes whole numbers beside texts
    not_with: str = ""  # the field that it may not stand beside
    # The field, and the values of it, with which alone this one means something.
    only_with: tuple[str, tuple[str, ...]] | None = None
    rule: Rule | None = None
    missing: str = gettext_lazy("This field is required.")
    too_many: tuple[str, str] | None = None  # the sentence, with {count} and {most}, and its code
    # Of an OBJECT and of each of OBJECTS: its fields, and what is made of their values. `make`
    # may refuse them at the reader.
    fields: tuple[Field, ...] = ()
    make: Callable[[FieldReader, dict[str, Any]], Any] | None = None
    option: str = ""  # its name on the command line, such as --order
    none: str = "–"  # what a page says when it has no value
    spelled: Callable[[Any], str] | None = None  # how a page writes it, where `words` cannot know

    @property
    def title(self) -> str:
        """What people call it."""
        return self.label or self.name.replace("_", " ").capitalize()

    @property
    def chosen_from(self) -> tuple[Choice, ...]:
        """The choices, each with value and label."""
        return tuple(one if isinstance(one, Choice) else Choice(one, one) for one in self.choices)

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Return whether it means something beside the values of the other fields."""
        return self.only_with is None or values.get(self.only_with[0]) in self.only_with[1]

    def read(self, fields: FieldReader) -> Any:
        """Return the value in its normal form; the default when it is absent or wrong."""
        raw = fields.raw(self.name)
        if raw is None:
            if self.required:
                fields.refuse(self.name, self.missing)
            return self.default
        before = len(fields.errors)
        value = self._read(fields, raw)
        if len(fields.errors) == before and self.rule is not None:
            for path, message in self.rule(value):
                fields.refuse(join(self.name, path) if path else self.name, message)
        return self.default if len(fields.errors) > before else value

    def _read(self, fields: FieldReader, raw: Any) -> Any:
        match self.kind:
            case Kind.INTEGER:
                return fields.integer(
                    self.name,
                    None,
                    minimum=self.minimum,
                    maximum=self.maximum,
                    unit=self.unit,
                )
            case Kind.NUMBER:
                return fields.number(self.name, 0, minimum=self.minimum, maximum=self.maximum)
            case Kind.BOOLEAN:
                return fields.boolean(self.name)
            case Kind.CHOICE:
                choices = {str(one.value): one.value for one in self.chosen_from}
                return choices.get(fields.text(self.name, choices=choices))
            case Kind.LIST:
                return self._read_list(fields, raw)
            case Kind.TEXTS:
                return fields.texts(self.name, max_items=self.max_items, max_length=self.max_length)
            case Kind.IDS:
                return fields.ids(self.name, max_items=self.max_items)
            case Kind.DATE:
                return fields.date(self.name)
            case Kind.TIME:
                return fields.time(self.name)
            case Kind.OBJECT:
                return self._read_object(fields, self.name, raw)
            case Kind.OBJECTS:
                return self._read_objects(fields, raw)
            case Kind.JSON if isinstance(raw, list | dict):
                return raw
            case _:
                return fields.text(
                    self.name,
                    required=self.required,
                    max_length=self.max_length,
                    pattern=self.pattern,
                )

    def _read_list(self, fields: FieldReader, raw: Any) -> list[str | int]:
        one = not isinstance(raw, list | tuple)
        found: list[str | int] = []
        allowed = (str, int) if self.numbers else (str,)
        items = [raw] if one else fields.sequence(self.name, max_items=self.max_items)
        for index, item in enumerate(items):
            where = f"{self.name}.{index}"
            if isinstance(item, bool) or not isinstance(item, allowed):
                quotes = _("Must be a text: put it in quotes.")
                wrong = _("Must be a text or a whole number.") if self.numbers else quotes
                fields.refuse(where, wrong)
            elif len(str(item)) > self.max_length:
                most = thousands(self.max_length)
                fields.refuse(where, _("At most {count} characters.").format(count=most))
            elif self.pattern and not re.fullmatch(self.pattern[0], str(item)):
                fields.refuse(where, self.pattern[1])
            else:
                found.append(item)
        return found

    def _read_objects(self, fields: FieldReader, raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, list | tuple) or not raw:
            fields.refuse(self.name, self.missing)
            return ()
        if len(raw) > self.max_items and self.too_many is not None:
            sentence, code = self.too_many
            fields.refuse(
                self.name,
                sentence.format(count=thousands(len(raw)), most=thousands(self.max_items)),
                code,
            )
            return ()
        items = fields.sequence(self.name, max_items=self.max_items)
        return tuple(
            self._read_object(fields, f"{self.name}.{index}", item)
            for index, item in enumerate(items)
        )

    def _read_object(self, fields: FieldReader, name: str, raw: Any) -> Any:
        before = len(fields.errors)
        inner = fields.inner(name, "" if raw is None else raw, [one.name for one in self.fields])
        if not isinstance(raw, Mapping):
            return None
        values = {one.name: one.read(inner) for one in self.fields}
        if len(fields.errors) > before:
            return None
        return self.make(inner, values) if self.make else values

    def plain(self, value: Any) -> Any:
        """Return a value as JSON has it: what `read` reads back as an equal one."""
        if value is None:
            return None
        match self.kind:
            case Kind.OBJECT:
                inner = {one: getattr(value, one.name) for one in self.fields}
                return {
                    one.name: one.plain(item)
                    for one, item in inner.items()
                    if one.required or item != one.default
                }
            case Kind.OBJECTS:
                one = dataclasses.replace(self, kind=Kind.OBJECT)
                return [one.plain(item) for item in value]
        if isinstance(value, Enum):
            return value.value
        if isinstance(value, dt.time):
            return f"{value:%H:%M}"
        if isinstance(value, dt.date):
            return value.isoformat()
        if isinstance(value, float) and value == int(value):
            return int(value)
        return list(value) if isinstance(value, tuple) else value

    def words(self, value: Any) -> str:
        """Return how a page writes a value, as `plain` gives it."""
        if value in (None, "", [], {}, ()):
            return self.none
        if self.spelled is not None:
            return self.spelled(value)
        match self.kind:
            case Kind.CHOICE:
                labels = {str(one.value): one.label for one in self.chosen_from}
                return labels.get(str(value), "") or str(value)
            case Kind.BOOLEAN:
                return _("yes") if value else _("no")
            case Kind.IDS:
                chosen = ngettext("{count} chosen", "{count} chosen", len(value))
                return chosen.format(count=thousands(len(value)))
            case Kind.LIST:
                return listed(value)
        return str(value)


def declare(field: Field) -> Any:
    """Declare an attribute of a dataclass as a field of its name; required ones have no default."""
    metadata = {"field": field}
    if field.required:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=field.default, metadata=metadata)


def declared(kind: type[Any]) -> tuple[Field, ...]:
    """Return the fields that a dataclass declares, in its order."""
    return tuple(
        dataclasses.replace(one.metadata["field"], name=one.name)
        for one in dataclasses.fields(kind)
        if "field" in one.metadata
    )


def given(fields: Iterable[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are neither empty nor the field's default."""
    return {
        field.name: values[field.name]
        for field in fields
        if values[field.name] not in (None, field.default, "", [], {}, ())
    }


def misplaced(fields: Iterable[Field], values: Mapping[str, Any]) -> Iterable[FieldError]:
    """Yield the faults of values that may not stand beside others, or only beside others."""
    fields = tuple(fields)
    there = given(fields, values)
    for field in fields:
        if field.name not in there:
            continue
        if field.not_with in there:
            said = _("May not stand beside “{name}”.")
            yield field.name, said.format(name=field.not_with)
        if field.only_with is not None and not field.applies(values):
            name, wanted = field.only_with
            said = _("Stands only where {name} is {values}.")
            yield field.name, said.format(name=name, values=quoted(wanted))
