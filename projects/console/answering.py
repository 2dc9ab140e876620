"""Telling the user what a verb did, or why it did nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _

from projects.ground.refusals import Refusal
from projects.ground.words import thousands
from projects.verbs.recording import BatchResult, ItemOutcome

MOST_LISTED = 10


def report(
    request: HttpRequest, result: BatchResult, done: str, counted: Callable[[int], str]
) -> None:
    """Say what became of the objects: 3 instances (`counted`) terminated (`done`)."""
    succeeded, refused = result.succeeded, result.refused
    record = reverse("admin:projects_operation_change", args=[result.operation_id])
    if succeeded:
        text = format_html(
            '{} <a class="tm-link" href="{}">{}</a>',
            _("{objects} {done}.").format(objects=counted(len(succeeded)), done=done),
            record,
            _("Operation record"),
        )
        messages.success(request, text)
        details = Counter(one.detail for one in succeeded if one.detail)
        for detail, number in details.most_common(5):
            told = _("{count} of them: {detail}").format(count=thousands(number), detail=detail)
            messages.info(request, told)
    if refused:
        text = format_html(
            '{} <ul class="tm-outcomes">{}{}</ul>',
            _("{objects} left alone:").format(objects=counted(len(refused))),
            format_html_join("", "<li>{}: {}</li>", _listed(refused)),
            _rest(refused, record),
        )
        messages.warning(request, text)


def refuse(request: HttpRequest, refusal: Refusal) -> None:
    """Say why a verb did nothing, with every fault."""
    faults = [
        (field, message) for field, messages_ in refusal.fields.items() for message in messages_
    ]
    if len(faults) <= 1:
        messages.error(request, refusal.detail)
        return
    text = format_html(
        '{} <ul class="tm-outcomes">{}</ul>',
        _("Nothing was done:"),
        format_html_join("", "<li>{}: {}</li>", faults),
    )
    messages.error(request, text)


def _listed(outcomes: list[ItemOutcome]) -> list[tuple[str, str]]:
    return [(one.label or f"#{one.id}", one.detail) for one in outcomes[:MOST_LISTED]]


def _rest(outcomes: list[ItemOutcome], record: str) -> str:
    rest = Counter(one.detail or one.code for one in outcomes[MOST_LISTED:])
    return format_html_join(
        "",
        '<li><a class="tm-link" href="{}">{}</a>: {}</li>',
        (
            (record, _("… and {count} more").format(count=thousands(number)), detail)
            for detail, number in rest.most_common(5)
        ),
    )
