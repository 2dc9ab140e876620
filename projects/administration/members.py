"""Making users members of a project, changing their roles, taking them out (P1)."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.translation import gettext as _

from projects.access import Actor, require, scope
from projects.administration.saving import save_checked
from projects.ground.refusals import Conflict, Invalid, NotFound
from projects.models import Member, Project
from projects.roles import Right, Role
from projects.verbs.recording import ItemOutcome, record


@transaction.atomic
def add_member(*, actor: Actor, project_id: int, username: str, role: str) -> Member:
    """Make a user a member; raise NotFound, Forbidden or Invalid."""
    require(actor, project_id, Right.ADMINISTER)
    user = get_user_model().objects.filter(username=username, is_active=True).first()
    if user is None:
        problem = _("There is no active user “{name}”.").format(name=username)
        raise Invalid.from_pairs([("user", problem)])
    member = Member(project_id=project_id, user=user, role=role)
    save_checked(member, unique_field="user")
    _record(actor, "members.add", member)
    return member


@transaction.atomic
def change_role(*, actor: Actor, member_id: int, role: str) -> Member:
    """Give a member another role; raise NotFound, Forbidden, Invalid or Conflict."""
    member = _find(actor, member_id)
    if role not in Role.values:
        raise Invalid.from_pairs([("role", _("“{role}” is not a role.").format(role=role))])
    if role != Role.ADMINISTRATOR:
        _keep_an_administrator(member)
    member.role = role
    member.save(update_fields=["role"])
    _record(actor, "members.change_role", member)
    return member


@transaction.atomic
def remove_member(*, actor: Actor, member_id: int) -> None:
    """Take a member out of the project; raise NotFound, Forbidden or Conflict."""
    member = _find(actor, member_id)
    _keep_an_administrator(member)
    _record(actor, "members.remove", member)
    member.delete()


def _find(actor: Actor, member_id: int) -> Member:
    visible = scope(Member.objects.select_related("user"), actor)
    member = visible.filter(pk=member_id).first()
    if member is None:
        raise NotFound(_("There is no such member in your projects."))
    require(actor, member.project_id, Right.ADMINISTER)
    return member


def _keep_an_administrator(member: Member) -> None:
    # The project's row is the lock: two administrators cannot take each other out at once.
    Project.objects.select_for_update(no_key=True).get(pk=member.project_id)
    others = Member.objects.filter(project=member.project_id, role=Role.ADMINISTRATOR)
    if member.role == Role.ADMINISTRATOR and not others.exclude(pk=member.pk).exists():
        raise Conflict(
            _("This is the project's last administrator: appoint another one first."),
            code="last_administrator",
        )


def _record(actor: Actor, verb: str, member: Member) -> None:
    record(
        actor=actor,
        verb=verb,
        object_type="member",
        project_id=member.project_id,
        options={"user": member.user.get_username(), "role": str(member.role)},
        outcomes=[ItemOutcome(member.pk, label=member.user.get_username())],
    )
