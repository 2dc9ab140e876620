"""Answers that are files: a client may ask for their kind, and errors are JSON all the same."""

from __future__ import annotations

from rest_framework.renderers import JSONRenderer


class TextRenderer(JSONRenderer):
    """Lets a client say that it accepts plain text."""

    media_type = "text/plain"
    format = "text"


class YamlRenderer(JSONRenderer):
    """Lets a client say that it accepts YAML."""

    media_type = "application/yaml"
    format = "yaml"
