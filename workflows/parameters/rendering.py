"""Parameter values filled into a task's code (T13)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


def render(code: str, values: Mapping[str, str]) -> str:
    """The code with `${name}` replaced for each name in `values`; `$${name}` writes `${name}`.

    All else stays as it is, to the byte: other names, `$name`, `$(…)`, `$$`. Values are not looked
    into again.
    """

    def written(match: re.Match[str]) -> str:
        escaped, name = match[1], match[2]
        if name not in values:
            return match[0]
        return f"${{{name}}}" if escaped else values[name]

    return _REFERENCE.sub(written, code)
