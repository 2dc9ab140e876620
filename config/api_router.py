"""The routes of the REST API (design §10)."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from backfill.api import routes as backfill
from instances.api import routes as instances
from projects.api import routes as projects
from workflows.api import routes as workflows


@extend_schema(exclude=True)
class NowhereView(APIView):
    """Answers every address that the API does not have, in the API's shape of errors."""

    permission_classes = [AllowAny]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        raise NotFound(_("The API has no such address; all of them end with a slash."))

    def get(self, request: Request) -> Response:
        raise NotImplementedError  # never reached: `initial` refuses


router = SimpleRouter()
for app in (projects, workflows, instances, backfill):
    app.register(router)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include(projects.urlpatterns)),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("", include(router.urls)),
    re_path("", NowhereView.as_view(), name="nowhere"),
]
