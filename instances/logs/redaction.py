"""Takes secrets out of text that arrives in pieces (feature P5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
# Shorter values would take whole logs apart, and tell themselves by doing so.
MIN_SECRET: Final = 3

# The password in scheme://user:password@host. It may hold anything but white space, a slash or
# quotes; the last @ before those ends it.
_URL_PASSWORD: Final = re.compile(r"(://[^\s/:@'\"]{0,256}:)([^\s/'\"]{1,1024})(?=@)")
# The end of a text that may become such an address when more of it comes.
_URL_START: Final = re.compile(r"(?::/{0,2}|://[^\s/'\"]{0,1300})\Z")
# No address that is looked at is longer.
_URL_WINDOW: Final = 1400


class Redactor:
    """Masks the secrets it was given, and the passwords of all addresses.

    Secrets are also found in the form in which they stand in a URL.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {
            form
            for secret in secrets
            if len(secret) >= MIN_SECRET
            for form in (secret, quote(secret, safe=""), quote_plus(secret))
        }
        # The longest first: of two secrets, one may be the beginning of the other.
        self._forms = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._forms))) if forms else None
        self.longest = len(self._forms[0]) if forms else 0

    def redact(self, text: str) -> str:
        """The text with every secret masked; secrets that overlap get one mask."""
        spans = [found.span() for found in self._pattern.finditer(text)] if self._pattern else []
        if "://" in text:
            # Looked for in the text as it came: a mask put in before could look like an address.
            spans += [found.span(2) for found in _URL_PASSWORD.finditer(text)]
        if not spans:
            return text
        pieces: list[str] = []
        end = 0
        for start, stop in sorted(spans):
            if start >= end:
                pieces += [text[end:start], MASK]
            end = max(end, stop)
        return "".join(pieces) + text[end:]

    def safe_length(self, text: str) -> int:
        """How much of the text can be redacted now, whatever comes after it.

        The rest may be the beginning of a secret and has to wait for more.
        """
        safe = len(text)
        if self._pattern is not None:
            # Whole secrets at the end are no beginnings, but a longer one may begin with one.
            for start in range(max(0, len(text) - self.longest + 1), len(text)):
                tail = text[start:]
                if any(len(form) > len(tail) and form.startswith(tail) for form in self._forms):
                    safe = start
                    break
        window = max(0, len(text) - _URL_WINDOW)
        if (match := _URL_START.search(text, window)) is not None:
            safe = min(safe, match.start())
        return self.before_secret(text, safe)

    def before_secret(self, text: str, cut: int) -> int:
        """The cut, moved to the front of any secret that it would go through."""
        while True:
            moved = cut
            if self._pattern is not None:
                for match in self._pattern.finditer(text, max(0, cut - self.longest)):
                    if match.start() < cut < match.end():
                        moved = match.start()
                        break
            for match in _URL_PASSWORD.finditer(text, max(0, moved - _URL_WINDOW)):
                # The @ behind the password belongs to the match, too.
                if match.start() < moved <= match.end():
                    moved = match.start()
                    break
            if moved == cut:
                return cut
            cut = moved
