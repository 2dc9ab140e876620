"""Verbs in the admin: actions of a list, buttons of a page, what will happen, and what did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext as _
from django_filters import FilterSet

from projects.console.answering import report
from projects.console.filtering import filter_rows
from projects.console.logged_out import not_saved, take_kept
from projects.console.rights import may
from projects.console.scoped import ScopedAdmin
from projects.console.zone import use_zone_of
from projects.verbs import background
from projects.verbs.catalogue import find_verb, verbs_of
from projects.verbs.selecting import promise
from projects.verbs.verb import Noun, Verb

MOST_LISTED = 20


class VerbPages(ScopedAdmin):
    """Pages of objects with verbs: those of `noun` stand in the list and lead to one page."""

    verb_noun: Noun

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        parts = self.verb_noun.parts
        told = _("{verb} {objects} …") if parts else _("{verb} …")
        objects = parts.model._meta.verbose_name_plural if parts else ""
        own = {
            name: (_beginning(verb), name, told.format(verb=verb.title, objects=objects))
            for verb in verbs_of(self.verb_noun)
            for name in [f"{verb.name}_chosen"]
            if may(request, verb.right)
        }
        return own | super().get_actions(request)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_operate"
        view = self.admin_site.admin_view(self.operate)
        return [path("operate/<str:key>/", view, name=name), *super().get_urls()]

    def buttons(
        self, request: HttpRequest, pk: int, project_id: int, state: Any
    ) -> list[dict[str, Any]]:
        """Return the verbs for the head of an object's page, each with whether its state allows it.

        Of opposites only the one that is allowed.
        """
        is_any = self.verb_noun.parts is not None
        query = urlencode({"ids": str(pk), "next": self.url("change", pk)})
        return [
            {
                "verb": verb,
                "allowed": is_any or state in verb.effects,
                "url": f"{self.url('operate', verb.key)}?{query}",
                "state": state,
            }
            for verb in verbs_of(self.verb_noun)
            if may(request, verb.right, project_id)
            # What acts on parts is offered where these are shown.
            and not any(option.alone for option in verb.options)
            and (is_any or not verb.alternate or state in verb.effects)
        ]

    def operate(self, request: HttpRequest, key: str) -> HttpResponse:
        """GET shows what would happen to `ids`; POST does it and goes back.

        Instead of ids there may be what is `matching` the `filter` of a list's address.
        """
        if (kept := take_kept(request)) is not None:
            # It stands there again as it was typed, and has to be confirmed anew.
            kept.pop("confirmed", None)
            request.method, request.POST = "POST", kept  # type: ignore[assignment]
            self.message_user(request, not_saved().detail, messages.WARNING)
        noun, verb, ids = self.verb_noun, find_verb(self.verb_noun, key), read_ids(request)
        if verb is None:
            raise Http404
        back = self._back(request, ids)
        if not ids and "matching" not in request.POST:
            return HttpResponseRedirect(back)
        chosen: Any = ids
        if not ids:
            data = QueryDict(request.POST.get("filter", ""))
            chosen = filter_rows(self._filterset, request, self.get_queryset(request), data)
        if request.method != "POST" or "confirmed" not in request.POST:
            if not ids:
                return self.confirm(request, verb, [], back, matching=chosen)
            return self.begin(request, verb, ids, back)
        options: dict[str, Any] = {}
        for option in verb.options:
            if option.kind == "text":
                options[option.name] = request.POST.get(option.name, "").strip()
            elif f"{option.name}_listed" in request.POST:
                options[option.name] = numbers(request.POST.getlist(option.name))
                if not options[option.name]:
                    messages.error(request, option.nothing_chosen)
                    return self.begin(request, verb, ids, back)
        result = self.attempt(
            request, partial(background.operate, verb, noun), chosen=chosen, **options
        )
        if result is not None and result.pending:
            page = reverse("admin:projects_operation_change", args=[result.operation_id])
            return HttpResponseRedirect(page)
        if result is not None:
            report(request, result, verb.done, verb.noun.counted)
        return HttpResponseRedirect(back)

    @property
    def _filterset(self) -> type[FilterSet]:
        assert self.filterset is not None, f"{type(self)} has verbs and no filterset"
        return self.filterset

    def begin(
        self, request: HttpRequest, verb: Verb, ids: Sequence[int], back: str
    ) -> HttpResponse:
        """Return the page that says what the verb would do to the objects, or to their parts."""
        noun = self.verb_noun
        if noun.parts is None:
            return self.confirm(request, verb, ids, back)
        rows = self.get_queryset(request).filter(pk__in=ids).order_by()
        parts = noun.part_rows(rows).order_by("pk").values_list("pk", flat=True)
        acted_on: Any = self.admin_site.get_model_admin(noun.acted_on.model)
        return acted_on.confirm(request, verb, list(parts), back)

    def confirm(
        self,
        request: HttpRequest,
        verb: Verb,
        ids: Sequence[int],
        back: str,
        matching: QuerySet[Any] | None = None,
    ) -> HttpResponse:
        """Return the page that says what the verb would do, and to how many; `back` leads away.

        matching: rows of the list as it is filtered, instead of ids.
        """
        noun, model = verb.noun, verb.noun.model._default_manager
        if matching is None:
            chosen, asked = model.filter(pk__in=ids), len(set(ids))
        else:
            chosen, asked = model.filter(pk__in=matching.order_by().values("pk")), None
        promised = promise(verb, actor=request.user, rows=chosen, asked=asked)
        use_zone_of(promised.project_ids)
        acting = noun.with_state(chosen.filter(project__in=promised.project_ids)).filter(
            verb_state__in=list(promised.acting)
        )
        rows = noun.rows(list(acting.order_by("pk").values_list("pk", flat=True)[:MOST_LISTED]))
        context = {
            "opts": self.opts,
            "verb": verb,
            "what": _("{verb} {objects}").format(
                verb=verb.spoken, objects=noun.counted(promised.total)
            ),
            "promise": promised,
            "acting": [
                (state, number, verb.effects[state]) for state, number in promised.acting.items()
            ],
            "in_background": promised.asked > background.AT_ONCE,
            "ids": ",".join(map(str, ids)),
            "matching": matching is not None,
            "filter": request.POST.get("filter", request.GET.urlencode()),
            "next": back,
            "action": self.url("operate", verb.key),
            "texts": [
                (option, request.POST.get(option.name) or request.GET.get(option.name, ""))
                for option in verb.options
                if option.kind == "text"
            ],
            "listed": [(row, pk, self.url("change", pk)) for pk, row in sorted(rows.items())],
            **self.verb_context(request, verb, chosen),
        }
        return self.page(request, "tidemill/verb/confirm.html", verb.title, context)

    def verb_context(self, request: HttpRequest, verb: Verb, rows: QuerySet[Any]) -> dict[str, Any]:
        """Return what else the page says: `extra` names a template that shows it."""
        return {}

    def _back(self, request: HttpRequest, ids: list[int]) -> str:
        """Return where to go afterwards: where the user came from, else to the object or list."""
        wanted = request.POST.get("next") or request.GET.get("next") or ""
        if wanted:
            safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
            return wanted if safe else self.url("changelist")
        is_one = len(ids) == 1 and self.get_queryset(request).filter(pk=ids[0]).exists()
        return self.url("change", ids[0]) if is_one else self.url("changelist")


def _beginning(verb: Verb) -> Callable[[VerbPages, HttpRequest, QuerySet[Any]], HttpResponse]:
    def begin(model_admin: VerbPages, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        back = request.get_full_path()
        ids = queryset.order_by("pk").values_list("pk", flat=True)
        if model_admin.verb_noun.parts is not None:
            return model_admin.begin(request, verb, list(ids), back)
        few = list(ids[: background.AT_ONCE + 1])
        if len(few) <= background.AT_ONCE:
            return model_admin.begin(request, verb, few, back)
        return model_admin.confirm(request, verb, [], back, matching=queryset)

    return begin


def read_ids(request: HttpRequest) -> list[int]:
    """Return the ids of the request's `ids`: "1,2,3"."""
    written = request.POST.get("ids") or request.GET.get("ids", "")
    return numbers(written.split(","))


def numbers(written: Iterable[str]) -> list[int]:
    """Return what are ids among the texts."""
    return [int(one) for one in written if one.isascii() and one.isdigit() and len(one) <= 18]
