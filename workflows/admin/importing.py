"""Importing workflow files: what is wrong is shown at its line, and nothing is saved then."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanWidget,
)

from projects.access import projects_with
from projects.console.answering import report
from projects.console.scoped import ScopedAdmin
from projects.ground.refusals import Refusal
from projects.ground.words import gettext_lazy
from projects.models import Project
from projects.roles import Right
from projects.verbs.recording import BatchResult
from workflows.bundles.importing import import_bundles
from workflows.bundles.problems import BundleError
from workflows.bundles.schema import parse_bundle
from workflows.verbs.noun import TASKS
from workflows.verbs.submit import submit_tasks

MAX_FILE_SIZE = 10_000_000  # bytes
_PASTED = "pasted.yaml"


class ImportForm(forms.Form):
    """A file or a pasted text, and what to do with it."""

    project = forms.ModelChoiceField(
        Project.objects.none(), label=gettext_lazy("Project"), widget=UnfoldAdminSelectWidget
    )
    file = forms.FileField(
        required=False, label=gettext_lazy("YAML file"), widget=UnfoldAdminFileFieldWidget
    )
    text = forms.CharField(
        required=False,
        strip=False,
        max_length=MAX_FILE_SIZE,
        label=gettext_lazy("or its text"),
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 22, "class": "tm-code-input", "spellcheck": "false"}
        ),
    )
    submit = forms.BooleanField(
        required=False,
        label=gettext_lazy("Submit all its tasks at once"),
        widget=UnfoldBooleanWidget,
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        projects = projects_with(request.user, Right.DEVELOP)
        fields: dict[str, Any] = self.fields
        fields["project"].queryset = projects
        if request.method == "GET":
            self.fields["project"].initial = projects.first()
        area = self.fields["text"].widget
        area.attrs["class"] = f"{area.attrs['class']} tm-code-input"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if upload := data.get("file"):
            if upload.size > MAX_FILE_SIZE:
                raise forms.ValidationError({"file": _("The file has more than 10 MB.")})
            try:
                data["text"] = upload.read().decode()
            except UnicodeDecodeError:
                raise forms.ValidationError({"file": _("The file is no UTF-8 text.")}) from None
            data["filename"] = upload.name
            # Shown again, with the problems at its lines.
            self.data = {**self.data.dict(), "text": data["text"]}  # type: ignore[attr-defined]
        if not data.get("text", "").strip() and "file" not in self.errors:
            raise forms.ValidationError({"text": _("Choose a file, or paste its text.")})
        return data


def import_view(model_admin: ScopedAdmin, request: HttpRequest) -> HttpResponse:
    """Show the form; import, and go to the workflows."""
    form = ImportForm(request.POST or None, request.FILES or None, request=request)
    problems: list[Any] = []
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            bundles = parse_bundle(data["text"], data.get("filename", _PASTED))
            result = import_bundles(
                actor=request.user,
                project_id=data["project"].pk,
                bundles=bundles,
                submit=data["submit"],
            )
        except BundleError as error:
            problems = error.problems
        except Refusal as refusal:
            form.add_error(None, refusal.detail)
        else:
            outcomes = list(result.workflows)
            for one in outcomes:
                said = (
                    _("Workflow {name} was created.")
                    if one.created
                    else _("Workflow {name} was updated.")
                )
                model_admin.message_user(request, said.format(name=one.name))
            if isinstance(result.submission, BatchResult):
                report(request, result.submission, submit_tasks.done, TASKS.counted)
            if len(outcomes) == 1:
                return HttpResponseRedirect(model_admin.url("change", outcomes[0].id))
            return HttpResponseRedirect(model_admin.url("changelist"))
    context = {
        "opts": model_admin.opts,
        "form": form,
        "problems": problems,
        "lines": _numbered(form, problems),
    }
    return model_admin.page(request, "workflows/import.html", _("Import workflows"), context)


def _numbered(form: ImportForm, problems: list[Any]) -> list[tuple[int, str, list[str]]]:
    """Return the lines around each problem: (number, text, messages)."""
    if not problems:
        return []
    text = str(form.cleaned_data.get("text", "")).splitlines()
    messages: dict[int, list[str]] = {}
    for problem in problems:
        where = f"{problem.field}: " if problem.field else ""
        messages.setdefault(problem.line, []).append(f"{where}{problem.message}")
    shown = sorted(
        {
            number
            for line in messages
            for number in range(line - 2, line + 3)
            if 1 <= number <= len(text)
        }
    )
    return [(number, text[number - 1], messages.get(number, [])) for number in shown[:400]]
