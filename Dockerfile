# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /heartline
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-dev --no-install-project
COPY schemas schemas
COPY ingest ingest
COPY aggregator aggregator
COPY query_api query_api
COPY storage storage
COPY heartline heartline
RUN uv sync --locked --no-dev --no-editable

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 heartline && install -d -o heartline /data
COPY --from=build /heartline/.venv /heartline/.venv
ENV PATH=/heartline/.venv/bin:$PATH HEARTLINE_DATA=/data
USER heartline
WORKDIR /data
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["heartline"]
CMD ["up", "--host", "0.0.0.0"]
