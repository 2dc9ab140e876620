"""What a page may load and run: the header Content-Security-Policy.

The setting has the shape of Django 6's own, whose middleware takes the place of this one. Why the
policy is as it is: docs/decisions/content-policy.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from django.conf import settings
from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"


class ContentSecurityPolicyMiddleware:
    """Write the policy of SECURE_CSP on every answer that has none of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.policy = spell(settings.SECURE_CSP)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault(HEADER, self.policy)
        return response


def spell(policy: Mapping[str, Sequence[str]]) -> str:
    """Return a policy of {directive: sources} as the header has it."""
    return "; ".join(f"{directive} {' '.join(sources)}" for directive, sources in policy.items())
