"""Verbs over the API: `/<id>/<verb>/` and `/batch/<verb>/`, with their bodies and descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.utils import translation
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from projects.rest.batch import BatchAnswer, BatchBody, batch_answer, chosen_objects
from projects.rest.fields import Body, FlagField, IdField, TextField
from projects.rest.scoped import ScopedViewSet
from projects.verbs.background import operate
from projects.verbs.catalogue import verbs_of
from projects.verbs.verb import Noun, Option, Verb

V = TypeVar("V", bound=type[ScopedViewSet])


def with_verbs(noun: Noun) -> Callable[[V], V]:
    """Give a view an address for each verb of the noun, on one object and on many."""

    def give(view: V) -> V:
        with translation.override("en"):  # what is said here is said in the document
            for verb in verbs_of(noun):
                for method in (_on_one(verb, noun, view), _on_many(verb, noun)):
                    setattr(view, method.__name__, method)
        return view

    return give


def _on_one(verb: Verb, noun: Noun, view: type[ScopedViewSet]) -> Any:
    body = _body(verb, f"{noun.plural} {verb.name} one", Body, verb.options)

    def operate_one(self: ScopedViewSet, request: Request, pk: str) -> Response:
        options = _said(verb, self.body(body)) if verb.options else {}
        if noun.parts is not None:
            return batch_answer(
                operate(verb, noun, actor=request.user, chosen=[self.pk], **options)
            )
        with self.faults_of(verb):
            verb.one(actor=request.user, pk=self.pk, **options)
        return Response(self.shown_as([self.get_object()])[0])

    operate_one.__name__ = verb.name
    of_one = f"the {noun.parts.plural} of one {noun.key}" if noun.parts else f"one {noun.key}"
    operate_one.__doc__ = f"{verb.title}: {of_one}.\n\n{_description(verb)}"
    answer = getattr(view, "detail_class", None) or view.serializer_class
    answer = {200: BatchAnswer, 202: BatchAnswer} if noun.parts else answer
    return extend_schema(request=body if verb.options else None, responses=answer)(
        action(detail=True, methods=["post"], url_path=verb.key)(operate_one)
    )


def _on_many(verb: Verb, noun: Noun) -> Any:
    options = tuple(option for option in verb.options if not option.alone)
    many = f"{noun.plural} {verb.name} many"
    body = _body(verb, many, BatchBody, options) if options else BatchBody

    def operate_many(self: ScopedViewSet, request: Request) -> Response:
        chosen = self.body(body)
        said = {option.name: chosen.pop(option.name) for option in options}
        assert self.filterset_class is not None
        objects = chosen_objects(
            chosen,
            rows=self.get_queryset(),
            filterset_class=self.filterset_class,
            request=request,
        )
        return batch_answer(operate(verb, noun, actor=request.user, chosen=objects, **said))

    of_many = f"{noun.parts.plural} of many {noun.plural}" if noun.parts else f"many {noun.plural}"
    operate_many.__name__ = f"batch_{verb.name}"
    operate_many.__doc__ = f"{verb.title}: {of_many}.\n\n{_description(verb)}"
    return extend_schema(request=body, responses={200: BatchAnswer, 202: BatchAnswer})(
        action(detail=False, methods=["post"], url_path=f"batch/{verb.key}")(operate_many)
    )


def _description(verb: Verb) -> str:
    """Say what happens, state by state."""
    lines = [f"* `{state.value}`: {effect}" for state, effect in verb.effects.items()]
    return "\n".join([str(verb.warning), "", *lines]).replace("{", "{{").replace("}", "}}")


def _body(verb: Verb, name: str, base: type[Body], options: tuple[Option, ...]) -> type[Body]:
    fields: dict[str, Any] = {"__doc__": f"How to {verb.title.lower()}."}
    for option in options:
        fields |= _fields(option)
    listed = [option.name for option in options if option.kind == "ids"]

    def validate(self: Any, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take "all" only when it is said."""
        for name in listed:
            if (name in attrs) == attrs.get("all", False):
                message = _('Give either {name} or "all": true.').format(name=name)
                raise serializers.ValidationError({name: [message]})
        return base.validate(self, attrs)

    title = name.replace("_", " ").title().replace(" ", "")
    return type(f"{title}Body", (base,), {**fields, "validate": validate})


def _fields(option: Option) -> dict[str, serializers.Field]:
    if option.kind == "text":
        text = TextField(
            max_length=option.limit, default="", allow_blank=True, help_text=option.help
        )
        return {option.name: text}
    ids = serializers.ListField(
        child=IdField(), required=False, allow_empty=False, help_text=option.help
    )
    return {option.name: ids, "all": FlagField(required=False)}


def _said(verb: Verb, body: dict[str, Any]) -> dict[str, Any]:
    return {option.name: body.get(option.name) for option in verb.options}
