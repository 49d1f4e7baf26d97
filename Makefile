# The everyday commands. `make` alone lists them.
#
# PROFILE=release   builds optimised (slower to build, faster to run)
#
# Settings of Tallyscan (RPC_URL, LISTEN_ADDR, DATABASE_URL, REDIS_URL, DATA_DIR, RUST_LOG, ...) reach
# `make demo` from the environment or the command line:
#   make demo RPC_URL=ws://127.0.0.1:8546 LISTEN_ADDR=0.0.0.0:8080

SHELL := /bin/sh
PROFILE ?= dev
# Most tests wait for servers most of the time.
TEST_THREADS ?= 4
# rustup puts cargo here, and a shell that was open before does not know yet.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak bench fmt lint contracts clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing on this machine (sudo scripts/setup where root is needed)
	@scripts/setup

demo: setup ## everything at once: a dev chain with traffic, the indexer, the API (or RPC_URL=… for your chain)
	@cargo build --profile $(PROFILE) -p tallyscan
	@exec cargo run --quiet --profile $(PROFILE) -p tallyscan -- up

test: setup ## formatting, lints and every test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --workspace

SEEDS ?= 1000
soak: setup ## random histories until one fails: SEEDS=1000 from a random one on, or from SEED=n
	SEEDS=$(SEEDS) cargo test --workspace --test suites histories:: -- --nocapture
	SEEDS=$(SEEDS) cargo test --workspace --test process histories::any -- --nocapture

bench: setup ## every figure of docs/PERFORMANCE.md on this machine (ONLY=backfill for one)
	@cargo build --release -p tallyscan -p tallyscan-bench
	@ONLY=$(ONLY) target/release/tallyscan-bench

fmt: ## format the code
	cargo fmt --all

lint: ## lints alone
	cargo clippy --workspace --all-targets -- -D warnings

contracts: setup ## compile the contracts again (their artifacts are committed)
	@npm run --silent --prefix contracts build

clean: ## remove what was built; data folders stay
	cargo clean
	rm -rf contracts/node_modules
