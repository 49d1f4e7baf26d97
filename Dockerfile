# syntax=docker/dockerfile:1
# One image for both services; the command decides: `index`, `serve`, `migrate`, `doctor`.

FROM rust:1.95-slim-bookworm AS builder
# The cryptography crates compile C and assembly; gcc is in the image, the rest of what they need is not.
RUN apt-get update \
 && apt-get install -y --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# The caches live outside the image, so the binary is copied to where the next stage can see it.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --release --locked -p tallyscan \
 && install -D -m 0755 target/release/tallyscan /out/tallyscan

FROM debian:bookworm-slim
# curl asks for health; the certificates are for https and wss nodes, and rediss.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin tallyscan
COPY --from=builder /out/tallyscan /usr/local/bin/tallyscan
USER tallyscan
# Inside a container loopback reaches nobody; what is reachable from outside is decided by publishing.
# Few malloc arenas: threads that prove blocks would each keep what they once needed.
ENV LISTEN_ADDR=0.0.0.0:8080 METRICS_ADDR=0.0.0.0:9464 LOG_FORMAT=json MALLOC_ARENA_MAX=2
EXPOSE 8080 9464
# The API by default; `index` listens on METRICS_ADDR instead and overrides this where it is run.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "http://127.0.0.1:8080/health"]
# The program is process 1 and handles SIGTERM itself: the exec form puts no shell before it.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tallyscan"]
CMD ["serve"]
