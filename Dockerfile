# Built from hashed requirements; runs as a user without rights, also with a read-only file system.
#
#   docker build --tag pdp .
#   docker run --rm --volume pdp:/var/lib/pdp pdp pdp keys create --role admin --tenant '*'
#   docker run --network container:YOUR_APP --volume pdp:/var/lib/pdp pdp
#
# It requires credentials and listens on loopback; see docs/deployment.md for clusters.
#
# `--target native` adds the native gRPC front, for PDP_GRPC_SERVER=native or auto; it is built with
# cargo, and that is not in the image.
#
# Pin the base images by digest for what you release: `--build-arg PYTHON_IMAGE=NAME@sha256:…`.

ARG PYTHON_IMAGE=python:3.12-slim
ARG RUST_IMAGE=rust:1-slim

FROM ${RUST_IMAGE} AS rust

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils
COPY requirements/image.txt requirements/image-build.txt requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/image-build.txt \
 && python -m venv /opt/pdp \
 && /opt/pdp/bin/pip install --no-cache-dir --require-hashes -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY pdp pdp
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && /opt/pdp/bin/pip install --no-deps --no-index dist/pdp-*.whl
COPY tools/__init__.py tools/image.py tools/

FROM build AS build-native
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV PATH=/usr/local/cargo/bin:$PATH \
    CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY requirements/fast.txt requirements/fast.txt
COPY tools/fast.py tools/
RUN /opt/pdp/bin/python -m tools.fast \
 && /opt/build/bin/python -m tools.image /opt/pdp

FROM build AS build-grpcio
RUN /opt/build/bin/python -m tools.image /opt/pdp

FROM ${PYTHON_IMAGE} AS run
RUN useradd --system --uid 10001 --no-create-home pdp \
 && install --directory --owner=pdp --group=pdp --mode=0700 /var/lib/pdp
ENV PATH=/opt/pdp/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PDP_DATA_DIR=/var/lib/pdp
USER 10001
VOLUME /var/lib/pdp
LABEL org.opencontainers.image.title="pdp" \
      org.opencontainers.image.description="A policy decision point for AI traffic" \
      org.opencontainers.image.licenses="Apache-2.0"
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["pdp", "health"]
STOPSIGNAL SIGTERM
CMD ["pdp", "serve"]

FROM run AS native
COPY --from=build-native /opt/pdp /opt/pdp

FROM run AS grpcio
COPY --from=build-grpcio /opt/pdp /opt/pdp
