"""How the process logs: one line an event, on standard error, quiet about routine.

Lines are for people ("line") or for a log store ("json"): a JSON object with `timestamp`, `level`,
`logger`, `event` and the event's own fields. What is bound to the context, such as the execution
that a thread runs, is in every line of either kind, libraries' lines included.
"""

from __future__ import annotations

from typing import Any

import structlog
from structlog.typing import Processor

# Their every-few-seconds routine (task received, task succeeded, due task sent) says nothing new.
ROUTINE_LOGGERS = (
    "celery",
    "django_celery_beat",
    "django_structlog",
    "kombu",
    "httpx",
    "py.warnings",
    "waitress",
)
FORMATS = ("line", "json")

# What every event goes through, whether it came by structlog or by the standard loggers.
_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def logging_settings(level: str, log_format: str = "line") -> dict[str, Any]:
    """Django's LOGGING: everything at `level`, libraries' routine only from WARNING on.

    At level DEBUG the libraries speak too. Raises ValueError for an unknown format.
    """
    if log_format not in FORMATS:
        raise ValueError(f"LOG_FORMAT is one of {', '.join(FORMATS)}, not {log_format!r}.")
    routine = "DEBUG" if level == "DEBUG" else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "chosen": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": _rendering(log_format),
                "foreign_pre_chain": _SHARED,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "chosen"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            **{name: {"level": routine} for name in ROUTINE_LOGGERS},
            "axes": {"level": "ERROR"},  # failed logins are in the operation record
        },
    }


def _rendering(log_format: str) -> list[Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        # Plain tracebacks: those with local variables would show secrets.
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
        if log_format == "json"
        else _as_line,
    ]


def _as_line(logger: Any, name: str, event: Any) -> str:
    """Render "2026-01-31 08:00:00 WARNING  logger: event key=value …", then a traceback."""
    time = event.pop("timestamp")[:19].replace("T", " ")
    head = f"{time} {event.pop('level').upper():<7} {event.pop('logger')}: {event.pop('event')}"
    traceback = event.pop("exception", "")
    fields = "".join(f" {key}={value!r}" for key, value in event.items())
    return f"{head}{fields}\n{traceback}" if traceback else f"{head}{fields}"


def configure_structlog() -> None:
    """Send structlog's events through the standard loggers, whose formatter renders them."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
