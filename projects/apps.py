"""Projects, members, resources, the operation record: the ground the other apps stand on."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ProjectsConfig(AppConfig):
    name = "projects"
    verbose_name = "Projects"

    def ready(self) -> None:
        from projects.signals import ensure_default_group  # models load after apps

        post_migrate.connect(ensure_default_group, sender=self)
