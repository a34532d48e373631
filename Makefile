# The front door. Every target is one small script in tests/, which says at its top what it does and what it reads.
# Nothing here needs more than make, Rust, Go and a root shell on Debian.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# For `up`: zones that the operator publishes through PowerDNS itself, and zones that ExternalDNS serves.
ZONES ?= corp.example 113.0.203.in-addr.arpa 8.b.d.0.1.0.0.2.ip6.arpa
EXTERNALDNS_ZONES ?=
# For `bench`.
BENCH_COUNT ?= 1000

export ZONES EXTERNALDNS_ZONES BENCH_COUNT

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo test up down generate lint unit contract e2e mutants campaign fuzz bench fmt image clean
demo: ## the whole story on this machine, from nothing to the end; leaves nothing running
	@tests/demo/run

test: ## everything that must pass: lint, unit, golden, contract, end to end (what CI runs)
	@tests/run

up: ## a world with the operator, ZONES="a.example ..." EXTERNALDNS_ZONES="..."; prints its environment
	@tests/up

down: ## stops what `up` started
	@tests/world/world down

generate: ## writes crds/, deploy/install.yaml, the chart's copies, docs/api.md and the tables of docs/conditions.md
	@tests/generate/run

lint: ## rustfmt, clippy, cargo-deny, shellcheck, helm lint, generated files
	@tests/run lint

unit: ## the tests that need no world
	@tests/run unit

contract: ## one table of cases against every publisher, with name servers and an API server of its own
	@tests/run contract

e2e: ## the end-to-end tests, in a world of their own
	@tests/run e2e

mutants: ## damages the code in small ways and sees whether the tests notice
	@tests/mutants/run

campaign: ## in full what `test` runs a few of: properties, interleavings, hostile texts, wrong answers; prints figures
	@tests/campaign

fuzz: ## every parser on octets of chance, FUZZ_SECONDS (600) for each; what is found is kept in the cache
	@tests/fuzz/run

bench: ## BENCH_COUNT MailDomains (1000): time, API writes, memory
	@tests/bench/run

fmt: ## formats the code
	@cargo fmt

image: ## the operator's image as it is released, an OCI archive; prints its path
	@IMAGE_PROFILE=release tests/image

clean: ## removes what was compiled here; the tools' cache stays
	@cargo clean
