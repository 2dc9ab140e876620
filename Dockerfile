# One image for every role: web (the default), worker and beat (compose.yaml has their commands).

FROM python:3.12-slim AS packages
RUN python -m venv /opt/tidemill
COPY requirements.lock /tmp/
RUN /opt/tidemill/bin/pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.lock

FROM python:3.12-slim
RUN useradd --system --create-home --home-dir /home/tidemill tidemill
COPY --from=packages /opt/tidemill /opt/tidemill
WORKDIR /srv/tidemill
COPY manage.py pyproject.toml ./
COPY config config
COPY projects projects
COPY workflows workflows
COPY events events
COPY instances instances
COPY backfill backfill
COPY templates templates
ENV PATH=/opt/tidemill/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings.production \
    TIDEMILL_DATA=/var/lib/tidemill
# Collecting static files reads settings, none of which end up in the image.
RUN SECRET_KEY=unused TIDEMILL_KEYS=unused ALLOWED_HOSTS=unused BROKER_URL=memory:// \
    DATABASE_URL=postgresql://unused/unused python manage.py collectstatic --no-input \
    && install -d -o tidemill -g tidemill /var/lib/tidemill
USER tidemill
EXPOSE 8000
CMD ["gunicorn", "config.wsgi:application", "--preload", "--bind", "0.0.0.0:8000", \
     "--workers", "2", "--threads", "8", "--access-logfile", "-"]
