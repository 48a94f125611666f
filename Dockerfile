# Parley's image: the static binary, the certificates of public authorities, and nothing else.
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" --build-arg COMMIT="$(git rev-parse HEAD)" -t parley .
#   docker run -v parley:/var/lib/parley -e PARLEY_JWT_SECRET_FILE=/run/secrets/parley -p 8080:8080 … parley

# The build runs on the builder's machine, for whatever machine the image is for.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=dev COMMIT=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o /out/parley ./cmd/parley
RUN mkdir -p /out/data/parley

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/parley /parley
# The data's directory belongs to the server's user, and so will a volume that is mounted there.
COPY --from=build --chown=65532:65532 /out/data /var/lib
ARG VERSION=dev COMMIT=unknown
LABEL org.opencontainers.image.title="Parley" \
      org.opencontainers.image.description="The backend of a messenger in one binary" \
      org.opencontainers.image.source="https://github.com/parleyhq/parley" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$COMMIT
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENV PARLEY_STORE=pebble:/var/lib/parley/store
VOLUME /var/lib/parley
# REST and realtime, MQTT, MQTT over TLS, metrics: those that are switched on.
EXPOSE 8080 1883 8883 9090
# It reads the settings from the environment, as serve does: flags of serve are unknown to it.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --start-interval=1s CMD ["/parley", "healthcheck"]
ENTRYPOINT ["/parley"]
CMD ["serve"]
