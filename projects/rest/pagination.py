"""Pages of the API's short lists: numbered, with the number of rows."""

from __future__ import annotations

from typing import Any

from django.core.paginator import InvalidPage
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request

PAGE_SIZE = 50
MOST_ROWS = 500


def read_page_size(request: Request) -> int:
    """Return the page size that was asked for; raise ValidationError at `page_size`."""
    text = request.query_params.get("page_size", str(PAGE_SIZE))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_ROWS):
        raise ValidationError({"page_size": [_up_to(MOST_ROWS)]})
    return int(text)


def _up_to(number: int) -> str:
    return _("Must be a number from 1 to {number}.").format(number=number)


class PagePagination(PageNumberPagination):
    """Numbered pages; `page_size` up to 500."""

    page_size = PAGE_SIZE
    page_size_query_param = "page_size"
    max_page_size = MOST_ROWS
    parameters = frozenset({"page", "page_size"})

    def get_page_size(self, request: Request) -> int:
        return read_page_size(request)

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        self.request = request
        paginator = self.django_paginator_class(queryset, self.get_page_size(request))
        number = request.query_params.get(self.page_query_param, "1")
        try:
            self.page = paginator.page(number)
        except InvalidPage as error:
            last = paginator.num_pages
            raise ValidationError({"page": [_up_to(last)]}) from error
        return list(self.page)
