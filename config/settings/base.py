"""Settings shared by every way of running Tidemill.

What differs (database, broker, secrets, debug) is decided in development, production and test.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.urls import reverse_lazy

from config.console.menu import UNFOLD as UNFOLD
from config.log_format import configure_structlog, logging_settings
from config.settings import machine

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
    "axes",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "projects.console.content_policy.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "projects.verbs.acting.ActingUser",
    "projects.console.sessions.IdleEnd",
    "projects.console.zone.ZoneMiddleware",
    "projects.console.logged_out.LoggedOutMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "axes.middleware.AxesMiddleware",
]

# What pages may load and run. Unfold's Alpine evaluates the expressions in its templates, and its
# pages have styles in them: docs/decisions/content-policy.md.
SECURE_CSP: dict[str, list[str]] = {
    "default-src": ["'none'"],
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}

ROOT_URLCONF = "config.urls"
CSRF_FAILURE_VIEW = "config.failing.unverified"
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

AUTHENTICATION_BACKENDS = [
    "projects.administration.logins.LockOut",
    "django.contrib.auth.backends.ModelBackend",
]
# Whoever fails so often is locked out for a while: the name from that address, so that nobody can
# lock out others by trying their names. LOGIN_THROTTLE bounds one address over all names.
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURES", 5)
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "projects.administration.logins.address_of"
AXES_USERNAME_CALLABLE = "projects.administration.logins.kept_name"
AXES_LOCKOUT_CALLABLE = "projects.administration.logins.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # the operation record is the one there is
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# Hours after the last thing that its user did at which a session ends.
SESSION_COOKIE_AGE = 3600 * env.int("SESSION_HOURS", 12)

# Of what nobody asks for, such as the log; else a page's and an answer's is the reader's own: the
# choice in the user menu, then what the browser or the client prefers.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "projects" / "locale"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SAMESITE = "Lax"
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
# The same for generating, rescuing and expanding.
READY_TICK_SECONDS = env.int("READY_TICK_SECONDS", 120)
# Seconds after which /health/ready/ warns of a transaction that keeps dead rows from going.
OLD_SNAPSHOT_SECONDS = env.int("OLD_SNAPSHOT_SECONDS", 1800)

# --- API --------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "projects.rest.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["projects.rest.parsing.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "projects.rest.schema.Schema",
    "DEFAULT_METADATA_CLASS": None,
    # Proxies in front whose X-Forwarded-For is believed when logins are throttled.
    "NUM_PROXIES": env.int("NUM_PROXIES", 0),
    "EXCEPTION_HANDLER": "projects.rest.errors.exception_handler",
    "DEFAULT_PAGINATION_CLASS": "projects.rest.pagination.PagePagination",
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
    "DEFAULT_GENERATOR_CLASS": "projects.rest.schema.Generator",
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
        "WaitingReason": "instances.holds.listed.REASONS",
        "PlanState": "backfill.states.PlanState",
        "PlanResult": "backfill.states.PlanResult",
        "PlanDayState": "backfill.reading.day_progress.DayState",
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
# Seconds for which a job on the system queue goes on making plans' instances before others get
# their turn; what is left follows at once. Pausing and resuming have GO_ON_SECONDS.
SYSTEM_JOB_SECONDS = env.float("SYSTEM_JOB_SECONDS", 2.0)
# Seconds for which whoever changed something (a worker's result, an operator's verb) goes on after
# its commit with what that set going: long chains of virtual tasks, a day with very many instances.
# What is left then goes on on the system queue.
GO_ON_SECONDS = env.float("GO_ON_SECONDS", 0.5)
# Seconds after which a tick of rescue leaves what is left to the next one.
RESCUE_SECONDS = env.float("RESCUE_SECONDS", 5.0)
# Executions that one worker process runs at a time; the group's slots bound them all together.
EXECUTIONS_PER_PROCESS = env.int("EXECUTIONS_PER_PROCESS", 16)
# True behind a pooler that hands a connection from transaction to transaction, such as PgBouncer
# in that mode: sessions are told nothing then. The bounds of the server are those of its role.
DATABASE_POOLER = env.bool("DATABASE_POOLER", False)
# Whether statements on the way of every instance are prepared. Behind a pooler only when it follows
# them, as PgBouncer does from 1.21 on with max_prepared_statements.
PREPARED_STATEMENTS = env.bool("PREPARED_STATEMENTS", not DATABASE_POOLER)
# Seconds for which one run of generation begins further parts; then the other jobs get their turns.
GENERATE_SECONDS = env.float("GENERATE_SECONDS", 3.0)
# Upstream instances that one instance may wait for at most, over all its task's dependencies; a
# definition with more is refused. They are written in one transaction.
MOST_EDGES_PER_INSTANCE = env.int("MOST_EDGES_PER_INSTANCE", 50_000)
# Seconds for which a worker process takes no new work after it got no thread, descriptor, process
# or memory to run what it had taken.
EXHAUSTED_REST_SECONDS = env.float("EXHAUSTED_REST_SECONDS", 10.0)
# The queue of generate, sweep and rescue; resource groups have queues of their own.
SYSTEM_QUEUE = "tidemill.system"

# --- Tasks: docs/operations.md, "Who tasks run as" -----------------------------------------------

# As root: each project's tasks run as a user of their own, instead of as root.
TASK_USERS = env.bool("TASK_USERS", True)
# Bytes of memory that one process of a task may take; 0: as many as there are. Half of the machine:
# a single task in trouble does not take the worker, or its neighbours, with it.
TASK_MEMORY_BYTES = env.int("TASK_MEMORY_BYTES", machine.memory_bytes() // 2)
# Processes and threads that the user of a task may have in all; 0: no limit. A fork bomb ends here,
# and not when the machine has no process left for others. Without users of their own the worker's
# threads count, but only tasks are refused.
TASK_PROCESSES = env.int("TASK_PROCESSES", 4096)
# Whether tasks may become another user by sudo and the like. Who does cannot be killed by a worker
# that is not root.
TASK_NEW_PRIVILEGES = env.bool("TASK_NEW_PRIVILEGES", False)

# --- Bounds: docs/operations.md says what happens when one is reached --------------------------

# Seconds for a new connection to the database.
DATABASE_CONNECT_SECONDS = env.int("DATABASE_CONNECT_SECONDS", 5)
# Seconds for which the machine of the database may not answer before its connections are given up.
DATABASE_SILENCE_SECONDS = env.int("DATABASE_SILENCE_SECONDS", 10)
# Seconds to wait for a connection of the process's pool.
DATABASE_POOL_SECONDS = env.int("DATABASE_POOL_SECONDS", 10)
# Seconds for a lock, for a statement, between two statements of a transaction, and (PostgreSQL 17)
# for a whole transaction. 0: without a bound. Migrations have none. A worker whose connection falls
# silent while it reports holds the rows of what it runs for the third of these: half a lease, so
# that their leases can still be renewed.
DATABASE_LOCK_SECONDS = env.float("DATABASE_LOCK_SECONDS", 10.0)
DATABASE_STATEMENT_SECONDS = env.float("DATABASE_STATEMENT_SECONDS", 60.0)
DATABASE_IDLE_SECONDS = env.float("DATABASE_IDLE_SECONDS", 15.0)
DATABASE_TRANSACTION_SECONDS = env.float("DATABASE_TRANSACTION_SECONDS", 300.0)
# Seconds for an answer of the database to a worker that runs tasks; each further try has twice as
# long, so that what is only slow comes to its end. More than for a lock, which is an answer too.
WORKER_ANSWER_SECONDS = env.float("WORKER_ANSWER_SECONDS", 15.0)
# Seconds for an answer to the pulse, which renews leases: several tries fit into a lease.
PULSE_ANSWER_SECONDS = env.float("PULSE_ANSWER_SECONDS", 3.0)
# Seconds for a lock to the engine, which leaves what others hold to its next look; and for those of
# several rows of which somebody is known to hold one.
ENGINE_LOCK_SECONDS = env.float("ENGINE_LOCK_SECONDS", 0.5)
HELD_LOCK_SECONDS = env.float("HELD_LOCK_SECONDS", 0.1)
# Seconds between two looks for work of a process to which nothing came for long; a message wakes it
# at once.
IDLE_LOOK_SECONDS = env.float("IDLE_LOOK_SECONDS", 10.0)

# Seconds for the message broker to connect, and to answer who publishes; who consumes asks it for
# a sign of life as often.
BROKER_SECONDS = env.int("BROKER_SECONDS", 3)
# Seconds for which a process publishes nothing after the broker failed it: workers look for work by
# themselves, and waiting for a broker that is silent would only hold them up.
BROKER_REST_SECONDS = env.float("BROKER_REST_SECONDS", 15.0)

CELERY_BROKER_CONNECTION_TIMEOUT = BROKER_SECONDS
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = BROKER_SECONDS
CELERY_BROKER_HEARTBEAT = 3 * BROKER_SECONDS
# Once more and at once, as a connection that was not used for long may be dead; then no more.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
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
    "operate": {"task": "config.operate", "schedule": 5.0, "options": {"expires": 15}},
    "tally": {"task": "config.tally", "schedule": 15.0, "options": {"expires": 30}},
}
DJANGO_CELERY_BEAT_TZ_AWARE = True
