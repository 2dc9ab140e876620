"""Projects, members, resources, the operation record: the ground the other apps stand on."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth.signals import user_login_failed
from django.db.models.signals import post_migrate, post_save, pre_save

from projects.ground.words import gettext_lazy


class ProjectsConfig(AppConfig):
    name = "projects"
    verbose_name = gettext_lazy("Projects")

    def ready(self) -> None:
        from axes.models import AccessAttempt  # models load after apps
        from django.contrib.auth.models import User

        from projects import signals
        from projects.administration.logins import keep_no_form

        post_migrate.connect(signals.ensure_default_group, sender=self)
        pre_save.connect(signals.note_password, sender=User)
        post_save.connect(signals.end_tokens, sender=User)
        user_login_failed.connect(signals.record_failed_login)
        pre_save.connect(keep_no_form, sender=AccessAttempt)
