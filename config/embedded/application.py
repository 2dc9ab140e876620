"""The web application, loaded whole."""

from __future__ import annotations

import atexit
import gc

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver


def load_application() -> WSGIHandler:
    """Return the WSGI application with all that its first request would load.

    What is loaded by now stays for good. The garbage collector is told so: it would look at all of
    it again every few requests, which takes a tenth of a second.
    """
    application = get_wsgi_application()
    _ = get_resolver().url_patterns  # imports every view
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # extension modules complain of what is never collected
    return application
