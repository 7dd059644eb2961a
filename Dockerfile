# The image is made of the wheel. Stages: `production` (the default) and `demo`, which also holds
# the Clerk emulator.

# A tag may move. For a release give its digest: make image BASE=python@sha256:…
ARG BASE=python:3.11-slim
FROM ${BASE} AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
COPY requirements/service.txt requirements/build.txt /build/requirements/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-compile \
        --require-hashes -r /build/requirements/service.txt \
 && pip install --quiet --no-cache-dir --require-hashes -r /build/requirements/build.txt

WORKDIR /build
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY domain domain
COPY adapters adapters
COPY service service
COPY scripts scripts
COPY testing testing
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/venv/bin/python install --quiet --no-deps --no-index --no-compile dist/*.whl \
 && python -m compileall -q /opt/venv \
 && mkdir -p /opt/venv/share \
 && cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --mc-type application \
        --output-file /opt/venv/share/sbom.cdx.json /opt/venv/bin/python


FROM builder AS without-emulator
RUN cd /opt/venv/lib/python3.*/site-packages/clerk_user_sync \
 && rm -r scripts/clerk_emulator testing pytest_plugin.py __pycache__/pytest_plugin.* \
 && sed -i '/^\[pytest11]/,/^$/d' ../clerk_user_sync-*.dist-info/entry_points.txt


FROM ${BASE} AS runtime

LABEL org.opencontainers.image.title="clerk-user-sync" \
      org.opencontainers.image.description="Keeps your own Postgres users table in agreement with Clerk." \
      org.opencontainers.image.licenses="MIT"

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000

WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-m", "clerk_user_sync.service.healthcheck"]
CMD ["python", "-m", "clerk_user_sync"]


FROM runtime AS demo
COPY --from=builder /opt/venv /opt/venv


FROM runtime AS production
COPY --from=without-emulator /opt/venv /opt/venv
