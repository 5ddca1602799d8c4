# The parser is PostgreSQL's own C code, so the binary needs cgo and the C library it was built with.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -buildvcs=false -trimpath -o /pleiad ./cmd/pleiad

# The same Debian release as the postgres image in docker-compose.yml: with the same C library the
# proxy may merge sorted text itself.
FROM debian:bookworm-slim
RUN useradd --system --no-create-home pleiad
COPY --from=build /pleiad /usr/local/bin/pleiad
COPY docker/healthcheck.sh /usr/local/bin/pleiad-healthcheck
USER pleiad
EXPOSE 6432
ENTRYPOINT ["pleiad"]
CMD ["serve", "--config", "/etc/pleiad/config.yaml"]
