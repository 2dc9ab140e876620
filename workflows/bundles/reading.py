"""Reading YAML into plain data that knows the line of every field. Pure.

Less than all of YAML, on purpose. Plain scalars are read as YAML 1.2 reads them: `12:30`, `on` and
`2010-07-01` are texts. Tags are refused, and keys are always texts. The text, the depth and what
aliases unfold to are bounded, so that no file costs more than its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.utils.translation import gettext as _

from projects.ground.fields.faults import join
from projects.ground.words import thousands

MAX_SIZE = 10_000_000
MAX_DEPTH = 20
MAX_NODES = 500_000

_INTEGER = re.compile(r"[-+]?[0-9]{1,4000}")  # Python reads no longer ones
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,400}|[0-9]{1,400}(\.[0-9]{0,400})?)([eE][-+]?[0-9]{1,4})?")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that YAML or this reading of it does not allow, at a line (from 1)."""

    line: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its data, and the line of each field by its path ("tasks.0.type")."""

    data: Any
    line: int
    lines: dict[str, int]

    def line_of(self, path: str) -> int:
        """Return the line of a field, or of the nearest thing around it that was written."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path, self.line)


def read_scalar(text: str) -> str | int | float | bool | None:
    """Return what a plain scalar stands for."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def read_documents(text: str) -> tuple[list[Document], list[Fault]]:
    """Return the documents of a file, empty ones left out, and what is wrong with the YAML."""
    if len(text) > MAX_SIZE:
        message = _("The file is larger than {most} characters.").format(most=thousands(MAX_SIZE))
        return [], [Fault(1, "", message)]
    reader = _Reader()
    loader = None
    try:
        loader = _LOADER(text)
        for event in _events(loader):
            reader.take(event)
    except _GaveUp:
        pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = error.problem or error.context
        message = _("This is not YAML: {problem}.") if problem else _("This is not YAML.")
        reader.faults.append(Fault(line, "", message.format(problem=problem)))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if error.position >= 0 else 1
        reader.faults.append(Fault(line, "", _("This is not YAML: a character is not allowed.")))
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        reader.faults.append(Fault(line, "", _("This is not YAML: a character is not allowed.")))
    finally:
        if loader is not None:
            loader.dispose()
    return reader.documents, reader.faults


# libyaml where the wheel has it: ten times faster, and its parser knows no recursion.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _events(loader: Any) -> Iterator[Any]:
    while loader.check_event():
        yield loader.get_event()


class _GaveUp(Exception):
    """Reading on makes no sense; the fault is noted."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    path: str
    anchor: str | None
    size: int = 1
    key: str | None = None  # a mapping's key whose value comes next
    skip: bool = False  # the value belongs to a key that was refused


@dataclass(slots=True)
class _Reader:
    """Builds documents from events, with a stack of its own instead of recursion."""

    documents: list[Document] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    _lines: dict[str, int] = field(default_factory=dict)
    _nodes: int = 0
    _root: Any = None
    _line: int = 1

    def take(self, event: Any) -> None:
        """Deal with the next event."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._anchors, self._lines, self._root, self._line = {}, {}, None, line
        elif isinstance(event, yaml.DocumentEndEvent):
            if self._root is not None:
                self.documents.append(Document(self._root, self._line, self._lines))
        elif isinstance(event, yaml.AliasEvent):
            self._take_alias(event, line)
        elif isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            closed = self._open.pop()
            if closed.anchor:
                self._anchors[closed.anchor] = (closed.value, closed.size)
            self._grow(closed.size)

    def _take_scalar(self, event: Any, line: int) -> None:
        self._count(1, line)
        if self._expects_key():
            self._take_key(event.value, line)
            return
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._refuse_tag(event, line)
        is_plain = event.tag is None and not event.style
        value = read_scalar(event.value) if is_plain else event.value
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._place(value, line)
        self._grow(1)

    def _take_alias(self, event: Any, line: int) -> None:
        if self._expects_key():
            self._give_up(line, _("An alias cannot be a key."))
        if event.anchor not in self._anchors:
            message = _("There is no anchor &{name} before this.").format(name=event.anchor)
            self._give_up(line, message)
        value, size = self._anchors[event.anchor]
        self._count(size, line)
        self._place(value, line)
        self._grow(size)

    def _begin(self, event: Any, line: int) -> None:
        self._count(1, line)
        if self._expects_key():
            self._give_up(line, _("A key must be a text."))
        if len(self._open) >= MAX_DEPTH:
            self._give_up(line, _("Nested deeper than {most} levels.").format(most=MAX_DEPTH))
        if event.tag is not None:
            self._refuse_tag(event, line)
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._place(value, line)
        self._open.append(_Open(value, path, event.anchor))

    def _take_key(self, key: str, line: int) -> None:
        top = self._open[-1]
        top.key = key
        path = join(top.path, key)
        top.skip = key in top.value
        if top.skip:
            first = self._lines.get(path, line)
            message = _("Given twice: first in line {line}.").format(line=first)
            self.faults.append(Fault(line, path, message))
        else:
            self._lines[path] = line

    def _place(self, value: Any, line: int) -> str:
        """Put a value where it belongs; return its path."""
        if not self._open:
            self._root, self._line = value, line
            return ""
        top = self._open[-1]
        if isinstance(top.value, list):
            path = join(top.path, len(top.value))
            self._lines[path] = line
            top.value.append(value)
            return path
        assert top.key is not None
        path = join(top.path, top.key)
        if not top.skip:
            top.value[top.key] = value
        top.key = None
        return path

    def _expects_key(self) -> bool:
        return (
            bool(self._open)
            and isinstance(self._open[-1].value, dict)
            and (self._open[-1].key is None)
        )

    def _count(self, size: int, line: int) -> None:
        self._nodes += size
        if self._nodes > MAX_NODES:
            message = _("The file holds more than {most} values.").format(most=thousands(MAX_NODES))
            self._give_up(line, message)

    def _grow(self, size: int) -> None:
        if self._open:
            self._open[-1].size += size

    def _refuse_tag(self, event: Any, line: int) -> None:
        message = _("Tags such as {tag} are not allowed.").format(tag=event.tag)
        self.faults.append(Fault(line, "", message))

    def _give_up(self, line: int, message: str) -> None:
        self.faults.append(Fault(line, "", message))
        raise _GaveUp
