"""A broker that takes connections and says nothing, or answers no more, holds up no dispatcher."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings

from config.celery import BoundedCelery
from config.settings import broker as broker_settings
from instances.engine import announcing
from instances.engine.announcing import announce, unless_told
from tests.distributed.conftest import BROKERS
from tests.distributed.workers import answers
from tests.support.proxy import Mood, Proxy, broker_proxy
from tests.support.waiting import wait_for

SECONDS = 3


class Behind:
    """A Celery app whose broker is behind a proxy, and a queue of its own."""

    def __init__(self, app: BoundedCelery, proxy: Proxy) -> None:
        self.app = app
        self.proxy = proxy
        self.queue = f"tidemill.group.{secrets.token_hex(4)}"

    def messages(self) -> int:
        with self.app.connection_for_read() as link:
            bound = self.app.amqp.queues[self.queue](link.default_channel)
            return int(bound.queue_declare(passive=True).message_count)

    def purge(self) -> None:
        with self.app.connection_for_read() as link:
            self.app.amqp.queues[self.queue](link.default_channel).purge()


@pytest.fixture(params=BROKERS)
def behind(
    request: pytest.FixtureRequest, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Behind]:
    url = BROKERS[request.param]
    if not answers(url):
        pytest.skip(f"{request.param} does not answer")
    with broker_proxy(url) as (proxy, through):
        app = BoundedCelery("behind", set_as_current=False)
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.conf.update(
            broker_url=through, broker_transport_options=broker_settings.bounded(through)
        )
        monkeypatch.setattr(announcing, "current_app", app)
        monkeypatch.setattr(announcing, "_rest_until", 0.0)
        behind = Behind(app, proxy)
        yield behind
        proxy.set(Mood.OPEN)
        with app.connection_for_read() as link:
            bound = app.amqp.queues[behind.queue](link.default_channel)
            bound.declare()
            bound.delete()
        app.close()


def seconds_of(executions: list[tuple[int, str]]) -> float:
    began = time.monotonic()
    announce(executions)
    return time.monotonic() - began


@pytest.mark.parametrize("known", [False, True])
def test_a_silent_broker_is_left_alone_after_a_few_seconds(
    behind: Behind, known: bool, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Takes as long as the broker is waited for, twice: a connection may be dead, a new one not."""
    behind.app.conf.broker_connection_timeout = 1
    if "socket_timeout" in behind.app.conf.broker_transport_options:
        behind.app.conf.broker_transport_options |= {
            "socket_timeout": 1.5,
            "socket_connect_timeout": 1,
        }
    if known:
        announce([(1, behind.queue)])
        wait_for(lambda: behind.messages() == 1)
    behind.proxy.set(Mood.SILENT)
    # A queue that is not known to the connection yet has to be declared.
    settings.BROKER_REST_SECONDS = 600
    assert seconds_of([(2, f"{behind.queue}.new"), (3, behind.queue)]) < 60
    assert announcing._rest_until > time.monotonic()
    monkeypatch.setattr(announcing, "current_app", None)  # whoever asks it fails
    announce([(4, behind.queue)])
    assert unless_told([(4, behind.queue)]) == []


def test_it_is_tried_again_when_it_has_rested(behind: Behind, settings: LazySettings) -> None:
    settings.BROKER_REST_SECONDS = 0.2
    announce([(1, behind.queue)])
    behind.proxy.set(Mood.REFUSING)
    announce([(2, behind.queue)])
    behind.proxy.set(Mood.OPEN)

    def is_heard_again() -> bool:
        announce([(3, behind.queue)])
        return behind.messages() >= 2

    wait_for(is_heard_again)


def test_what_waits_unheard_is_not_told_again(behind: Behind) -> None:
    sent = [(pk, behind.queue) for pk in range(5)]
    assert unless_told(sent) == sent  # there is no such queue yet
    announce(sent)
    # The broker takes them when it comes to them.
    wait_for(lambda: behind.messages() == 5)
    assert unless_told(sent) == []
    behind.purge()
    assert unless_told(sent) == sent


def test_messages_expire_when_they_are_sent_again(behind: Behind, settings: LazySettings) -> None:
    settings.DISPATCH_RESEND_SECONDS = 60
    announce([(1, behind.queue)])
    wait_for(lambda: behind.messages() == 1)
    with behind.app.connection_for_read() as link:
        message: Any = behind.app.amqp.queues[behind.queue](link.default_channel).get(no_ack=True)
    assert message.headers["expires"] is not None
