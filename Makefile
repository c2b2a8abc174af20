# make demo    the main job, end to end, in a real browser
# make cluster three servers as one, over a PostgreSQL and an S3 server of this machine, one of them killed
# make test    every test, with the race detector where there is a C compiler
# make compat  of those, the ones with the providers' own SDKs and browser clients, in Go, Python and JavaScript
# make compat-agents  of those, browser-use and Stagehand as agents in a runtime
# make clients all of the test suites of go-rod and chromedp, in a runtime: prints the scores, which may only rise
# make miniwob all tasks of MiniWoB++ that have a policy, at five seeds each: prints the score
# make fuzz-origins  5,000,000 mutated addresses, read by us and by Chromium
# make attacks 114 pages that order an agent to give something away: prints what became of each
# make races   20,000 pages that are left while they are filled
# make soak    a cluster whose nodes and database are killed, paused and cut off, some 300 times, and upgraded
# make bucket  the server's tests of files with the bytes in a bucket of an S3 server
# make lint    the linters of tools/; LINTED='. compat miniwob bench otlp' takes the other modules too
# make bench   the server and the SDK beside net/http, OpenBao where `bao` is on the PATH, agents beside chromedp
# make bench-smoke  the same with the smallest sizes, looking only at whether it runs
# make vuln    known vulnerabilities in what is linked (asks the Go vulnerability database)
# make check   what CI runs for each change; .ci/nightly has what takes longer

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo cluster test test-long test-short compat compat-agents clients miniwob miniwob-sample fuzz-origins races attacks bucket soak lint fmt bench bench-smoke otlp vuln check browser window postgres sdks s3server

TOOL := go tool -modfile=tools/go.mod

# The race detector is C, so it needs a C compiler.
CC_FOUND := $(shell command -v "$$(go env CC)" 2>/dev/null)
# Its pointer checks are left out of modernc.org, which is C turned into Go, and the detector
# itself of loops over bytes where it would spend most of the time: SQLite's own code and its
# allocator, whose memory it does not see, the standard library's pictures, Argon2's 64 MiB, and
# the characters of JSON and WebAssembly. A package of which `go tool nm` lists functions of sync
# or atomic cannot be left out: the detector would see nothing of them, and where they are generic
# nothing of any package's, since one copy is linked for all. Argon2's WaitGroup stays in sync.
NOT_RACED := image/... compress/... hash/adler32 hash/crc32 modernc.org/sqlite/lib modernc.org/memory \
	golang.org/x/crypto/argon2 golang.org/x/crypto/blake2b github.com/go-json-experiment/json/internal/jsonwire \
	github.com/tetratelabs/wazero/internal/leb128
RACE := $(if $(CC_FOUND),-race -gcflags=modernc.org/...=-d=checkptr=0 $(NOT_RACED:%=-gcflags=%=-race=false))

# A test that fails is tried once more when all others of its lane have ended, since browsers on two
# cores get in each other's way: what passes then is printed under "Failed" all the same, to be
# mended. Nothing is tried again after a data race, a leak, or more than five failures, subtests counted.
# Vet and the linter have their own step in .ci/run, so tests are not vetted a second time.
PACKAGES := ./...
GO_TEST = $(if $(RACE),,CGO_ENABLED=0 )go tool -modfile=$(CURDIR)/tools/go.mod gotestsum -f standard-quiet \
	--hide-summary=skipped --rerun-fails=1 --rerun-fails-max-failures=5 --rerun-fails-abort-on-data-race \
	--rerun-fails-run-root-test --packages="$(PACKAGES)" -- $(RACE) -vet=off -count=1 -timeout=40m

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: browser
	@echo 'Building; the first time takes about a minute.'
	@go run ./examples/demo

cluster: browser postgres s3server
	@go run ./examples/cluster

# Tests with a browser wait for much of their time, so three lanes run at once, and in one of them
# more packages than there are processors. What all of them are built of is built before, once, and
# no program linked of it (`go list -export`). The packages that take longest begin first, so that
# none of them is left alone in the end.
LONG := ./internal/browser/page ./internal/server ./internal/command ./bctrltest ./internal/store \
	./internal/browser/chromium ./internal/audit
test: browser window sdks postgres s3server
	@scripts/install-miniwob
	@go list -export $(RACE) ./... >/dev/null
	@$(MAKE) --no-print-directory -k -j3 test-long compat test-short
	@$(if $(RACE),,echo 'Left out: the race detector, which needs a C compiler (apt-get install gcc).')

test-long: PACKAGES := $(LONG)
test-long:
	@$(GO_TEST) -p=$$(( $$(nproc) + 1 ))

# What fails first does not keep the rest from being tested.
test-short:
	@failed=0; $(MAKE) --no-print-directory miniwob-sample || failed=1; \
		$(MAKE) --no-print-directory otlp || failed=1; $(GO_TEST) -p=1 || failed=1; exit $$failed
test-short: private PACKAGES = $(shell go list ./... | grep -vxF "$$(go list $(LONG))")

# A module of its own: nobody who uses bctrl gets these SDKs. What it has of `make soak` takes
# the time of many other tests, and runs at night.
compat: PACKAGES := . ./clients
compat: browser sdks postgres s3server
	@cd compat && $(GO_TEST)

compat-agents: browser sdks
	cd compat && $(if $(RACE),,CGO_ENABLED=0 )go test $(RACE) -count=1 -timeout=5m -run InARuntime .

# RECORD=1 writes the lists of compat/clients/testdata anew; PLAIN=1 runs the suites in
# a plain Chromium.
clients: browser
	cd compat && BCTRL_CLIENTS=1 BCTRL_CLIENTS_RECORD=$(RECORD) BCTRL_CLIENTS_PLAIN=$(PLAIN) \
		go test -count=1 -timeout=60m -v -run Suites ./clients

# A module of its own, as compat is. The sample is twenty tasks at one seed.
miniwob-sample: browser
	@scripts/install-miniwob
	@cd miniwob && $(GO_TEST)

miniwob: browser
	@scripts/install-miniwob
	cd miniwob && go test -count=1 -timeout=60m -v -run Policies -tasks all -seeds 5 . | grep -v '^='

fuzz-origins: browser
	BCTRL_FUZZ_ORIGINS=5000000 go test -count=1 -timeout=60m -v -run NoAddressIsTaken ./internal/browser/page

attacks: browser
	BCTRL_CASES=all go test -count=1 -timeout=20m -v -run AnObedientModel ./bctrltest | grep -v '^='

races: browser
	BCTRL_RACES=20000 go test -count=1 -timeout=60m -v -run NothingLeaksWhereAPageIsLeft ./internal/browser/page

bucket: s3server
	BCTRL_STORAGE_IN_BUCKET=1 go test -count=1 -timeout=10m -v -run InABucket ./internal/server | grep -v '^='

# A module of its own has it, since Toxiproxy is nothing that users get. BCTRL_SOAK_SEED=n plays a run again.
# BCTRL_UPGRADE_FROM=commit names what nodes are upgraded from, the commit before otherwise.
soak: browser postgres s3server
	cd compat && BCTRL_SOAK=full go test -count=1 -timeout=120m -v ./soak

LINTED := .
lint:
	@for module in $(LINTED); do (cd $$module && \
		go tool -modfile=$(CURDIR)/tools/go.mod golangci-lint run --timeout 20m ./...); done

fmt:
	$(TOOL) golangci-lint fmt ./...

bench: browser postgres s3server
	@scripts/install-miniwob
	cd bench && go run .

# What measures is not let rot. Measured without the race detector, as always.
bench-smoke: browser sdks postgres s3server
	cd bench && go test -vet=off -count=1 -timeout=5m .

vuln:
	$(TOOL) govulncheck ./...
	cd otlp && go tool -modfile=$(CURDIR)/tools/go.mod govulncheck ./...

check:
	.ci/run

browser:
	@scripts/install-browser
	@scripts/install-webdriver

# For the tests of browsers that have a window, which no other command needs.
window:
	@scripts/install-window

postgres:
	@scripts/install-postgres

sdks:
	@scripts/install-sdks

# A module of its own: nobody who uses bctrl gets OpenTelemetry.
otlp:
	@cd otlp && $(GO_TEST)

# Built once, since several packages ask for it at the same time.
s3server:
	@cd tools/s3 && go tool -n versitygw >/dev/null
