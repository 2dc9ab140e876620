"""The engine's fixtures, for tests of what watches it."""

from __future__ import annotations

from tests.instances.conftest import engine as engine
from tests.instances.conftest import sent as sent
