FROM python:3.11-slim AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
COPY requirements/service.txt /build/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-compile \
        --require-hashes -r /build/service.txt \
 && python -m compileall -q /opt/venv

WORKDIR /app
COPY domain domain
COPY adapters adapters
COPY service service
COPY scripts scripts
RUN python -m compileall -q .


FROM python:3.11-slim

LABEL org.opencontainers.image.title="clerk-user-sync" \
      org.opencontainers.image.description="Keeps your own Postgres users table in agreement with Clerk." \
      org.opencontainers.image.licenses="MIT"

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000

COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-m", "service.healthcheck"]
CMD ["python", "-m", "service"]
