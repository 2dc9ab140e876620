"""All verbs there are: whatever the modules of an app's `verbs` declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from inspect import cleandoc
from pkgutil import iter_modules
from typing import Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from projects.verbs.recording import ItemOutcome
from projects.verbs.verb import Noun, Verb

_nouns: dict[str, Noun] = {}
_verbs: dict[tuple[str, str], Verb] = {}


def declare(
    noun: Noun,
    key: str,
    *,
    title: str,
    done: str,
    icon: str,
    warning: str,
    effects: Mapping[Any, str],
    **more: Any,
) -> Callable[[Callable[..., Iterable[ItemOutcome]]], Verb]:
    """Make a verb of the function that does it to a selection; see `Verb`.

    The first of two declarations of one key counts as a mistake: the second raises ValueError.
    """

    def make(run: Callable[..., Iterable[ItemOutcome]]) -> Verb:
        if (noun.plural, key) in _verbs:
            raise ValueError(f"There are two verbs {noun.plural} {key}.")
        verb = Verb(
            noun=noun,
            key=key,
            title=title,
            done=done,
            icon=icon,
            warning=warning,
            effects=effects,
            run=run,
            description=cleandoc(run.__doc__ or ""),
            **more,
        )
        _verbs[noun.plural, key] = verb
        add_noun(noun)
        return verb

    return make


def add_noun(noun: Noun) -> Noun:
    """Let a noun be found that has no verbs but those of its parts."""
    _nouns[noun.plural] = noun
    return noun


def all_nouns() -> list[Noun]:
    """Return everything that verbs act on, by name."""
    _load()
    return [_nouns[plural] for plural in sorted(_nouns)]


def all_verbs() -> list[Verb]:
    """Return every verb, in the order in which they are shown."""
    _load()
    return sorted(_verbs.values(), key=lambda verb: (verb.noun.plural, verb.place, verb.key))


def verbs_of(noun: Noun) -> list[Verb]:
    """Return the verbs of a noun, in the order in which they are shown."""
    return [verb for verb in all_verbs() if verb.noun is noun.acted_on]


def find_verb(noun: Noun, key: str) -> Verb | None:
    """Return a verb by its key."""
    _load()
    return _verbs.get((noun.acted_on.plural, key))


def find_recorded(name: str) -> Verb | None:
    """Return a verb by its name in the operation record."""
    return next((verb for verb in all_verbs() if verb.recorded == name), None)


@cache
def _load() -> None:
    """Import every module in which verbs may be declared."""
    for app in apps.get_app_configs():
        if app.module is None or not module_has_submodule(app.module, "verbs"):
            continue
        package = import_module(f"{app.name}.verbs")
        for module in iter_modules(getattr(package, "__path__", ())):
            import_module(f"{package.__name__}.{module.name}")
