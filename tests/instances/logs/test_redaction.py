"""Secrets do not get through, however the text is cut (P5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.logs.redaction import MASK, Redactor

pytestmark = pytest.mark.feature("P5")


def test_secrets_are_masked_also_as_they_stand_in_a_url() -> None:
    redactor = Redactor(["p@ss word", "longer-secret", "longer"])
    assert redactor.redact("a p@ss word b p%40ss%20word c p%40ss+word") == "a *** b *** c ***"
    assert redactor.redact("longer-secret longer-sec") == "*** ***-sec"


def test_passwords_of_addresses_are_masked() -> None:
    redact = Redactor().redact
    assert redact("postgresql://u:pw@db/x") == "postgresql://u:***@db/x"
    assert redact("redis://:pw@h http://u:p@w@h/") == "redis://:***@h http://u:***@h/"
    assert redact("http://u@h/ http://h:80/a@b mail a@b") == "http://u@h/ http://h:80/a@b mail a@b"


def test_very_short_values_are_no_secrets() -> None:
    assert Redactor(["", "a", "ab"]).redact("ab") == "ab"


_SECRETS = ("s3cret", "s3cret-and-more", "abab", "x:y", "two\nlines")
_PIECES = st.sampled_from(
    [*_SECRETS, "s3", "cret", "aba", "b", "://u:pw12@h", "://", "u:pw12", "@", ":", "/", " ", "\n"]
)


@given(st.lists(_PIECES, max_size=12).map("".join), st.lists(st.integers(1, 9), max_size=30))
def test_pieces_give_the_same_as_the_whole(text: str, sizes: list[int]) -> None:
    redactor = Redactor(_SECRETS)
    out, pending, rest = "", "", text
    for size in sizes:
        pending, rest = pending + rest[:size], rest[size:]
        safe = redactor.safe_length(pending)
        out, pending = out + redactor.redact(pending[:safe]), pending[safe:]
    out += redactor.redact(pending + rest)
    assert out == redactor.redact(text)
    if MASK not in out:
        assert not any(secret in text for secret in _SECRETS)
