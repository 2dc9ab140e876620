"""Users: making and changing them, and what ends with their passwords (P1, P4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Left
from django.utils.translation import gettext as _
from knox.models import AuthToken

from projects.access import Actor, is_unbounded
from projects.ground import clock
from projects.ground.refusals import Forbidden, NotFound
from projects.verbs.acting import acting_user
from projects.verbs.recording import ItemOutcome, record

NAME_LENGTH = 16  # of a token


@transaction.atomic
def save_user(*, actor: Actor, user: User, changed: Iterable[str]) -> None:
    """Save a user that a superuser made or changed; `changed` are the fields. Raises Forbidden."""
    if not is_unbounded(actor):
        raise Forbidden(_("Only superusers make and change users."))
    verb = "users.change" if user.pk else "users.make"
    shown = {field.name for field in User._meta.fields} - {"password"}
    values = {name: getattr(user, name) for name in sorted(shown.intersection(changed))}
    user.save()
    record_of_user(actor, verb, user, values)


def password_changed(user: User) -> None:
    """End the user's tokens, which the old password opened; sessions end by themselves."""
    ended, _models = AuthToken.objects.filter(user=user).delete()
    record_of_user(acting_user(), "users.change_password", user, {"tokens_ended": ended})


def tokens_of(actor: Actor) -> QuerySet[AuthToken]:
    """Return the tokens that `actor` may see and revoke: their own, for a superuser all.

    `name` is what they are called: the beginning of the digest, which tells nothing of the token.
    """
    tokens = AuthToken.objects.select_related("user").annotate(name=Left("digest", NAME_LENGTH))
    tokens = tokens.filter(Q(expiry=None) | Q(expiry__gt=clock.now()))
    return tokens if is_unbounded(actor) else tokens.filter(user=actor)


@transaction.atomic
def make_token(user: User) -> tuple[AuthToken, str]:
    """Make a token for who has just logged in; return it with its text, shown this once.

    Raises Forbidden when the password has been changed since then: its tokens have ended by now.
    """
    known = User.objects.select_for_update(no_key=True).filter(pk=user.pk, password=user.password)
    if not known.exists():
        raise Forbidden(_("Your password has just been changed: log in again."))
    token, text = AuthToken.objects.create(user=user)
    record_of_user(user, "tokens.make", user, {"token": token.digest[:NAME_LENGTH]})
    return token, text


@transaction.atomic
def revoke_tokens(*, actor: Actor, names: Collection[str]) -> int:
    """Delete tokens by their names; return how many. Raises NotFound for one of somebody else."""
    tokens = list(tokens_of(actor).filter(name__in=names).select_for_update(of=("self",)))
    if not set(names) <= {token.name for token in tokens}:
        raise NotFound(_("There is no such token among yours."))
    record(
        actor=actor,
        verb="tokens.revoke",
        object_type="user",
        outcomes=[
            ItemOutcome(token.user_id, label=token.user.get_username(), detail=token.name)
            for token in tokens
        ],
    )
    AuthToken.objects.filter(pk__in=[token.pk for token in tokens]).delete()
    return len(tokens)


def record_of_user(actor: Actor, verb: str, user: User, options: dict[str, Any]) -> None:
    """Write the record of what happened to a user."""
    record(
        actor=actor,
        verb=verb,
        object_type="user",
        options=options,
        outcomes=[ItemOutcome(user.pk, label=user.get_username())],
    )
