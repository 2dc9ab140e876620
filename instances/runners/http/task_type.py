"""HTTP tasks: what they may be told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from projects.ground.fields.faults import FieldError
from projects.ground.fields.field import Field, Kind
from projects.ground.words import gettext_lazy
from workflows.definitions.task_types import TaskType

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def url_problem(url: str) -> str | None:
    """Return why no request can go to an address, or None."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _port = parts.port
    except ValueError as error:
        return f"{str(error).rstrip('.')}."
    return None if usable else _("Must be an address that begins with http:// or https://.")


def _url_faults(url: str) -> Iterable[FieldError]:
    # With a parameter still in it, it is judged when it runs.
    if "${" not in url and (problem := url_problem(url)):
        yield "", problem


def _header_faults(headers: Mapping[str, str]) -> Iterable[FieldError]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or "\n" in value or "\r" in value:
            yield name, _("Is not a header: a name and a text on one line.")


HTTP = TaskType(
    name="http",
    label=gettext_lazy("HTTP"),
    help=gettext_lazy("A request to a host that the project allows."),
    runner="instances.runners.http.runner:HttpRunner",
    config=(
        Field(
            name="method",
            label=gettext_lazy("Method"),
            help=gettext_lazy("The request's method."),
            kind=Kind.CHOICE,
            default="GET",
            choices=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
        ),
        Field(
            name="url",
            label=gettext_lazy("Url"),
            help=gettext_lazy(
                "The address, parameters filled in: https://api.example.com/d/${bizdate}."
            ),
            required=True,
            max_length=4000,
            rule=_url_faults,
        ),
        Field(
            name="headers",
            label=gettext_lazy("Headers"),
            help=gettext_lazy("Header names and values."),
            kind=Kind.TEXTS,
            rule=_header_faults,
        ),
        Field(
            name="body",
            label=gettext_lazy("Body"),
            help=gettext_lazy("What is sent: a text, or a list or mapping for JSON."),
            kind=Kind.JSON,
            max_length=1_000_000,
        ),
        Field(
            name="expected_status",
            label=gettext_lazy("Expected status"),
            help=gettext_lazy("The statuses that count as success: 204, 200-299 (the default)."),
            kind=Kind.LIST,
            numbers=True,
            pattern=(
                r"[1-5][0-9]{2}(-[1-5][0-9]{2})?",
                gettext_lazy("Must be a status such as 204 or a range such as 200-299."),
            ),
        ),
        Field(
            name="timeout",
            label=gettext_lazy("Timeout"),
            help=gettext_lazy("Seconds until the answer has to be there."),
            kind=Kind.INTEGER,
            default=60,
            minimum=1,
            maximum=3600,
        ),
    ),
)
