# Built from hashed requirements; runs as a user without rights.
#
#   docker build --tag pdp .
#   docker run --rm --volume pdp:/var/lib/pdp pdp pdp keys create --role admin --tenant '*'
#   docker run --network container:YOUR_APP --volume pdp:/var/lib/pdp pdp
#
# It requires credentials and listens on loopback; see docs/operations.md for sidecars and others.

# `--build-arg GRPC_FRONT=fast` adds the fast gRPC front, for PDP_GRPC_SERVER=auto; it is built with
# cargo, and that is not in the image.

ARG GRPC_FRONT=grpcio

FROM python:3.12-slim AS build-grpcio
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/pdp \
 && /opt/pdp/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY pdp pdp
RUN /opt/pdp/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index .

FROM build-grpcio AS build-fast
COPY --from=rust:1-slim /usr/local/cargo /usr/local/cargo
COPY --from=rust:1-slim /usr/local/rustup /usr/local/rustup
ENV PATH=/usr/local/cargo/bin:$PATH \
    CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY requirements/fast.txt requirements/fast.txt
COPY tools/__init__.py tools/fast.py tools/
RUN /opt/pdp/bin/python -m tools.fast

FROM build-${GRPC_FRONT} AS build

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home pdp \
 && install --directory --owner=pdp --group=pdp --mode=0700 /var/lib/pdp
COPY --from=build /opt/pdp /opt/pdp
ENV PATH=/opt/pdp/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PDP_DATA_DIR=/var/lib/pdp
USER pdp
VOLUME /var/lib/pdp
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["pdp", "health"]
STOPSIGNAL SIGTERM
CMD ["pdp", "serve"]
