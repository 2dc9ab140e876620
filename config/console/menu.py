"""How the admin looks and what its sidebar leads to. Imported by the settings: no models here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

from projects.ground.words import gettext_lazy


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_superuser


def _style(name: str) -> Callable[[HttpRequest], str]:
    return lambda request: static(f"tidemill/css/{name}.css")


def _item(title: str, icon: str, url_name: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{url_name}"), **more}


# What a sheet stands on comes before it.
STYLES = (
    "tokens",
    "page",
    "table",
    "form",
    "badge",
    "bar",
    "graph",
    "matrix",
    "timeline",
    "log",
)

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Tidemill",
    "SITE_HEADER": "Tidemill",
    "SITE_SUBHEADER": gettext_lazy("Data operations"),
    "SITE_SYMBOL": "water",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("tidemill/icon.svg"),
        }
    ],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "config.console.home.dashboard",
    "STYLES": [_style(name) for name in STYLES],
    "COLORS": {
        "primary": {
            "50": "oklch(97.2% .013 222)",
            "100": "oklch(94.2% .03 222)",
            "200": "oklch(89% .055 222)",
            "300": "oklch(81.5% .095 222)",
            "400": "oklch(72.5% .125 225)",
            "500": "oklch(62% .13 230)",
            "600": "oklch(53% .125 235)",
            "700": "oklch(45.5% .11 238)",
            "800": "oklch(39% .09 240)",
            "900": "oklch(34% .075 242)",
            "950": "oklch(25% .055 244)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [_item(gettext_lazy("Overview"), "monitoring", "index")],
            },
            {
                "title": gettext_lazy("Operations"),
                "separator": True,
                "items": [
                    _item(gettext_lazy("Instances"), "stacks", "instances_instance_changelist"),
                    _item(
                        gettext_lazy("Backfill plans"), "event_repeat", "backfill_plan_changelist"
                    ),
                    _item(gettext_lazy("Tasks"), "task_alt", "workflows_task_changelist"),
                    _item(
                        gettext_lazy("Workflows"), "account_tree", "workflows_workflow_changelist"
                    ),
                    _item(
                        gettext_lazy("Operation record"), "history", "projects_operation_changelist"
                    ),
                ],
            },
            {
                "title": gettext_lazy("Set up"),
                "separator": True,
                "items": [
                    _item(gettext_lazy("Projects"), "domain", "projects_project_changelist"),
                    _item(gettext_lazy("Folders"), "folder", "workflows_folder_changelist"),
                    _item(
                        gettext_lazy("Resource groups"),
                        "memory",
                        "projects_resourcegroup_changelist",
                    ),
                    _item(
                        gettext_lazy("Data sources"), "database", "projects_datasource_changelist"
                    ),
                    _item(
                        gettext_lazy("Users"),
                        "group",
                        "auth_user_changelist",
                        permission=_is_superuser,
                    ),
                    _item(gettext_lazy("API tokens"), "key", "knox_authtoken_changelist"),
                    {
                        "title": "API",
                        "icon": "api",
                        "link": "/api/v1/docs/",
                    },
                ],
            },
        ],
    },
}
