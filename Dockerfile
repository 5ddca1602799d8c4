# The parser is PostgreSQL's own C code, so the binary needs cgo and the C library it was built with.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
# Minutes of C, once, and not again with every change of the rest.
RUN go mod download && go build -trimpath github.com/pganalyze/pg_query_go/v6
COPY . .
RUN go build -buildvcs=false -trimpath -o /pleiad ./cmd/pleiad

# The same Debian release as the postgres image in docker-compose.yml: with the same C library the
# proxy may merge sorted text itself.
FROM debian:bookworm-slim
RUN useradd --system --no-create-home pleiad
# `pleiad add-backend` copies the schema with the pg_dump of the servers' version; `pleiad dump` runs pg_restore too.
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 liblz4-1 libzstd1 zlib1g && rm -rf /var/lib/apt/lists/*
COPY --from=postgres:16-bookworm /usr/lib/postgresql/16/bin/pg_dump /usr/lib/postgresql/16/bin/pg_restore /usr/lib/postgresql/16/bin/
COPY --from=build /pleiad /usr/local/bin/pleiad
COPY docker/healthcheck.sh /usr/local/bin/pleiad-healthcheck
USER pleiad
EXPOSE 6432
ENTRYPOINT ["pleiad"]
CMD ["serve", "--config", "/etc/pleiad/config.yaml"]
