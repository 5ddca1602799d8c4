# The two commands: `make run` and `make test`. See `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run build test bench faults golden fuzz differential clean setup bin/pleiad

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## install what is missing, build, start servers and proxy (ARGS="--backends 5")
	exec bin/pleiad dev $(ARGS)

build: setup bin/pleiad ## build bin/pleiad

setup:
	@scripts/setup-server.sh

bin/pleiad: # go build itself knows what is up to date
	go build -o $@ ./cmd/pleiad

test: ## install what the tests need, then vet, staticcheck, unit, -race, integration
	@scripts/test.sh

bench: setup ## pgbench and JSONB mix: PostgreSQL, PgBouncer, pleiad
	@scripts/setup-bench.sh
	go run ./bench $(ARGS)

faults: setup ## the bank for two minutes: transfers and snapshot reads while everything fails
	PLEIAD_BANK_TIME=2m go test -count=1 -run 'TestBank$$' -v ./integration/... $(ARGS)

golden: ## rewrite the golden files; read the diff
	@scripts/golden.sh

fuzz: ## each fuzz target for 10 s (FUZZTIME=1m)
	@scripts/fuzz.sh

differential: setup ## corpus, 20,000 generated statements and shared sessions against one plain PostgreSQL (SEED=n COUNT=n STEPS=n)
	PLEIAD_TEST_SEED=$(or $(SEED),$(shell date +%s)) PLEIAD_TEST_STATEMENTS=$(or $(COUNT),20000) PLEIAD_TEST_STEPS=$(or $(STEPS),5000) \
		go test -count=1 -run Differential -timeout 60m -v ./integration/... $(ARGS)

clean: ## remove what was built; data of `pleiad dev` stays
	rm -rf bin .tools integration/clients/node/node_modules
