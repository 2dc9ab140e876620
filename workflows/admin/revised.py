"""Forms that know which revision they show, so that a second tab overwrites nothing unseen."""

from __future__ import annotations

from typing import Any

from django import forms

from workflows.editing.revisions import revision_of


class RevisedForm(forms.ModelForm):
    """A form of a definition; `revision` travels with it, hidden."""

    revision = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["revision"] = revision_of(self.instance)

    @property
    def edited(self) -> set[str]:
        """The names of the fields that differ from what is saved."""
        return set(self.changed_data) - {"revision"}

    @property
    def based_on(self) -> str | None:
        """The revision that was shown; None for a form that was sent without one."""
        return self.cleaned_data["revision"] or None
