"""A process to which nothing comes looks for work more and more seldom, until something comes."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from instances.worker.crew import Crew
from instances.worker.life import Life


def test_it_looks_seldom_when_nothing_comes_and_often_when_something_does(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.worker.crew.LOOK_SECONDS", 0.01)
    settings.IDLE_LOOK_SECONDS = 0.05
    crew = Crew(Life("worker"), room=1)

    def next_look() -> float:
        crew._ended()
        return crew._look_seconds

    assert [next_look() for _ in range(5)] == [0.01, 0.02, 0.04, 0.05, 0.05]
    crew._inbox.put(None)  # a message
    assert next_look() == 0.01
