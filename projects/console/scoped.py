"""The base of all pages of the admin: rows of the user's projects, rights by role, one verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.db.models.fields.related import ForeignKey
from django.forms import ModelChoiceField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django_filters import FilterSet
from unfold.admin import ModelAdmin
from unfold.decorators import display

from projects.access import projects_with, scope
from projects.console.answering import refuse
from projects.console.extensions import columns_of, load_columns, panels_of
from projects.console.filtering import Choices, filters_of, search_rows
from projects.console.logged_out import not_saved, take_kept
from projects.console.paging import BoundedPaginator
from projects.console.rights import may, may_enter
from projects.console.zone import use_zone_of
from projects.ground.refusals import Outdated, Refusal
from projects.ground.words import gettext_lazy
from projects.models import Project
from projects.roles import Right


def record_url(object_type: str, object_id: Any) -> str:
    """Return the page with the operation record of an object."""
    query = urlencode({"object_type": object_type, "object_id": object_id})
    return f"{reverse('admin:projects_operation_changelist')}?{query}"


class Crumb:
    """An object under another title, for the breadcrumbs above its page."""

    def __init__(self, obj: Model, title: str) -> None:
        self._meta, self.pk, self.title = obj._meta, obj.pk, title

    def __str__(self) -> str:
        return self.title


class RefusedForm:
    """A form whose verb refused its values: the refusal's messages stand at their fields."""

    refusal: Refusal

    def full_clean(self) -> None:
        super().full_clean()  # type: ignore[misc]
        form: Any = self
        if not form.is_bound:
            return
        placed = False
        if isinstance(self.refusal, Outdated):
            # Who has seen what differs may save all the same.
            form.data = form.data.copy()
            form.data["revision"] = self.refusal.revision
            form.add_error(None, self.refusal.spoken)
        for path, faults in self.refusal.fields.items():
            for fault in faults:
                name, message = self.place(path, fault)
                form.add_error(name if name in form.fields else None, message)
                placed = True
        if not placed:
            form.add_error(None, self.refusal.detail)

    def place(self, path: str, message: str) -> tuple[str | None, str]:
        """Return the form's field for a path of the refusal, and the message to show there."""
        form: Any = self
        if hasattr(form, "place_fault"):
            return form.place_fault(path, message)
        name, _, rest = path.partition(".")
        return name, f"{rest}: {message}" if rest else message


class ScopedAdmin(ModelAdmin):
    """Shows rows of the user's projects; what changes them is a verb that checks rights itself.

    `project_path` leads from the model to its project ("" for the project itself, None for what
    belongs to nobody). A right that is None is nobody's: the pages do not offer it.
    """

    project_path: str | None = "project"
    add_right: Right | None = None
    change_right: Right | None = None
    delete_right: Right | None = None

    filterset: type[FilterSet] | None = None
    shown_filters: Mapping[str, str] = {}
    filter_choices: Mapping[str, Choices] = {}
    # What a phone shows of a row (the first three columns), and what stands where rows would be.
    phone_columns: Sequence[str] = ()
    empty_text = gettext_lazy("Nothing here yet.")
    search_help_text = gettext_lazy("Part of a name, or an id; several with | between them")

    compressed_fields = True
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    list_max_show_all = 200
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    actions_on_bottom = False
    save_on_top = False
    view_on_site = False
    empty_value_display = "–"
    change_form_before_template = "tidemill/hidden_fields.html"

    # --- rows ----------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = load_columns(self.model, super().get_queryset(request))
        if self.project_path is None:
            return rows
        return scope(rows, request.user, path=self.project_path)

    def project_id_of(self, obj: Model) -> int | None:
        """Return the project that the object belongs to."""
        found: Any = obj
        if not self.project_path:
            return obj.pk if self.project_path == "" else None
        for step in self.project_path.split("__"):
            found = getattr(found, f"{step}_id") if step == "project" else getattr(found, step)
        return found

    def get_list_filter(self, request: HttpRequest) -> Sequence[Any]:
        if self.filterset is None:
            return super().get_list_filter(request)
        return filters_of(self.filterset, self.shown_filters, self.filter_choices)

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        has_search = self.filterset is not None and "search" in self.filterset.base_filters
        return ["pk"] if has_search else super().get_search_fields(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        if self.filterset is None:
            return super().get_search_results(request, queryset, search_term)
        return search_rows(self.filterset, request, queryset, search_term), False

    def get_list_display(self, request: HttpRequest) -> Sequence[Any]:
        return [*super().get_list_display(request), *columns_of(self.model)]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = str(capfirst(self.opts.verbose_name_plural))
        response = super().changelist_view(request, {"title": title, **(extra_context or {})})
        changelist = (getattr(response, "context_data", None) or {}).get("cl")
        if changelist is not None and not (changelist.has_active_filters or changelist.query):
            changelist.full_result_count = changelist.result_count  # it is all there is
        return response

    @display(description="")
    def action_checkbox(self, obj: Model) -> SafeString:
        return format_html(
            '<input type="checkbox" name="_selected_action" value="{}" class="action-select"'
            ' aria-label="{}">',
            obj.pk,
            _("Select"),
        )

    # --- rights --------------------------------------------------------------------------------

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_enter(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_enter(request)  # which rows is get_queryset's to say

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.add_right is not None and may(request, self.add_right)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._has(request, self.change_right, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._has(request, self.delete_right, obj)

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For actions with permissions=["operate"]."""
        return self._has(request, Right.OPERATE, obj)

    def has_develop_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For actions with permissions=["develop"]."""
        return self._has(request, Right.DEVELOP, obj)

    def _has(self, request: HttpRequest, right: Right | None, obj: Any) -> bool:
        if right is None:
            return False
        return may(request, right, self.project_id_of(obj) if isinstance(obj, Model) else None)

    def require_object(
        self, request: HttpRequest, object_id: Any, right: Right | None = None
    ) -> Any:
        """Return an object of the user's projects; 404 without it, 403 without the right."""
        obj = self.get_object(request, unquote(str(object_id)))
        if obj is None:
            told = _("There is no {noun} {id} in your projects.")
            raise Http404(told.format(noun=self.opts.verbose_name, id=object_id))
        if right is not None and not self._has(request, right, obj):
            raise PermissionDenied
        if (project_id := self.project_id_of(obj)) is not None:
            use_zone_of([project_id])
        return obj

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # deletes without a verb
        return actions

    # --- forms ---------------------------------------------------------------------------------

    def formfield_for_foreignkey(
        self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField | None:
        if db_field.remote_field.model is Project and self.add_right is not None:
            kwargs["queryset"] = projects_with(request.user, self.add_right)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        refusal = getattr(request, "refusal", None)
        if refusal is None:
            return form
        return type(form.__name__, (RefusedForm, form), {"refusal": refusal})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show or save the form; what its verb refuses is shown at the fields, nothing is saved."""
        if (kept := take_kept(request)) is not None:
            # As if it had been refused: it is shown as it was typed, and cannot be saved this time.
            request.method, request.POST = "POST", kept  # type: ignore[assignment]
            request.refusal = not_saved()  # type: ignore[attr-defined]
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Refusal as refusal:  # everything has been rolled back
            request.refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        if change:
            self.update(request, obj, form)
            return
        created = self.create(request, form)
        for field in created._meta.concrete_fields:
            setattr(obj, field.attname, getattr(created, field.attname))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        for formset in formsets:
            self.save_formset(request, form, formset, change=change)

    def create(self, request: HttpRequest, form: Any) -> Model:
        """Call the verb that makes an object of the form's values."""
        raise PermissionDenied

    def update(self, request: HttpRequest, obj: Model, form: Any) -> None:
        """Call the verb that changes the object to the form's values."""
        raise PermissionDenied

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Call the verb that deletes the object."""
        raise PermissionDenied

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except Refusal as refusal:
            refuse(request, refusal)
            return HttpResponseRedirect(self.url("change", object_id))

    def get_deleted_objects(
        self, objs: Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        # What goes with an object is its verb's to say; nothing is collected row by row.
        return [str(obj) for obj in objs], {}, set(), []

    # The operation record is the only record there is: the verbs write it.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_deletion(self, request: HttpRequest, obj: Any, object_repr: str) -> None:
        return None

    def log_deletions(self, request: HttpRequest, queryset: QuerySet) -> None:
        return None

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the operation record of the object."""
        return HttpResponseRedirect(record_url(self.record_type, object_id))

    @property
    def record_type(self) -> str:
        """The name of the model in the operation record."""
        return self.opts.verbose_name_raw.replace(" ", "_")

    # --- pages ---------------------------------------------------------------------------------

    def url(self, name: str, *args: Any) -> str:
        """Return the address of a page of this model: "changelist", "change", …"""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=args)

    def page(
        self,
        request: HttpRequest,
        template: str,
        title: str,
        context: Mapping[str, Any],
        *,
        of: Model | None = None,
    ) -> TemplateResponse:
        """Return a page in the admin's frame; `opts` and `original` make its breadcrumbs.

        `of` is the object that it is the page of: what other apps add to such pages is shown.
        """
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "title": title,
                "page_opts": self.opts,
                "model_admin": self,
                "is_popup": IS_POPUP_VAR in request.GET,
                "changelist_url": self.url("changelist"),
                "panels": panels_of(self.model, of.pk) if of is not None else (),
                **context,
            },
        )

    def attempt(self, request: HttpRequest, verb: Any, **arguments: Any) -> Any:
        """Call a verb for the request's user; tell a refusal and return None."""
        try:
            return verb(actor=request.user, **arguments)
        except Refusal as refusal:
            refuse(request, refusal)
            return None


class ReadOnlyAdmin(ScopedAdmin):
    """Shows what nobody changes here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
