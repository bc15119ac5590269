# One target for each tier of proof; CI runs "make test", which is all of them but the benchmarks.
#
#   make check     format, vet, staticcheck, errcheck, import rules
#   make unit      the plain tests of all packages
#   make race      the same under the race detector
#   make fuzz      every fuzz target for FUZZTIME: a time (5m) or a number of inputs (10000x); few inputs in make test
#   make bench     the benchmarks
#   make interop   the official SDKs against the binary, on ports 8883, 5671 and 443, and strangers against our AMQP engine
#   make crash     kill -9 under load, again and again, and compare
#   make soak      load over breaking connections for SOAKTIME, compare, and look for what is left
#   make transcripts   record anew what real AMQP clients say, for internal/replaytest; on port 5671, and no part of CI
#   make build     the binary, as .work/bin/hubward
#   make tidy      go.mod of both modules, after a change of what one of them needs
#
# What a target needs beyond Go is installed below .work, which git ignores; what make cannot install, it names.

FUZZTIME ?= 100000x
SOAKTIME ?= 45s
PYTHON   ?= python3
# The Python that has Qpid Proton: Debian's own, as Debian packages it.
PROTON   ?= /usr/bin/python3

WORK  := .work
# The module of the clients that only tests and measurements need: docs/adr/0011. "./..." leaves it out, so a target for
# all packages runs twice.
CLIENTS := go -C internal/interop
TOOLS := $(CURDIR)/tools/go.mod
TAGS  := interop,crash,soak,record
# Where an error that nobody looked at loses data. Elsewhere the linter would mostly find sockets being closed.
STORES := ./internal/hub/... ./internal/eventlog/... ./internal/store/... ./internal/app
# SQLite translated from C, which the race detector need not watch: watching it makes the hub's own tests four times as long.
UNWATCHED := -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false
LOCKS := internal/interop/node/package.json internal/interop/node/package-lock.json
PINS  := internal/interop/python/requirements.txt
JAVA  := internal/interop/java

export GOFLAGS := -buildvcs=false $(GOFLAGS)

# $(call need,PROGRAM,WHERE IT COMES FROM) ends the target with a message when PROGRAM is missing.
need = command -v $(1) >/dev/null 2>&1 || { echo "make $@: $(1) is missing; install $(2)" >&2; exit 1; }

.PHONY: test test-code test-restarts clients check unit race fuzz bench interop crash soak transcripts build tidy clean

# What is busy all the time goes side by side with what mostly waits: downloads, restarts. The clients of the interop suite have
# deadlines of their own, so they have the machine to themselves.
test:
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check clients
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-code test-restarts
	@$(MAKE) --no-print-directory interop

test-code:
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory race
	@$(MAKE) --no-print-directory fuzz FUZZTIME=1000x

test-restarts:
	@$(MAKE) --no-print-directory crash
	@$(MAKE) --no-print-directory soak

check:
	@$(call need,go,Go 1.26 or later)
	@echo "== gofmt"
	@bad=$$(find . -name '*.go' -not -path './$(WORK)/*' -exec gofmt -l {} +); \
	  if [ -n "$$bad" ]; then echo "not formatted, run gofmt -w on:" >&2; echo "$$bad" >&2; exit 1; fi
	@echo "== go vet"
	go vet -tags $(TAGS) ./...
	$(CLIENTS) vet -tags $(TAGS) ./...
	@echo "== staticcheck"
	go tool -modfile="$(TOOLS)" staticcheck -tags $(TAGS) ./...
	$(CLIENTS) tool -modfile="$(TOOLS)" staticcheck -tags $(TAGS) ./...
	@echo "== errcheck"
	go tool -modfile="$(TOOLS)" errcheck -ignoretests -exclude tools/errcheck.txt $(STORES)
	@echo "== import rules"
	go test ./internal/archtest

unit:
	@$(call need,go,Go 1.26 or later)
	go test ./...
	$(CLIENTS) test ./...

race:
	@$(call need,go,Go 1.26 or later)
	@$(call need,gcc,gcc and the C library's headers: the race detector needs cgo)
	CGO_ENABLED=1 go test -race $(UNWATCHED) ./...
	CGO_ENABLED=1 $(CLIENTS) test -race $(UNWATCHED) ./...

fuzz:
	@$(call need,go,Go 1.26 or later)
	tools/fuzz $(FUZZTIME)

bench:
	go test -run '^$$' -bench . -benchmem ./...
	$(CLIENTS) test -run '^$$' -bench . -benchmem ./...

# The clients that the interop suite runs.
clients: $(WORK)/node/.done $(WORK)/venv/.done $(WORK)/java/.done

interop: clients
	@$(PROTON) -c 'import proton' 2>/dev/null \
	  || { echo "make $@: $(PROTON) has no Qpid Proton; install python3-qpid-proton, or name a Python that has it with PROTON=" >&2; exit 1; }
	PROTON=$(PROTON) $(CLIENTS) test -tags interop -count=1 -timeout 25m .

crash:
	@$(call need,go,Go 1.26 or later)
	go test -tags crash -count=1 -timeout 10m ./internal/crashtest

soak:
	@$(call need,go,Go 1.26 or later)
	HUBWARD_SOAK_TIME=$(SOAKTIME) $(CLIENTS) test -tags soak -count=1 -timeout 20m ./soaktest

transcripts: $(WORK)/node/.done $(WORK)/venv/.done
	PROTON=$(PROTON) go test -tags record -count=1 -timeout 10m -run '^TestRecord$$' ./internal/replaytest

# The commit goes into the program where there is one to ask git for: not in an unpacked archive, nor in a checkout that
# git does not trust. Go itself would fail in the latter, and finds nothing in a worktree.
STAMP = $$(git log -1 --format='%H %cI' 2>/dev/null)$$(git status --porcelain 2>/dev/null | grep -q . && echo ' modified')

build:
	@$(call need,go,Go 1.26 or later)
	go build -ldflags "-X 'github.com/hubward/hubward/internal/cli.stamp=$(STAMP)'" -o $(WORK)/bin/hubward ./cmd/hubward
	@$(WORK)/bin/hubward version

tidy:
	go mod tidy
	$(CLIENTS) mod tidy

# The clients of the interop suite, exactly as the lock files name them.
$(WORK)/node/.done: $(LOCKS)
	@$(call need,node,Node.js 20 or later)
	@$(call need,npm,npm (it comes with Node.js))
	@node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' \
	  || { echo "make $@: the SDKs need Node.js 20 or later, this is $$(node --version)" >&2; exit 1; }
	rm -rf $(@D) && mkdir -p $(@D) && cp $(LOCKS) $(@D)
	cd $(@D) && npm ci --no-audit --no-fund
	@touch $@

$(WORK)/venv/.done: $(PINS)
	@$(call need,$(PYTHON),Python 3.10 to 3.13)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "make $@: the SDKs have wheels for Python 3.10 to 3.13, this is $$($(PYTHON) --version); name another one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "make $@: $(PYTHON) cannot make virtual environments; install python3-venv" >&2; exit 1; }
	rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --disable-pip-version-check --quiet --only-binary uamqp -r $(PINS)
	@touch $@

# Maven keeps what it has downloaded in ~/.m2, and needs no network when all is there.
$(WORK)/java/.done: $(JAVA)/pom.xml $(wildcard $(JAVA)/src/journeys/*.java)
	@$(call need,javac,a JDK of version 17 or later)
	@$(call need,keytool,a JDK of version 17 or later)
	@$(call need,mvn,Maven 3.8 or later)
	@javac -version 2>&1 | awk '{ exit !($$2 + 0 >= 17) }' \
	  || { echo "make $@: the Java clients need a JDK of version 17 or later, this is $$(javac -version 2>&1)" >&2; exit 1; }
	rm -rf $(@D) && mvn --batch-mode --quiet --no-transfer-progress --file $(JAVA)/pom.xml -Dwork=$(CURDIR)/$(@D) package
	@touch $@

clean:
	rm -rf $(WORK)
