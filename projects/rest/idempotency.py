"""`Idempotency-Key` on creating calls: a repeated call gets the first answer again (P4)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import sight
from projects.ground import clock
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.refusals import Conflict, Invalid, NotFound
from projects.models import IdempotencyKey

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT_FOR = timedelta(days=1)
MAX_LENGTH = 200

KEY_PARAMETER = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Any text of up to 200 characters. A call repeated under the same key within a "
    "day creates nothing and gets the first answer again.",
)

Action = Callable[..., Response]


def idempotent(action: Action) -> Action:
    """Make a creating action of a viewset heed the header; without one it is as it was."""

    @wraps(action)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return action(view, request, *args, **kwargs)
        if not (1 <= len(key) <= MAX_LENGTH and key.isascii() and key.isprintable()):
            message = _("Must have 1 to {count} printable ASCII characters.")
            raise Invalid.from_pairs([(HEADER, message.format(count=MAX_LENGTH))])
        return _once(key, lambda: action(view, request, *args, **kwargs), view, request)

    return once


@repeat_on_deadlock
@transaction.atomic
def _once(key: str, act: Callable[[], Response], view: Any, request: Request) -> Response:
    # The row comes first: of two calls at once the second waits here for the first one's commit.
    # A refused call raises, takes its row along, and may be repeated.
    now = clock.now()
    IdempotencyKey.objects.filter(created_at__lt=now - KEPT_FOR).delete()
    text = json.dumps([request.method, request.path, request.data], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert request.user.pk is not None  # anonymous calls end before
    row, is_new = IdempotencyKey.objects.get_or_create(
        user_id=request.user.pk, key=key, defaults={"request_digest": digest, "created_at": now}
    )
    if not is_new:
        if row.request_digest != digest:
            problem = _("This key was used for another request.")
            raise Conflict(problem, code="key_reused")
        if row.project_id and not sight(request.user).sees(row.project_id):
            raise NotFound(_("There is no such project, or you are not a member of it."))
        return Response(row.answer, status=row.status, headers={REPLAYED: "true"})
    response = act()
    row.status, row.answer = response.status_code, _plain(response.data)
    row.project_id = _project_of(view, row.answer, request.data)
    row.save(update_fields=["status", "answer", "project"])
    return response


def _project_of(view: Any, answer: Any, body: Any) -> int | None:
    """The project that an answer is of: it names it, is it, or the body does; None: of nobody's."""
    if view.noun == "project":
        return int(answer["id"])
    named = answer.get("project", body.get("project"))
    if isinstance(named, dict):
        named = named["id"]
    return None if named is None else int(named)


def _plain(data: Any) -> Any:
    return json.loads(JSONRenderer().render(data))
