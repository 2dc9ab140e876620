"""The API's one shape of errors: {"code", "detail", "fields"} (design §10)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import OperationalError
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as default_handler

from projects.ground.bulk import is_held
from projects.ground.refusals import Coded, Invalid, Refusal
from projects.ground.words import thousands


def _body(code: str, detail: str, fields: dict[str, list[str]] | None = None) -> dict[str, Any]:
    shown = {
        _storable(path): [_storable(message) for message in messages]
        for path, messages in (fields or {}).items()
    }
    return {"code": code, "detail": _storable(detail), "fields": shown}


def _storable(text: str) -> str:
    """Return a text that UTF-8 can hold: JSON can name halves of characters, and we quote it."""
    return text.encode("utf-8", "replace").decode()


def _flatten(detail: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(detail, dict):
        pairs = []
        for key, value in detail.items():
            name = "" if key in {"non_field_errors", "__all__"} else str(key)
            pairs += _flatten(value, ".".join(part for part in (path, name) if part))
        return pairs
    if isinstance(detail, list):
        pairs = []
        for index, value in enumerate(detail):
            nested = isinstance(value, dict | list)
            pairs += _flatten(value, f"{path}.{index}" if nested and path else path)
        return pairs
    if getattr(detail, "code", "") == "max_length":
        return [(path, Coded(detail, f"{path.rpartition('.')[2]}_too_long"))]
    return [(path, str(detail))]


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn refusals, validation errors and REST framework's errors into the one shape."""
    if isinstance(error, Refusal):
        return Response(_body(error.code, error.detail, error.fields), status=error.status)
    if isinstance(error, OperationalError) and is_held(error):
        busy = _("Somebody is changing this just now; try again.")
        return Response(_body("busy", busy), status=503)
    if isinstance(error, ModelValidationError):
        detail = error.message_dict if hasattr(error, "error_dict") else error.messages
        error = exceptions.ValidationError(detail)
    if isinstance(error, RequestDataTooBig):
        limit = _("A request has at most {count} bytes.")
        limit = limit.format(count=thousands(settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
        return Response(_body("too_large", limit), status=413)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = default_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return response
    if isinstance(error, exceptions.ValidationError):
        pairs = _flatten(error.detail) or [("", _("Invalid input."))]
        refusal = Invalid.from_pairs(pairs)
        response.data = _body(refusal.code, refusal.detail, refusal.fields)
    else:
        response.data = _body(str(error.get_codes()), str(error.detail))
    return response
