"""A user's role in a project."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext as _

from projects.ground.words import gettext_lazy
from projects.models.project import Project
from projects.roles import Role


class Member(models.Model):
    """One user in one project, with one role."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="members", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=gettext_lazy("user"),
        on_delete=models.CASCADE,
        related_name="memberships",
    )
    role = models.CharField(
        gettext_lazy("role"), max_length=16, choices=Role.choices, default=Role.VIEWER
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = gettext_lazy("member")
        verbose_name_plural = gettext_lazy("members")
        ordering = ["project_id", "user_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"],
                name="one_membership_per_user",
                violation_error_message=gettext_lazy(
                    "This user is a member of the project already."
                ),
            ),
        ]

    def __str__(self) -> str:
        member = _("{user} · {role} of {project}")
        role = self.get_role_display()
        return member.format(user=self.user, role=role, project=self.project)
