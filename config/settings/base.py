"""Settings shared by every way of running Tidemill.

What differs (database, broker, secrets, debug) is decided in development, production and test.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.urls import reverse_lazy

from config.log_format import configure_structlog, logging_settings
from config.unfold import UNFOLD as UNFOLD

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent.parent

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "django_celery_beat",
    "django_structlog",
    "config",
    "projects",
    "workflows",
    "events",
    "instances",
    "backfill",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
DATETIME_FORMAT = "Y-m-d H:i:s"

STATIC_URL = "static/"
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGGING = logging_settings(env.str("LOG_LEVEL", "INFO"), env.str("LOG_FORMAT", "line"))
configure_structlog()

# --- Being watched ----------------------------------------------------------------------------

# What a scraper of /metrics shows as "Authorization: Bearer …"; without one there is no /metrics.
METRICS_TOKEN = env.str("METRICS_TOKEN", "")
# Seconds after which the last sweep is too old for /health/ready/.
READY_SWEEP_SECONDS = env.int("READY_SWEEP_SECONDS", 60)

# --- API --------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "projects.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["projects.api.parsing.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "projects.api.schema.Schema",
    "DEFAULT_METADATA_CLASS": None,
    # Proxies in front whose X-Forwarded-For is believed when logins are throttled.
    "NUM_PROXIES": env.int("NUM_PROXIES", 0),
    "EXCEPTION_HANDLER": "projects.api.errors.exception_handler",
    "DEFAULT_PAGINATION_CLASS": "projects.api.pagination.PagePagination",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "user": env.str("API_THROTTLE", "6000/min"),
        "login": env.str("LOGIN_THROTTLE", "20/min"),
    },
}

# A request's body, workflow files included.
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024

REST_KNOX = {"TOKEN_TTL": timedelta(days=90), "AUTO_REFRESH": False}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Tidemill API",
    "DESCRIPTION": "Define, schedule, run, steer and backfill data tasks.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "InstanceState": "instances.states.State",
        "InstanceKind": "instances.states.Kind",
        "ExecutionState": "instances.states.ExecutionState",
        "ExecutionCause": "instances.states.Cause",
        "PlanState": "backfill.states.PlanState",
        "PlanDayState": "backfill.day_progress.DayState",
        "SkipReason": "backfill.states.SkipReason",
        "TaskStatus": "workflows.choices.TaskStatus",
        "TaskPriority": "workflows.choices.Priority",
        "ResourceGroupKind": "projects.models.ResourceGroup.Kind",
        "ProjectRole": "projects.roles.Role",
        "ProjectRight": "projects.roles.Right",
    },
}

# --- Engine -----------------------------------------------------------------------------------

# Seconds for which a worker may be silent before its executions count as lost (design §5.5).
EXECUTION_LEASE_SECONDS = env.int("EXECUTION_LEASE_SECONDS", 30)
# Seconds after which a dispatched execution that nobody started is announced again.
DISPATCH_RESEND_SECONDS = env.int("DISPATCH_RESEND_SECONDS", 60)
# Executions that one worker process runs at a time; the group's slots bound them all together.
EXECUTIONS_PER_PROCESS = env.int("EXECUTIONS_PER_PROCESS", 16)
# False behind a pooler that hands a connection from transaction to transaction and does not follow
# prepared statements, such as PgBouncer before 1.21.
PREPARED_STATEMENTS = env.bool("PREPARED_STATEMENTS", True)
# The queue of generate, sweep and rescue; resource groups have queues of their own.
SYSTEM_QUEUE = "tidemill.system"

CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = SYSTEM_QUEUE
CELERY_TASK_ACKS_LATE = False  # the row is the truth: a lost message is found by its lease
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_ENABLE_UTC = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
# A message that waits longer than its tick is of no use: the next tick does the same work.
CELERY_BEAT_SCHEDULE: dict[str, Any] = {
    "generate": {"task": "instances.generate", "schedule": 5.0, "options": {"expires": 15}},
    "sweep": {"task": "instances.sweep", "schedule": 5.0, "options": {"expires": 15}},
    "rescue": {"task": "instances.rescue", "schedule": 10.0, "options": {"expires": 30}},
    "expand_plans": {"task": "backfill.expand", "schedule": 10.0, "options": {"expires": 30}},
    "tally": {"task": "config.tally", "schedule": 15.0, "options": {"expires": 30}},
}
DJANGO_CELERY_BEAT_TZ_AWARE = True
