"""`manage.py operate NOUN VERB`: what the admin's lists and the API do, from a shell."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from types import SimpleNamespace
from typing import Any, NoReturn

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string
from rest_framework.exceptions import ValidationError
from rich.console import Console
from rich.progress import Progress

from projects.access import Actor, scope
from projects.ground.refusals import Invalid, Refusal
from projects.models import Operation
from projects.rest.filtering import filter_by_mapping
from projects.verbs.background import operate, work
from projects.verbs.catalogue import all_nouns, verbs_of
from projects.verbs.selecting import promise
from projects.verbs.verb import Noun, Verb


class Command(BaseCommand):
    help = (
        "Do a verb to objects: to those named by --ids, or to all that match --filter, as their "
        "list in the API takes it. Says first what will happen, and with --dry-run nothing else. "
        "Without NOUN and VERB it lists what there is. Exit codes: 0 done, 1 some were left alone "
        "(each with its reason in the operation record), 2 refused: nothing was done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("noun", nargs="?", help="such as instances")
        parser.add_argument("verb", nargs="?", help="such as rerun")
        parser.add_argument("--ids", nargs="+", type=int, metavar="ID")
        parser.add_argument(
            "--filter",
            nargs="+",
            action="extend",
            metavar="NAME=VALUE",
            help="state=FAILED; a name more than once means one of its values",
        )
        parser.add_argument(
            "--option",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME=VALUE",
            help="how it is to be done, such as comment=…",
        )
        parser.add_argument(
            "--user", help="in whose name, and with whose rights; without it the system's own"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would happen")
        parser.add_argument("--yes", action="store_true", help="do not ask before it is done")

    def handle(self, *args: Any, **options: Any) -> None:
        nouns = {noun.plural: noun for noun in all_nouns()}
        noun = nouns.get(options["noun"])
        if noun is None or options["verb"] is None:
            self._list(nouns, options["noun"])
            return
        verb = next((one for one in verbs_of(noun) if one.key == options["verb"]), None)
        try:
            if verb is None:
                raise Invalid(f"{noun.plural} have no verb “{options['verb']}”.")
            actor = self._actor(options["user"])
            rows = self._rows(noun, actor, options)
            how = self._how(verb, options["option"])
            asked = len(set(options["ids"])) if options["ids"] and noun.parts is None else None
            self._say(verb, actor, noun.part_rows(rows), asked)
            if options["dry_run"]:
                return
            if not options["yes"]:
                self._ask(verb)
            chosen = rows if options["ids"] is None else options["ids"]
            result = operate(verb, noun, actor=actor, chosen=chosen, **how)
        except Refusal as refusal:
            faults = [(field, one) for field, all_ in refusal.fields.items() for one in all_]
            self._refuse(faults or [("", refusal.detail)])
        if result.pending:
            self._follow(result.operation_id)
        operation = Operation.objects.get(pk=result.operation_id)
        self.stdout.write(
            f"Operation {operation.pk}: {operation.succeeded:,} {verb.noun.plural} {verb.done},"
            f" {operation.refused:,} left alone."
        )
        for outcome in result.refused[:20]:
            self.stdout.write(f"  {outcome.label or outcome.id}: {outcome.detail}")
        if operation.refused:
            sys.exit(1)

    def _list(self, nouns: dict[str, Noun], wanted: str | None) -> None:
        if wanted is not None and wanted not in nouns:
            self._refuse([("", f"There is no noun “{wanted}”; there are: {', '.join(nouns)}.")])
        for plural, noun in nouns.items():
            if wanted in (None, plural):
                keys = ", ".join(verb.key for verb in verbs_of(noun))
                self.stdout.write(f"{plural}: {keys}")

    def _actor(self, username: str | None) -> Actor:
        if username is None:
            return None
        user = get_user_model().objects.filter(username=username, is_active=True).first()
        if user is None:
            raise Invalid.from_pairs([("--user", f"There is no active user “{username}”.")])
        return user

    def _rows(self, noun: Noun, actor: Actor, options: dict[str, Any]) -> Any:
        if (options["ids"] is None) == (options["filter"] is None):
            raise Invalid.from_pairs([("--ids", "Give either --ids or --filter.")])
        rows = noun.model._default_manager.all()
        if options["ids"] is not None:
            return rows.filter(pk__in=options["ids"])
        conditions: dict[str, list[str]] = {}
        for name, value in self._pairs("--filter", options["filter"]):
            conditions.setdefault(name, []).append(value)
        request: Any = SimpleNamespace(user=actor)
        try:
            return filter_by_mapping(
                import_string(noun.filterset), scope(rows, actor), conditions, request
            )
        except ValidationError as error:
            faults: Any = error.detail
            raise Invalid.from_pairs(
                (f"--{field}", str(one)) for field, all_ in faults.items() for one in all_
            ) from error

    def _how(self, verb: Verb, written: list[str]) -> dict[str, Any]:
        kinds = {option.name: option for option in verb.options}
        how: dict[str, Any] = {}
        for name, value in self._pairs("--option", written):
            if name not in kinds:
                raise Invalid.from_pairs([("--option", f"{verb.key} has no option “{name}”.")])
            if kinds[name].kind == "text":
                how[name] = value
                continue
            if not all(one.isascii() and one.isdigit() for one in value.split(",")):
                raise Invalid.from_pairs([("--option", f"{name}: give ids, as in {name}=1,2.")])
            how[name] = [int(one) for one in value.split(",")]
        return how

    def _pairs(self, option: str, written: list[str]) -> list[tuple[str, str]]:
        for one in written:
            if "=" not in one:
                raise Invalid.from_pairs([(option, f"“{one}” is not of the form NAME=VALUE.")])
        return [(name, value) for name, _, value in (one.partition("=") for one in written)]

    def _say(self, verb: Verb, actor: Actor, rows: Any, asked: int | None) -> None:
        promised = promise(verb, actor=actor, rows=rows, asked=asked)
        self.stdout.write(f"{verb.spoken} {promised.total:,} {verb.noun.plural}")
        for state, number in promised.acting.items():
            self.stdout.write(f"  {number:>9,}  {state.label.lower()}: {verb.effects[state]}")
        for reason, number in promised.left.items():
            self.stdout.write(f"  {number:>9,}  left alone: {reason}")

    def _ask(self, verb: Verb) -> None:
        if not sys.stdin.isatty():
            raise Invalid("Nobody is there to ask: say --yes.")
        self.stdout.write(str(verb.warning))
        if input(f"{verb.title}? [y/N] ").strip().lower() not in ("y", "yes"):
            raise Invalid("Nothing was done.")

    def _follow(self, operation_id: int) -> None:
        """Do the operation's chunks here, beside the workers, until there are none."""
        console = Console(file=self.stdout)  # type: ignore[arg-type]  # writes text like a file
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task(f"Operation {operation_id}")
            while (operation := Operation.objects.get(pk=operation_id)).ended_at is None:
                progress.update(bar, total=operation.total, completed=operation.done)
                if not work(operation_id):  # a worker is at it
                    time.sleep(0.2)

    def _refuse(self, problems: list[tuple[str, str]]) -> NoReturn:
        for field, message in problems:
            self.stderr.write(f"{field}: {message}" if field else message)
        sys.exit(2)
