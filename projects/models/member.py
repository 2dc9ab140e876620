"""A user's role in a project."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from projects.models.project import Project
from projects.roles import Role


class Member(models.Model):
    """One user in one project, with one role."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="members", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["project_id", "user_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"],
                name="one_membership_per_user",
                violation_error_message="This user is a member of the project already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()} of {self.project}"
