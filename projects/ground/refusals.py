"""What a verb raises when it will not do what it was asked: one shape for API, admin and commands.

Each refusal has a machine-readable `code`, a sentence for people and, where a field is at fault,
messages by field path. Nothing has been changed when one is raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _


class Coded(str):
    """A message about a field with a code of its own, for machines."""

    code: str

    def __new__(cls, message: str, code: str = "") -> Coded:  # copies name the message alone
        coded = super().__new__(cls, message)
        coded.code = code
        return coded


class Refusal(Exception):
    """The request was refused."""

    status = 400
    code = "refused"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        fields: Mapping[str, list[str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = str(detail)  # it may have been declared, for readers of any language
        self.code = code or self.code
        self.fields = dict(fields or {})


class Invalid(Refusal):
    """The input is wrong: `fields` says where."""

    code = "invalid"

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]], *, code: str | None = None) -> Invalid:
        """Make one refusal of (field path, message) pairs; the first one is its sentence.

        Its code is the one that all messages share, where none is given.
        """
        fields: dict[str, list[str]] = {}
        codes = set()
        for field, message in pairs:
            said = message if isinstance(message, str) else str(message)
            fields.setdefault(field, []).append(said)
            codes.add(message.code if isinstance(message, Coded) else None)
        if code is None and len(codes) == 1:
            code = codes.pop()
        first_field, messages = next(iter(fields.items()))
        detail = f"{first_field}: {messages[0]}" if first_field else messages[0]
        return cls(detail, fields=fields, code=code)


class Forbidden(Refusal):
    """The user is a member, and their role does not allow it."""

    status = 403
    code = "forbidden"


class NotFound(Refusal):
    """There is no such object in the projects that the user sees."""

    status = 404
    code = "not_found"


class Conflict(Refusal):
    """The object's present state does not allow it."""

    status = 409
    code = "conflict"


class Outdated(Conflict):
    """Somebody saved another revision meanwhile: `revision` is the present one.

    `fields` has the lines of a diff for each field that differs, from what is saved to what was
    sent.
    """

    code = "changed_meanwhile"

    def __init__(self, revision: str, *, fields: Mapping[str, list[str]]) -> None:
        super().__init__(
            _(
                "Somebody changed it since you opened it; nothing was saved. Lines with - are what "
                "is saved now, lines with + what you sent."
            ),
            fields=fields,
        )
        self.revision = revision

    @property
    def spoken(self) -> str:
        """What a form says that may be sent once more, with the present revision."""
        return _("{detail} Save again to save yours all the same.").format(detail=self.detail)
