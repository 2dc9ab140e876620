"""Every address of the product: the admin is the front door, the API stands beside it."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from config import failing
from config.console import palette
from config.watching import health
from config.watching.metrics import metrics
from projects.admin.login import login

handler403 = "config.failing.forbidden"
handler404 = "config.failing.missing"
handler500 = "config.failing.failed"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("language/", set_language, name="set_language"),
    path("favicon.ico", failing.favicon, name="favicon"),
    path("admin/login/", login),  # instead of the one among the next
    path("admin/search/", admin.site.admin_view(palette.search)),  # instead of Unfold's
    path("admin/", admin.site.urls),
    path("api/v1/", include("config.api_router")),
    path("health/live/", health.live, name="health-live"),
    path("health/ready/", health.ready, name="health-ready"),
    path("health/ready/<slug:part>/", health.ready, name="health-ready-part"),
    path("metrics", metrics, name="metrics"),
]
