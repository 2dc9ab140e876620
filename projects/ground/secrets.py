"""Encryption of secrets at rest (P5): Fernet, newest key first, older keys still read."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class SecretUnreadable(Exception):
    """A secret was encrypted with a key that TIDEMILL_KEYS no longer has."""


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.TIDEMILL_KEYS])


def encrypt(text: str) -> str:
    """Return `text` encrypted with the newest key; the empty text stays empty."""
    return _cipher().encrypt(text.encode()).decode() if text else ""


def decrypt(token: str) -> str:
    """Return the text of `token`; raise SecretUnreadable when no key fits."""
    if not token:
        return ""
    try:
        return _cipher().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable("A secret cannot be read with the keys in TIDEMILL_KEYS.") from error


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database and plain on the instance."""

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return encrypt(prepared) if prepared else prepared

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value) if value else value
