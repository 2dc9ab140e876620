"""Telling the user what a verb did, or why it did nothing."""

from __future__ import annotations

from collections import Counter

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from projects.ground.refusals import Refusal
from projects.verbs.recording import BatchResult, ItemOutcome

MOST_LISTED = 10


def report(request: HttpRequest, result: BatchResult, done: str, noun: str) -> None:
    """Say what became of each `noun`; `done` is what was done to it, such as "terminated"."""
    succeeded, refused = result.succeeded, result.refused
    record = reverse("admin:projects_operation_change", args=[result.operation_id])
    if succeeded:
        text = format_html(
            '{} {} {}. <a class="tm-link" href="{}">Operation record</a>',
            f"{len(succeeded):,}",
            noun if len(succeeded) == 1 else f"{noun}s",
            done,
            record,
        )
        messages.success(request, text)
        details = Counter(one.detail for one in succeeded if one.detail)
        for detail, number in details.most_common(5):
            messages.info(request, f"{number:,} of them: {detail}")
    if refused:
        text = format_html(
            '{} {} left alone: <ul class="tm-outcomes">{}{}</ul>',
            f"{len(refused):,}",
            noun if len(refused) == 1 else f"{noun}s",
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
        'Nothing was done: <ul class="tm-outcomes">{}</ul>',
        format_html_join("", "<li>{}: {}</li>", faults),
    )
    messages.error(request, text)


def _listed(outcomes: list[ItemOutcome]) -> list[tuple[str, str]]:
    return [(one.label or f"#{one.id}", one.detail) for one in outcomes[:MOST_LISTED]]


def _rest(outcomes: list[ItemOutcome], record: str) -> str:
    rest = Counter(one.detail or one.code for one in outcomes[MOST_LISTED:])
    return format_html_join(
        "",
        '<li>… and <a class="tm-link" href="{}">{} more</a>: {}</li>',
        ((record, f"{number:,}", detail) for detail, number in rest.most_common(5)),
    )
