"""Logs over the API: page by page while they grow, or all of it as a text (I11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from instances.logs.reading import LogPage, read_log
from instances.models import Execution

_MOST_DIGITS = 9


def log_position(request: Request) -> int:
    """Return the position that was asked for; raise ValidationError at `position`."""
    text = request.query_params.get("position", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise ValidationError({"position": [_("Must be a number from 0 on.")]})
    return int(text)


def log_answer(execution_id: int | None, request: Request) -> Response:
    """Answer with a page of the log; without an execution it is empty and not finished."""
    position = log_position(request)
    page = LogPage("", position, False)
    if execution_id is not None:
        page = read_log(execution_id, position=position)
    answer: dict[str, Any] = {
        "execution": execution_id,
        "text": page.text,
        "next_position": page.next_position,
        "finished": page.finished,
    }
    return Response(answer)


def log_download(execution: Execution) -> StreamingHttpResponse:
    """Answer with all of the log that there is now, as a text file."""
    response = StreamingHttpResponse(_texts(execution.pk), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="execution-{execution.pk}.log"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _texts(execution_id: int) -> Iterator[bytes]:
    position = 0
    while (page := read_log(execution_id, position=position)).next_position > position:
        yield page.text.encode()
        position = page.next_position
