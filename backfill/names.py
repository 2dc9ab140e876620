"""The default name of a plan (B1). Pure."""

from __future__ import annotations

import random
from collections.abc import Container
from datetime import datetime


def default_name(local_now: datetime, taken: Container[str]) -> str:
    """Return `patch_<yyyyMMddHHmmss>_<nnn>` that is not in `taken`.

    The number is drawn, not counted, so that two who ask in the same second rarely collide; who
    does anyway is caught by the constraint and asks again. Raises ValueError when a second has
    used up its thousand names.
    """
    prefix = f"patch_{local_now:%Y%m%d%H%M%S}_"
    free = [name for number in range(1000) if (name := f"{prefix}{number:03d}") not in taken]
    if not free:
        raise ValueError(f"all thousand names {prefix}… are taken")
    return random.choice(free)
