# One image for every process of the link: provisioning, the endpoints, the watch. Another one for the load test.
FROM python:3.13-slim AS build
WORKDIR /app
COPY tools/uv.txt tools/
RUN python3 -m venv /uv && /uv/bin/pip install --no-cache-dir --quiet --requirement tools/uv.txt
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_NO_DEV=1 UV_PYTHON=python3 UV_PYTHON_DOWNLOADS=never
# Dependencies change only with the lock file, so they have their own layer.
COPY pyproject.toml uv.lock ./
RUN /uv/bin/uv sync --locked --no-install-project
COPY README.md ./
COPY protocol protocol
COPY broker broker
COPY endpoints endpoints
COPY scenario scenario
COPY load load
RUN /uv/bin/uv sync --locked --no-editable

# The load test needs more than the processes of the link do, so it has an image of its own: --target load
FROM build AS build-load
RUN /uv/bin/uv sync --locked --no-editable --extra load

FROM python:3.13-slim AS load
COPY --from=build-load /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["deconflict"]

FROM python:3.13-slim
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
# A fixed id, so that file ownership in volumes does not depend on the base image.
USER 10001:10001
ENTRYPOINT ["deconflict"]
