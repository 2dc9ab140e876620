"""Token authentication that answers any broken token with 401."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework.exceptions import AuthenticationFailed


class TokenAuthentication(KnoxAuthentication):
    """`Authorization: Token <token>`; tokens are stored hashed and expire (P4)."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        # Tokens are printable ASCII; anything else would fail in the codec or in the database.
        if not token.isascii() or not token.decode("ascii").isprintable():
            raise AuthenticationFailed(_("Invalid token."))
        return super().authenticate_credentials(token)
