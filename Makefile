# Short names for what `go run ./internal/check` does; make itself is optional.
CHECK = go run ./internal/check

SEEDS   ?= 2000
FUZZTIME ?= 10s
CASES   ?= 30

.PHONY: all check test soak generate generate-check bench sim faults fuzz browser build

all: check

build: ## the server, into bin/
	go build -trimpath -o bin/muniment ./cmd/muniment

check: ## the quick half: format, vet, staticcheck, unit tests
	$(CHECK) format vet staticcheck unit

test: ## everything that continuous integration runs
	$(CHECK)

soak: ## the long versions: hours
	$(CHECK) -soak

sim: ## deterministic simulation: make sim SEEDS=100000
	MUNIMENT_SIM_SEEDS=$(SEEDS) $(CHECK) simulation

faults: ## system calls of the server fail: make faults CASES=all
	MUNIMENT_FAULTS=$(CASES) $(CHECK) faults

fuzz: ## every fuzz target: make fuzz FUZZTIME=5m
	FUZZTIME=$(FUZZTIME) $(CHECK) fuzz

browser: ## the pages in headless Chromium
	$(CHECK) install browser

generate: ## make the generated files anew
	go generate ./...

generate-check: ## are the committed generated files what the sources say?
	$(CHECK) generate

bench: ## the ratios of docs/benchmarks.md
	go run ./cmd/muniment bench
