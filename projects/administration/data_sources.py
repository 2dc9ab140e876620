"""Making, changing and deleting data sources; passwords are written and never shown (P5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from projects.access import Actor, require, scope
from projects.administration.saving import save_checked
from projects.models import DataSource
from projects.operations import ItemOutcome, record
from projects.refusals import Invalid, NotFound
from projects.roles import Right

FIELDS = frozenset({"name", "url", "password", "description"})


@transaction.atomic
def create_data_source(*, actor: Actor, project_id: int, values: Mapping[str, Any]) -> DataSource:
    """Make a data source of `values` (keys of FIELDS); raise NotFound, Forbidden or Invalid."""
    require(actor, project_id, Right.ADMINISTER)
    source = DataSource(project_id=project_id)
    _fill(source, values)
    save_checked(source, unique_field="name")
    _record(actor, "data_sources.create", source, values)
    return source


@transaction.atomic
def update_data_source(
    *, actor: Actor, data_source_id: int, values: Mapping[str, Any]
) -> DataSource:
    """Change the fields in `values`; a password that is not among them stays."""
    source = _find(actor, data_source_id)
    if values:
        _fill(source, values)
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
        return "Must be an SQLAlchemy URL such as postgresql+psycopg://user@host/database."
    if parsed.password is not None or any("passw" in key.lower() for key in parsed.query):
        return "Leave the password out of the URL: it has a field of its own."
    return None


def _find(actor: Actor, data_source_id: int) -> DataSource:
    source = scope(DataSource.objects.all(), actor).filter(pk=data_source_id).first()
    if source is None:
        raise NotFound("There is no such data source in your projects.")
    require(actor, source.project_id, Right.ADMINISTER)
    return source


def _fill(source: DataSource, values: Mapping[str, Any]) -> None:
    unknown = sorted(values.keys() - FIELDS)
    if unknown:
        raise Invalid.from_pairs([(field, "A data source has no such field.") for field in unknown])
    if "url" in values and (fault := url_fault(values["url"])):
        raise Invalid.from_pairs([("url", fault)])
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
