# One image for every process of the link: provisioning, the endpoints, the watch. Another one for the load test.
# Two builds of the same files give the same content: packages from the lock file, times from SOURCE_DATE_EPOCH.
FROM python:3.13-slim AS build
ARG SOURCE_DATE_EPOCH=1667260800
WORKDIR /app
COPY tools/uv.txt tools/
RUN python3 -m venv /uv && /uv/bin/pip install --no-cache-dir --quiet --requirement tools/uv.txt
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_NO_DEV=1 UV_PYTHON=python3 UV_PYTHON_DOWNLOADS=never
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}
# Dependencies change only with the lock file, so they have their own layer.
COPY pyproject.toml uv.lock ./
COPY deploy/image/finish /
RUN /uv/bin/uv sync --locked --no-install-project && sh /finish .
COPY . ./
RUN sh deploy/image/source-digest . >/source \
 && /uv/bin/uv sync --locked --no-editable && sh /finish protocol broker endpoints scenario load \
 && find /source deploy/image -exec touch --date "@$SOURCE_DATE_EPOCH" {} +

# What no process of the link needs; no package can be installed in the image.
FROM python:3.13-slim AS bare
ARG SOURCE_DATE_EPOCH=1667260800
COPY deploy/image/strip /strip
RUN sh /strip

FROM scratch AS base
COPY --from=bare / /
ENV PATH=/app/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1
ENTRYPOINT ["deconflict"]

FROM base AS link
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="deconfliction-link" \
      org.opencontainers.image.description="Endpoint, watch and tools of the deconfliction link" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim"
COPY --from=build /source /app/source
COPY --from=build /app/deploy/image/source-digest /app/deploy/image/provision.py /app/
COPY --from=build /app/deploy/image /app/deploy/image
COPY --from=build /app/.venv /app/.venv
# A fixed id, so that file ownership in volumes does not depend on the base image.
USER 10001:10001

# The load test needs more than the processes of the link do, so it has an image of its own: --target load
FROM build AS build-load
RUN /uv/bin/uv sync --locked --no-editable --extra load && sh /finish .

FROM base AS load
COPY --from=build-load /app/.venv /app/.venv

# without --target
FROM link
