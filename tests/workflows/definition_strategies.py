"""Any definition: hypothesis strategies for mappings that read without a fault."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

# What the database stores: no NUL, no lone surrogate.
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=60)
awkward = st.sampled_from(
    [
        "  indented\n first\n",
        "\n\nlate\n",
        "no end",
        "many ends\n\n\n",
        "trailing \nspaces\t\n",
        "\ttab\n",
        "yes",
        "12:30",
        "2010-07-01",
        "# no comment",
        "- x\n- y",
        "a: b\n",
        "\r\n",
        " ",
        "\n",
        "\ufeffmark\n",
        "line\u2028separator\n",
        "---\n...\n",
        "{braces}",
        "'quotes\" \\ \n",
        "null",
        "\x85\x1b[0m\n",
    ]
)
any_text = texts | awkward
code = any_text.filter(lambda text: bool(text.strip()))
names = (
    st.text(
        st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="/"),
        min_size=1,
        max_size=12,
    )
    | st.sampled_from(["yes", "12:30", "a b", "null", "task-1", "1", "ünïcode", "- x", "a: b", "#"])
).filter(lambda text: not text[0].isspace() and not text[-1].isspace())

clock_times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
schedules: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"cycle": st.just("day"), "at": clock_times}),
    st.fixed_dictionaries({"cycle": st.just("hour"), "every": st.integers(1, 23)}),
    st.fixed_dictionaries({"cycle": st.just("minute"), "every": st.integers(1, 59)}),
    st.fixed_dictionaries(
        {
            "cycle": st.just("week"),
            "weekdays": st.lists(st.integers(1, 7), min_size=1, unique=True),
            "at": clock_times,
        },
        optional={"effective_from": st.just("2020-01-01"), "time_zone": st.just("Asia/Tokyo")},
    ),
    st.fixed_dictionaries(
        {"cycle": st.just("month"), "days": st.just([1, "last"]), "at": clock_times}
    ),
    st.just({"cycle": "crontab", "expression": "*/5 8-17 * * 1-5"}),
    st.just({"cycle": "one_time", "at": "2030-02-03 04:05"}),
)
dependencies = st.lists(
    st.builds(
        lambda parts, offset, scope: {"task": "/".join(parts), "offset": offset, "scope": scope},
        st.lists(names, min_size=1, max_size=3),
        st.sampled_from(["same", "previous"]),
        st.sampled_from(["default", "previous_day", "whole_period", "latest", "interval"]),
    ),
    max_size=6,
    unique_by=lambda item: (item["task"], item["offset"]),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
header_names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
one_line = any_text.filter(lambda text: "\n" not in text and "\r" not in text)
kinds: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("shell"), "code": code},
        optional={"config": st.just({"shell": "/bin/bash", "stop_on_error": False})},
    ),
    st.fixed_dictionaries(
        {"type": st.just("python"), "code": code},
        optional={"config": st.builds(lambda items: {"arguments": items}, st.lists(any_text))},
    ),
    st.fixed_dictionaries({"type": st.just("virtual")}),
    st.fixed_dictionaries(
        {
            "type": st.just("http"),
            "config": st.fixed_dictionaries(
                {"url": st.just("http://x/${bizdate}")},
                optional={
                    "body": st.dictionaries(texts, json_values, max_size=3) | any_text,
                    "headers": st.dictionaries(header_names, one_line, max_size=3),
                    "expected_status": st.lists(st.just(204) | st.just("200-299"), max_size=2),
                },
            ),
        }
    ),
)
rest = st.fixed_dictionaries(
    {"schedule": schedules},
    optional={
        "description": any_text,
        "depends_on": dependencies,
        "self_dependent": st.booleans(),
        "parameters": st.dictionaries(
            st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
            any_text.map(lambda text: text.replace("$", "$$")),
            max_size=3,
        ),
        "retries": st.fixed_dictionaries(
            {},
            optional={
                "limit": st.integers(0, 100),
                "interval": st.integers(0, 3600),
                "backoff": st.floats(1, 100) | st.integers(1, 3),
            },
        ),
        "timeout": st.integers(1, 7 * 24 * 3600),
        "priority": st.sampled_from([1, 3, 5, 7, 8]),
        "resource_group": names,
        "max_parallel": st.integers(1, 9),
        "catch_up": st.sampled_from(["all", "latest"]),
    },
)
definitions: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda kind, fields: {**kind, **fields}, kinds, rest
)
