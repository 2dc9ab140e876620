"""Making, changing and deleting data sources; passwords are written and never shown (P5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

from django.db import transaction
from django.utils.translation import gettext as _
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from projects.access import Actor, is_unbounded, require, scope
from projects.administration.saving import save_checked
from projects.ground.refusals import Invalid, NotFound
from projects.ground.words import gettext_lazy
from projects.models import DataSource
from projects.roles import Right
from projects.verbs.recording import ItemOutcome, record

FIELDS = frozenset({"name", "url", "password", "description"})

# Options of drivers that hold a secret, also inside an ODBC connection string.
_SECRET = re.compile(r"(?i)passw|\bpwd\b|\bsecret\b|access_?token")
# Options that read a file of the machine or open a socket of it, and those that name a host.
_LOCAL = frozenset({"unix_socket", "unix_sock", "service", "passfile", "read_default_file"})
_HOSTS = ("host", "hostaddr")
_SERVER = re.compile(r"(?i)\b(server|addr|address)\s*=\s*[^;\s]")
_FILES = frozenset({"sqlite", "duckdb", "access"})
_OF_THE_MACHINE = gettext_lazy(
    "Must have a host: files and sockets of the machine are for administrators of the installation."
)
_ASKED_AGAIN = gettext_lazy("Give it again: host, port, user or options of the URL have changed.")


@transaction.atomic
def create_data_source(*, actor: Actor, project_id: int, values: Mapping[str, Any]) -> DataSource:
    """Make a data source of `values` (keys of FIELDS); raise NotFound, Forbidden or Invalid."""
    require(actor, project_id, Right.ADMINISTER)
    source = DataSource(project_id=project_id)
    _fill(source, values, actor)
    save_checked(source, unique_field="name")
    _record(actor, "data_sources.create", source, values)
    return source


@transaction.atomic
def update_data_source(
    *, actor: Actor, data_source_id: int, values: Mapping[str, Any]
) -> DataSource:
    """Change the fields in `values`; a password that is not among them stays.

    It must be among them when the URL leads elsewhere: nobody sends a password that they do not
    know to a place of their own.
    """
    source = _find(actor, data_source_id)
    if values:
        _fill(source, values, actor)
        save_checked(source, unique_field="name", only=list(values))
        _record(actor, "data_sources.update", source, values)
    return source


@transaction.atomic
def delete_data_source(*, actor: Actor, data_source_id: int) -> None:
    """Delete a data source; tasks that name it say so when they are next submitted or run."""
    source = _find(actor, data_source_id)
    _record(actor, "data_sources.delete", source, {})
    source.delete()


def url_fault(url: str) -> str | None:
    """Return what is wrong with a data source's URL, or None."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return _("Must be an SQLAlchemy URL such as postgresql+psycopg://user@host/database.")
    options = parsed.normalized_query.items()
    texts = [text for name, values in options for text in (name, *values)]
    if parsed.password is not None or any(_SECRET.search(unquote_plus(text)) for text in texts):
        return _("Leave the password out of the URL: it has a field of its own.")
    return None


def is_of_the_machine(url: str) -> bool:
    """Return whether the URL is a file or a socket of the machine that the task runs on."""
    parsed = make_url(url)
    if parsed.get_backend_name() in _FILES:
        return parsed.database not in (None, "", ":memory:")
    options = parsed.normalized_query
    named = [parsed.host or "", *(host for name in _HOSTS for host in options.get(name, ()))]
    hosts = [host for names in named for host in names.split(",") if host]
    odbc = any(_SERVER.search(unquote_plus(text)) for text in options.get("odbc_connect", ()))
    local = any(name.lower() in _LOCAL for name in options)
    return local or not (hosts or odbc) or any(unquote(host)[0] in "/@" for host in hosts)


def _address(url: str) -> tuple[object, ...]:
    """What says where a password goes: everything but the name of the database."""
    parsed = make_url(url)
    return parsed.drivername, parsed.username, parsed.host, parsed.port, parsed.normalized_query


def _find(actor: Actor, data_source_id: int) -> DataSource:
    source = scope(DataSource.objects.all(), actor).filter(pk=data_source_id).first()
    if source is None:
        raise NotFound(_("There is no such data source in your projects."))
    require(actor, source.project_id, Right.ADMINISTER)
    return source


def _fill(source: DataSource, values: Mapping[str, Any], actor: Actor) -> None:
    unknown = sorted(values.keys() - FIELDS)
    if unknown:
        problem = _("A data source has no such field.")
        raise Invalid.from_pairs([(field, problem) for field in unknown])
    if "url" in values and (fault := url_fault(values["url"])):
        raise Invalid.from_pairs([("url", fault)])
    if "url" in values and values["url"] != source.url:
        if is_of_the_machine(values["url"]) and not is_unbounded(actor):
            raise Invalid.from_pairs([("url", _OF_THE_MACHINE)])
        moves = bool(source.password) and _address(values["url"]) != _address(source.url)
        if moves and "password" not in values:
            raise Invalid.from_pairs([("password", _ASKED_AGAIN)], code="password_needed")
    for field, value in values.items():
        setattr(source, field, value)


def _record(actor: Actor, verb: str, source: DataSource, values: Mapping[str, Any]) -> None:
    options = dict(values)
    if "password" in options:
        options["password"] = "(changed)"
    record(
        actor=actor,
        verb=verb,
        object_type="data_source",
        project_id=source.project_id,
        options=options,
        outcomes=[ItemOutcome(source.pk, label=source.name)],
    )
