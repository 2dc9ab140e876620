"""Every word for people stands in the catalogues, with the same places to fill in."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("config", "projects", "workflows", "events", "instances", "backfill")
# What is English whoever reads it: who runs commands and reads logs, metrics and the API's
# description works with the names in the code (docs/decisions/words.md).
ENGLISH = (
    "*/migrations/*",
    "*/management/commands/*",
    "config/checks.py",
    "config/settings/*",
    "config/embedded/*",
    "config/postgres_backend/*",
    "config/watching/*",
    "config/log_format.py",
    "config/celery*.py",
    "config/tasks.py",
    "backfill/tasks.py",
    "instances/tasks.py",
    "backfill/demo/*",
    # What is stored of an execution, and what is written into its log.
    "instances/engine/*",
    "instances/worker/*",
    "instances/logs/collecting.py",
    "instances/runners/*.py",
    "instances/runners/*/runner.py",
    "instances/runners/*/*child.py",
    "instances/runners/spawner/*",
    "instances/runners/sql/script.py",
    "projects/ground/threads.py",
    "projects/ground/fields/openapi.py",
    "projects/ground/fields/options.py",
    "projects/rest/verbs.py",
    # Tables of a terminal.
    "backfill/planning/preview_table.py",
    "backfill/reading/watching.py",
)
TRANSLATED = frozenset(
    [
        "_",
        "gettext",
        "gettext_lazy",
        "gettext_noop",
        "ngettext",
        "ngettext_lazy",
        "npgettext",
        "pgettext",
        "pgettext_lazy",
    ]
)
# Faults of the code itself, which no user sees as they are.
INTERNAL = frozenset(
    [
        "AssertionError",
        "AttributeError",
        "ImproperlyConfigured",
        "KeyError",
        "LookupError",
        "NotImplementedError",
        "OSError",
        "OverflowError",
        "RuntimeError",
        "SecretUnreadable",
        "SystemExit",
        "TypeError",
        "ValueError",
    ]
)
LOGS = {"debug", "info", "warning", "error", "exception", "critical"}
# Arguments that are words whatever is in them; and those that no page shows.
WORDS = frozenset(
    [
        "description",
        "done",
        "empty_text",
        "help",
        "help_text",
        "label",
        "phrase",
        "placeholder",
        "short_description",
        "title",
        "verbose_name",
        "verbose_name_plural",
        "warning",
    ]
)
SCHEMA = {"help_text", "description", "summary"}
_PROSE = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z“{]|^[A-Z][a-z]+\.$")
_SQL = re.compile(
    r"\b(SELECT|UPDATE|INSERT|WHERE|JOIN|DELETE|FROM|CREATE|ALTER|SET|VALUES|ORDER BY|CASE|COALESCE"
    r"|EXISTS|RETURNING|ANY|IS (NOT )?NULL|AND|OR|ON|NOT|FOR|COPY|LOCK|LOCKED|WHEN|IN|NULL)\b"
)
_HEADER = re.compile(r"^((text|application)/\w+; charset=|attachment; filename=)")
_CLASSES = re.compile(r"^tm-[a-z-]+( tm-[a-z-]+)*$")


def _text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return None


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _bare(tree: ast.AST, is_schema: bool, is_model: bool) -> Iterator[tuple[int, str]]:
    """Yield the words of a module that no catalogue has: (line, text)."""

    def look(node: ast.AST, argument: str = "") -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.Call):
            name = _name(node)
            if name in TRANSLATED or name in INTERNAL or name in ("getLogger", "cast", "warn"):
                return
            if isinstance(node.func, ast.Attribute) and name in LOGS:
                return
        if isinstance(node, ast.Dict) and is_schema:
            said = [
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if key is None or _text(key) not in SCHEMA
            ]
            node = ast.List(said)
        if isinstance(node, ast.Expr) and _text(node.value) is not None:
            return  # a docstring
        if isinstance(node, ast.Assert):
            return
        if isinstance(node, ast.keyword):
            argument = node.arg or ""
        text = _text(node) if isinstance(node, ast.expr) else None
        if text is not None:
            if argument in SCHEMA and (is_schema or (is_model and argument == "help_text")):
                return
            is_words = argument in WORDS and re.search("[A-Za-z]{2}", text) is not None
            if _is_markup(text):
                return
            is_code = _SQL.search(text) or _HEADER.search(text) or _CLASSES.search(text)
            if is_words or (_PROSE.search(text) and not is_code):
                yield node.lineno, text  # type: ignore[attr-defined]
            return
        for child in ast.iter_child_nodes(node):
            yield from look(child, argument if isinstance(node, ast.keyword) else "")

    yield from look(tree)


def _is_markup(text: str) -> bool:
    """Whether it is HTML without words, between its tags and in their attributes."""
    words = [re.sub("<[^>]*>|{[^}]*}", "", text), *_ATTRIBUTE.findall(text)]
    return "<" in text and not re.search("[A-Za-z]{2}", " ".join(words))


def _modules() -> Iterator[Path]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if not any(path.relative_to(ROOT).match(pattern) for pattern in ENGLISH):
                yield path


# Texts that look like words and are none, each with its reason.
NO_WORDS: dict[str, str] = {
    "YYYY-MM-DD.": "a form",
    "data source": "a name: `projects.ground.words.thing` says it",
    "data sources": "a name, in the API's description",
    "resource group": "a name: `projects.ground.words.thing` says it",
    "resource groups": "a name, in the API's description",
    "backfill plan": "a name: `projects.ground.words.thing` says it",
    "backfill plans": "a name, in the API's description",
    "error code": "a name: `projects.ground.words.thing` says it",
    "Used by tasks that name no other group.": "stored with the first group",
    "i.priority * -1, i.sort_key, i.scheduled_at, i.id": "SQL",
    '{cycle: day, at: "02:30"}': "YAML",
    "Send it with a change: 409 when somebody else was faster.": "the API's description",
    "an unknown name": "stored",
    "an operator": "stored with an instance: who terminated it",
    "execution {}": "the admin does not show it",
}


@pytest.mark.parametrize("app", APPS)
def test_every_sentence_of_the_code_is_in_the_catalogue(app: str) -> None:
    found = []
    for path in _modules():
        where = path.relative_to(ROOT)
        if where.parts[0] != app:
            continue
        # No page shows the help of a filter, only the API's description.
        is_schema = bool({"api", "rest", "filters.py", "filter_fields.py"} & set(where.parts))
        tree = ast.parse(path.read_text())
        is_model = bool({"models", "models.py"} & set(where.parts))
        for line, text in _bare(tree, is_schema, is_model):
            if text not in NO_WORDS:
                found.append(f"{where}:{line} {text!r}")
    assert found == []


_HIDDEN = re.compile(
    r"{%\s*comment.*?endcomment\s*%}|{#.*?#}|{%\s*blocktrans(?:late)?\b.*?endblocktrans(?:late)?\s*%}"
    r"|<script.*?</script>|<style.*?</style>|<!--.*?-->",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r'\b(?:title|aria-label|placeholder|alt|data-say-[a-z-]+)="([^"]*)"')
_TAG = re.compile(r'<(?:[^<>"]|"[^"]*")*>')
_ICON = re.compile(r'<span class="material-symbols-outlined[^"]*"[^>]*>[^<]*</span>')
_ARGUMENT = re.compile(r'{%\s*include\b[^%]*?\b(?:nothing|title|text|label)="([^"]*)"')
_DEFAULT = re.compile(r'\|(?:default|yesno|default_if_none|pluralize):"([^"]*)"')


def test_every_sentence_of_the_templates_is_in_the_catalogue() -> None:
    found = []
    for path in sorted((ROOT / "templates").rglob("*.html")):
        source = _ICON.sub("", _HIDDEN.sub("", path.read_text()))
        bare = re.sub(r"{[{%].*?[%}]}", "", source, flags=re.DOTALL)
        words = [*_ARGUMENT.findall(source), *_DEFAULT.findall(source), *_ATTRIBUTE.findall(bare)]
        words += _TAG.sub("\n", bare).split("\n")
        found += [
            f"{path.relative_to(ROOT)}: {text.strip()!r}"
            for text in words
            if re.search("[A-Za-z]{2}", re.sub("&[a-z]+;", "", text)) and "yyyy" not in text
        ]
        # A call stands in a tag: anywhere else it would be shown as it is.
        found += [f"{path.relative_to(ROOT)}: _(" for text in bare.split("\n") if "_(" in text]
    assert found == []


def _catalogue(language: str) -> dict[object, str]:
    with (ROOT / "projects/locale" / language / "LC_MESSAGES/django.mo").open("rb") as file:
        told = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {key: text for key, text in told.items() if key}


LANGUAGES = ("zh_Hans",)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_places_of_its_text(language: str) -> None:
    places = re.compile(r"{[a-z_]*}|%\([a-z_]+\)[sd]")
    texts: dict[str, tuple[str, str]] = {}
    for key, text in _catalogue(language).items():
        source, number = key if isinstance(key, tuple) else (key, None)
        texts[f"{source} {number}"] = str(source).split("\x04")[-1], text
    assert len(texts) > 1_000
    wrong = [
        f"{source!r}: {text!r}"
        for source, text in texts.values()
        # What is said of one thing may leave its number out; the one form of Chinese does not.
        if not set(places.findall(source)) <= set(places.findall(text))
    ]
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_code_has_a_translation(language: str) -> None:
    """Templates are looked at by .ci/messages.py, which needs GNU gettext."""
    known = {key[0] if isinstance(key, tuple) else key for key in _catalogue(language)}
    found = []
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or _name(node) not in TRANSLATED:
                continue
            texts = [_text(one) for one in node.args]
            if not texts or texts[0] is None:
                continue
            has_context = _name(node).startswith(("pgettext", "npgettext"))
            key = f"{texts[0]}\x04{texts[1]}" if has_context else texts[0]
            if key not in known:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {texts!r}")
    assert found == []
