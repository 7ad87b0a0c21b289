# libcache. `make help` lists what can be made.
#
# A build is a variant: the same sources with other flags, in build/<variant>/, so that objects of one never
# mix with those of another. The release variant's libraries and programs go to build/lib/ and build/bin/.
#
# You may set CC CXX CPPFLAGS CFLAGS CXXFLAGS LDFLAGS (added to what libcache needs, never instead of it), PREFIX
# libdir includedir bindir mandir completiondir zshcompletiondir DESTDIR, BUILD (default: build), VARIANT (default: release),
# WERROR=1 (warnings are errors), V=1 (show the commands), JOBS (default: 2; what check and test build with).

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

VARIANT ?= release
BUILD ?= build
JOBS ?= 2

PREFIX ?= /usr/local
prefix ?= $(PREFIX)
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
completiondir ?= $(prefix)/share/bash-completion/completions
zshcompletiondir ?= $(prefix)/share/zsh/site-functions

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
AR ?= ar
PKG_CONFIG ?= pkg-config
CLANG ?= clang
CLANG_TIDY ?= clang-tidy
CLANG_FORMAT ?= clang-format
CPPCHECK ?= cppcheck
ifneq ($(filter clang libfuzzer,$(VARIANT)),)
override CC := $(CLANG)
endif

# ---- Variants: what each compiles with -----------------------------------------------------------------

# release, clang and portable are what users run: without assert (LIB_FLAGS). The others have it.
VARIANT_FLAGS_release := -O2 -g
VARIANT_FLAGS_clang := -O2 -g
VARIANT_FLAGS_portable := -O2 -g -DLIBCACHE_PORTABLE
VARIANT_FLAGS_hooks := -O1 -g -DLIBCACHE_HOOKS
VARIANT_FLAGS_debug := -O0 -g3 -DLIBCACHE_DEBUG
VARIANT_FLAGS_coverage := -O0 -g --coverage
VARIANT_FLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address
VARIANT_FLAGS_ubsan := -O1 -g -fno-omit-frame-pointer -fsanitize=undefined -fno-sanitize-recover=all
VARIANT_FLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
VARIANT_FLAGS_libfuzzer := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link
VARIANT_FLAGS := $(VARIANT_FLAGS_$(VARIANT))
ifeq ($(VARIANT_FLAGS),)
$(error There is no variant '$(VARIANT)')
endif

LIB_FLAGS := $(if $(filter release clang portable,$(VARIANT)),-DNDEBUG)

# ---- Flags -----------------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wwrite-strings
C_WARNINGS := $(WARNINGS) -Wstrict-prototypes -Wmissing-prototypes -Wundef
REQUIRED := -fPIC -fvisibility=hidden -pthread
INCLUDES := -Iinclude -Ilib
STRICT := $(if $(filter 1,$(WERROR)),-Werror)

INIH_CFLAGS := $(shell $(PKG_CONFIG) --cflags inih 2>/dev/null)
INIH_LIBS := $(or $(shell $(PKG_CONFIG) --libs inih 2>/dev/null),-linih)
LZ4_CFLAGS := $(shell $(PKG_CONFIG) --cflags liblz4 2>/dev/null)
LZ4_LIBS := $(or $(shell $(PKG_CONFIG) --libs liblz4 2>/dev/null),-llz4)
# The headers are <hiredis/...>: the folder above the one that hiredis.pc names, where that is not the usual one.
REDIS_CFLAGS := $(shell $(PKG_CONFIG) --cflags libcares 2>/dev/null) $(filter-out -I/usr/include, \
	$(patsubst %/hiredis,%,$(shell $(PKG_CONFIG) --cflags-only-I hiredis 2>/dev/null)))
REDIS_LIBS := $(or $(shell $(PKG_CONFIG) --libs hiredis libcares 2>/dev/null),-lhiredis -lcares)
CHECK_CFLAGS = $(shell $(PKG_CONFIG) --cflags check 2>/dev/null)
CHECK_LIBS = $(or $(shell $(PKG_CONFIG) --libs check 2>/dev/null),-lcheck)

COMPILE_FLAGS = $(INCLUDES) $(INIH_CFLAGS) $(LZ4_CFLAGS) $(REDIS_CFLAGS) $(CPPFLAGS) $(VARIANT_FLAGS)
C_FLAGS = $(COMPILE_FLAGS) $(C_WARNINGS) $(CFLAGS) -std=gnu11 $(REQUIRED)
CXX_FLAGS = $(COMPILE_FLAGS) $(WARNINGS) $(CXXFLAGS) -std=gnu++17 $(REQUIRED)
LINK_FLAGS = $(VARIANT_FLAGS) $(LDFLAGS) -pthread
LIBS = $(INIH_LIBS) $(LZ4_LIBS) $(REDIS_LIBS) -lpthread -lm

# ---- What there is, and what is made of it ---------------------------------------------------------------

VERSION := $(shell awk '$$2 ~ /^LIBCACHE_VERSION_(MAJOR|MINOR|PATCH)$$/ { printf "%s%s", dot, $$3; dot = "." }' include/libcache.h)
SONAME := libcache.so.0

OUT := $(BUILD)/$(VARIANT)
BIN := $(if $(filter release,$(VARIANT)),$(BUILD),$(OUT))/bin
LIB := $(if $(filter release,$(VARIANT)),$(BUILD),$(OUT))/lib
OBJ := $(OUT)/obj
objects = $(addprefix $(OBJ)/,$(addsuffix .o,$(basename $(1))))

LIB_SOURCES := $(sort $(wildcard lib/*.c lib/*/*.c))
LIB_OBJECTS := $(call objects,$(LIB_SOURCES))
STATIC := $(LIB)/libcache.a
SHARED := $(LIB)/libcache.so.$(VERSION)

# One program each, but for the demo: it has several files.
DEMO_SOURCES := $(sort $(wildcard examples/demo*.c))
EXAMPLES := $(patsubst examples/%.c,$(BIN)/example-%,$(filter-out $(DEMO_SOURCES),$(sort $(wildcard examples/*.c))))
DEMO := $(if $(DEMO_SOURCES),$(BIN)/libcache-demo)

# Tests that need the interleaving hooks or kill points exist in the variant that has them.
HOOK_TESTS := $(wildcard tests/test_*_hooks.c tests/test_kill*.c)
TEST_SOURCES := $(filter-out $(if $(filter hooks,$(VARIANT)),,$(HOOK_TESTS)),$(sort $(wildcard tests/test_*.c)))
TESTS := $(TEST_SOURCES:tests/%.c=$(OUT)/tests/%)
TEST_SUPPORT := $(call objects,$(sort $(wildcard tests/support/*.c)))

# The command-line tool knows libcache as any program does: by its header.
TOOL_SOURCES := $(sort $(wildcard tools/libcache/*.c))
TOOL := $(BIN)/libcache
TOOL_HOST := $(OUT)/tool-host

# Several hosts, seeded chaos, and a checker of what every read may be given; see tests/coherence/coherence.h.
COHERENCE := $(OUT)/coherence

FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,$(OUT)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

# ---- The benchmark's peers: each is in when its header and its bench/engine_<peer>.* are there -------------

PEERS := rocksdb cuckoo tbb uthash memcached lmdb
rocksdb_header := rocksdb/cache.h
rocksdb_libs := -lrocksdb
rocksdb_define := -DHAVE_ROCKSDB
cuckoo_header := libcuckoo/cuckoohash_map.hh
cuckoo_define := -DHAVE_CUCKOO
tbb_header := tbb/concurrent_hash_map.h
tbb_libs := -ltbb
tbb_define := -DHAVE_TBB
memcached_header := libmemcached/memcached.h
memcached_libs := -lmemcached
memcached_define := -DHAVE_MEMCACHED
lmdb_header := lmdb.h
lmdb_libs := -llmdb
lmdb_define := -DHAVE_LMDB
uthash_header := uthash.h
uthash_define := -DHAVE_UTHASH

HASH := \#
peer_sources = $(wildcard bench/engine_$(1).c bench/engine_$(1).cc bench/engine_$(1)_*.c bench/engine_$(1)_*.cc)
has_header = $(shell printf '%s\n' '$(HASH)if !__has_include(<$(1)>)' '$(HASH)error' '$(HASH)endif' \
	| $(CXX) $(CPPFLAGS) -E -x c++ - >/dev/null 2>&1 && echo yes)
PRESENT := $(foreach p,$(PEERS),$(if $(call peer_sources,$(p)),$(if $(call has_header,$($(p)_header)),$(p))))
PEER_DEFINES := $(foreach p,$(PRESENT),$($(p)_define))
PEER_LIBS := $(foreach p,$(PRESENT),$($(p)_libs))

ENGINES := $(filter-out $(foreach p,$(filter-out $(PRESENT),$(PEERS)),$(call peer_sources,$(p))), \
	$(sort $(wildcard bench/engine_*.c bench/engine_*.cc)))
HARNESS := bench/harness.c bench/child.c
L1_SOURCES := $(sort $(wildcard bench/bench_l1*.c))
L2_SOURCES := $(sort $(wildcard bench/bench_l2*.c))
LOAD_SOURCES := $(sort $(wildcard bench/bench_load*.c))
REPLAY_SOURCES := $(sort $(wildcard bench/bench_replay*.c))
BENCH_L1 := $(if $(L1_SOURCES),$(BIN)/bench-l1)
BENCH_L2 := $(if $(L2_SOURCES),$(BIN)/bench-l2)
BENCH_LOAD := $(if $(LOAD_SOURCES),$(BIN)/bench-load)
BENCH_REPLAY := $(if $(REPLAY_SOURCES),$(BIN)/bench-replay)
L1_LINKER := $(if $(filter %.cc,$(ENGINES)),$(CXX),$(CC))

# ---- Building ------------------------------------------------------------------------------------------------

.PHONY: all help static shared tool programs bench-programs php test-php python test-python bench-python test check demo bench deps bench-deps install uninstall \
	asan ubsan tsan portable hooks debug valgrind fuzz coherence model demo-program lint lint-size lint-banned lint-cppcheck lint-tidy \
	lint-analyzer format coverage docs dist clean print-tests print-hook-tests print-fuzzers print-coherence print-tool tool-programs \
	hook-programs FORCE

all: static shared tool $(EXAMPLES) $(DEMO) bench-programs ## Build the libraries, the tool, the examples and the benchmarks
static: $(STATIC) ## Build build/lib/libcache.a
shared: $(SHARED) ## Build build/lib/libcache.so
tool: $(TOOL) ## Build build/bin/libcache, the command-line tool
programs: $(TESTS) $(FUZZERS) $(COHERENCE)
tool-programs: $(TOOL) $(TOOL_HOST)
hook-programs: $(filter $(HOOK_TESTS:tests/%.c=$(OUT)/tests/%),$(TESTS)) $(COHERENCE)
bench-programs: $(BENCH_L1) $(BENCH_L2) $(BENCH_LOAD) $(BENCH_REPLAY)
demo-program: $(DEMO)

ifeq ($(filter 1,$(V)),)
Q := @
say = @printf '  %-5s %s\n' $(1) $(2)
endif

# Written anew when the flags or the list of the library's sources change: then all is built again.
$(OUT)/flags: export STAMP = $(CC) $(C_FLAGS) $(CXX) $(CXX_FLAGS) $(LINK_FLAGS) $(LIBS) $(PEER_DEFINES) $(LIB_SOURCES)
$(OUT)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' "$$STAMP" | cmp -s - $@ || printf '%s\n' "$$STAMP" >$@

$(OBJ)/lib/%.o: MORE = $(LIB_FLAGS)
$(OBJ)/tests/%.o: MORE = -Itests $(CHECK_CFLAGS)
$(OBJ)/bench/%.o: MORE = -Itests $(PEER_DEFINES)
$(OBJ)/tools/%.o: INCLUDES = -Iinclude

$(OBJ)/%.o: %.c $(OUT)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) $(MORE) $(STRICT) -MMD -MP -c -o $@ $<

# C++ is only there for peers, whose templates warn as they like: no WERROR.
$(OBJ)/%.o: %.cc $(OUT)/flags
	$(call say,CXX,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXX_FLAGS) $(MORE) -MMD -MP -c -o $@ $<

$(STATIC): $(LIB_OBJECTS)
	$(call say,AR,$@)
	@mkdir -p $(@D); rm -f $@
	$(Q)$(AR) rcs $@ $^

$(SHARED): $(LIB_OBJECTS) lib/libcache.map Makefile
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(LINK_FLAGS) -Wl,-soname,$(SONAME) -Wl,-z,nodelete,-z,relro,-z,now \
		-Wl,--version-script=lib/libcache.map -o $@ $(LIB_OBJECTS) $(LIBS)
	@ln -sf $(@F) $(LIB)/$(SONAME); ln -sf $(SONAME) $(LIB)/libcache.so

# A program: its objects, the static library, and what else it wants to be linked to ($(1): the linker, $(2): libraries).
define link
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(1) $(LINK_FLAGS) -o $@ $(filter %.o,$^) $(STATIC) $(2) $(LIBS)
endef

$(EXAMPLES): $(BIN)/example-%: $(OBJ)/examples/%.o $(STATIC)
	$(call link,$(CC))

$(BIN)/libcache-demo: $(call objects,$(DEMO_SOURCES)) $(STATIC)
	$(call link,$(CC))

$(TOOL): $(call objects,$(TOOL_SOURCES)) $(STATIC)
	$(call link,$(CC))

# What the tool's tests look at.
$(TOOL_HOST): $(call objects,tests/tool/host.c) $(STATIC)
	$(call link,$(CC))

$(BIN)/bench-l1: $(call objects,$(L1_SOURCES) $(ENGINES) $(HARNESS) tests/support/redis_server.c) $(STATIC)
	$(call link,$(L1_LINKER),$(PEER_LIBS) -lm)

$(BIN)/bench-l2: $(call objects,$(L2_SOURCES) $(HARNESS) tests/support/redis_server.c) $(STATIC)
	$(call link,$(CC),-lm)

$(BIN)/bench-load: $(call objects,$(LOAD_SOURCES) $(HARNESS) tests/support/redis_server.c) $(STATIC)
	$(call link,$(CC),-lm)

$(BIN)/bench-replay: $(call objects,$(REPLAY_SOURCES) $(HARNESS)) $(STATIC)
	$(call link,$(CC),-lz -lm)

$(TESTS): $(OUT)/tests/%: $(OBJ)/tests/%.o $(TEST_SUPPORT) $(STATIC)
	$(call link,$(CC),$(CHECK_LIBS))

$(COHERENCE): $(call objects,$(sort $(wildcard tests/coherence/*.c)) tests/support/redis_server.c tests/support/guards.c) $(STATIC)
	$(call link,$(CC))

ifeq ($(VARIANT),libfuzzer)
$(FUZZERS): $(OUT)/fuzz/%: $(OBJ)/tests/fuzz/fuzz_%.o $(STATIC)
	$(call link,$(CC),-fsanitize=fuzzer)
else
$(FUZZERS): $(OUT)/fuzz/%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/standalone.o $(STATIC)
	$(call link,$(CC))
endif

# Objects stay, header dependencies count.
.SECONDARY:
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# ---- Running -------------------------------------------------------------------------------------------------

export CC CXX BUILD JOBS PKG_CONFIG

deps: ## Install what is missing to build and demonstrate (apt)
	@tools/deps.sh

bench-deps: ## Install the caches that `make bench` compares with (apt)
	@tools/deps.sh bench

demo: ## Build the demo and run it
	@tools/deps.sh
	@$(MAKE) --no-print-directory demo-program
	@$(BIN)/libcache-demo $(DEMO_FLAGS)

check: ## Quick tests: release and hooks builds, symbols, installation (a good minute on two processors)
	+@tests/run.sh check

test: ## Everything: check, sanitizers, portable build, fuzz corpora, clang, lint, valgrind
	+@tests/run.sh test

# Python of the system, unless PYTHON says another.
python: ## Build the Python module (build/python/release/lib: add it to PYTHONPATH)
	+@bindings/python/run-tests.sh build

test-python: ## Build and test the Python module
	+@bindings/python/run-tests.sh

bench-python: ## Compare the Python module with dict, cachetools, pickle and redis-py, and a service that uses it
	+@BUILD=$(BUILD) bench/python/run.sh

asan ubsan tsan portable hooks debug: ## Build and run the tests in this variant
	+@tests/run.sh variant $@

COHERENCE_SECONDS ?= 600
coherence: ## Several hosts, seeded chaos and a checker for COHERENCE_SECONDS (default 600; COHERENCE_FLAGS=--help)
	@$(MAKE) --no-print-directory programs
	@$(COHERENCE) --seconds $(COHERENCE_SECONDS) $(COHERENCE_FLAGS)

model: ## Search the protocol's model with spin, and its mutations
	@tests/model/run.sh

php: ## Build the PHP extension (build/php/release/modules/libcache.so)
	@bindings/php/build.sh

test-php: ## The PHP extension, its userland classes and the Laravel package: all of their tests
	@tools/deps.sh php
	+@tests/run.sh php

valgrind: ## Run the quick tests under valgrind
	+@tests/run.sh valgrind

FUZZ_SECONDS ?= 60
fuzz: ## Fuzz each target with libFuzzer for FUZZ_SECONDS (default 60; needs clang)
	@$(MAKE) --no-print-directory VARIANT=libfuzzer programs
	@set -e; for target in $$($(MAKE) -s --no-print-directory VARIANT=libfuzzer print-fuzzers); do \
		name=$${target##*/}; mkdir -p $(BUILD)/libfuzzer/corpus/$$name; \
		echo "==> fuzz $$name, $(FUZZ_SECONDS) s"; \
		$$target -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/libfuzzer/$$name- \
			$(BUILD)/libfuzzer/corpus/$$name tests/fuzz/corpus/$$name; \
	done

bench: ## Run all benchmarks, with a report in build/bench/report.html (BENCH_FLAGS=--full; TRACE=file replays that trace)
	-@tools/deps.sh bench
	@$(MAKE) --no-print-directory bench-programs
	@bench/run.sh $(BENCH_FLAGS) $(if $(TRACE),'$(TRACE)')

docs: ## Make pages of the header and of docs/ in build/docs/html (needs doxygen)
	@mkdir -p $(BUILD)/docs
	@LIBCACHE_VERSION=$(VERSION) LIBCACHE_DOCS=$(BUILD)/docs doxygen docs/Doxyfile
	@echo $(BUILD)/docs/html/index.html

coverage: ## Measure what the tests cover (build/coverage/html when lcov is there)
	+@tests/run.sh coverage

print-tests:
	@printf '%s\n' $(TESTS)
print-hook-tests:
	@printf '%s\n' $(filter $(HOOK_TESTS:tests/%.c=$(OUT)/tests/%),$(TESTS))
print-fuzzers:
	@printf '%s\n' $(FUZZERS)
print-coherence:
	@printf '%s\n' $(COHERENCE)
print-tool:
	@printf '%s\n' $(TOOL) $(TOOL_HOST)

# ---- Lint: each of these fails on its first finding ------------------------------------------------------------

LINTED := $(LIB_SOURCES) $(sort $(wildcard examples/*.c)) $(TOOL_SOURCES)
LINT_FLAGS = $(INCLUDES) $(INIH_CFLAGS) $(LZ4_CFLAGS) $(REDIS_CFLAGS) $(CPPFLAGS) $(C_WARNINGS) -DNDEBUG -std=gnu11 $(REQUIRED)
BANNED := abort|exit|_exit|printf|fprintf|vprintf|vfprintf|puts|fputs|perror|signal|sigaction|sleep|usleep|nanosleep
BANNED := $(BANNED)|strcpy|strcat|sprintf|vsprintf|gets|atoi|getenv
MAX_LINES := 800

lint: lint-size lint-banned lint-analyzer lint-tidy lint-cppcheck ## clang-tidy, cppcheck, gcc -fanalyzer, banned functions, file sizes

lint-size:
	@wc -l $(wildcard lib/*.[ch] lib/*/*.[ch] tools/libcache/*.[ch]) | awk '$$2 != "total" && $$1 > $(MAX_LINES) { \
		print $$2 ": " $$1 " lines, more than $(MAX_LINES)"; bad = 1 } END { exit bad }'

# Comments are taken out first; they may speak of what the code must not do.
lint-banned:
	@bad=0; for file in $(wildcard lib/*.[ch] lib/*/*.[ch]); do \
		$(CC) -fpreprocessed -dD -E -P $$file 2>/dev/null | grep -E '(^|[^A-Za-z0-9_])($(BANNED)) *\(' \
			| sed "s|^ *|$$file: banned function: |" | grep . && bad=1; \
	done; exit $$bad

lint-cppcheck:
	$(call say,CHECK,cppcheck)
	$(Q)$(CPPCHECK) --quiet --error-exitcode=1 --enable=warning,portability,performance --std=c11 --inline-suppr \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches -Iinclude -Ilib -DNDEBUG $(LINTED)

lint-tidy: $(LINTED:%=$(BUILD)/lint/%.tidy)
$(BUILD)/lint/%.tidy: % .clang-tidy FORCE
	$(call say,TIDY,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG_TIDY) --quiet $< -- $(LINT_FLAGS) 2>$@ || { cat $@; exit 1; }

# Without optimization, which would take the faulty code away before the analyzer sees it.
lint-analyzer: $(LINTED:%.c=$(BUILD)/lint/%.o)
$(BUILD)/lint/%.o: %.c FORCE
	$(call say,ANLZ,$<)
	@mkdir -p $(@D)
	$(Q)gcc -O0 -fanalyzer $(LINT_FLAGS) -Werror -c -o $@ $<

format: ## Format the sources as .clang-format says
	@$(CLANG_FORMAT) -i $(wildcard $(foreach d,include lib lib/* examples bench tests tests/* tools/libcache,$(d)/*.[ch] $(d)/*.cc $(d)/*.hh))

# ---- Installing ------------------------------------------------------------------------------------------------

under_prefix = $(patsubst $(prefix)/%,$${prefix}/%,$(1))

install: static shared tool ## Install library, header, libcache.pc and the tool (DESTDIR, PREFIX, libdir, includedir, bindir, mandir)
	$(call say,INST,$(DESTDIR)$(prefix))
	$(Q)install -d "$(DESTDIR)$(libdir)/pkgconfig" "$(DESTDIR)$(includedir)" "$(DESTDIR)$(bindir)" "$(DESTDIR)$(mandir)/man1" \
		"$(DESTDIR)$(completiondir)" "$(DESTDIR)$(zshcompletiondir)"
	$(Q)install -m 755 $(TOOL) "$(DESTDIR)$(bindir)/libcache"
	$(Q)install -m 644 docs/libcache.1 "$(DESTDIR)$(mandir)/man1"
	$(Q)install -m 644 tools/libcache/completion.bash "$(DESTDIR)$(completiondir)/libcache"
	$(Q)install -m 644 tools/libcache/completion.zsh "$(DESTDIR)$(zshcompletiondir)/_libcache"
	$(Q)install -m 644 include/libcache.h "$(DESTDIR)$(includedir)"
	$(Q)install -m 644 $(STATIC) "$(DESTDIR)$(libdir)"
	$(Q)install -m 755 $(SHARED) "$(DESTDIR)$(libdir)"
	$(Q)ln -sf $(notdir $(SHARED)) "$(DESTDIR)$(libdir)/$(SONAME)"
	$(Q)ln -sf $(SONAME) "$(DESTDIR)$(libdir)/libcache.so"
	$(Q)sed -e 's|@prefix@|$(prefix)|; s|@version@|$(VERSION)|' \
		-e 's|@libdir@|$(call under_prefix,$(libdir))|; s|@includedir@|$(call under_prefix,$(includedir))|' \
		pkg-config/libcache.pc.in >"$(DESTDIR)$(libdir)/pkgconfig/libcache.pc"

uninstall: ## Remove what install has put there
	$(Q)rm -f "$(DESTDIR)$(bindir)/libcache" "$(DESTDIR)$(mandir)/man1/libcache.1" "$(DESTDIR)$(completiondir)/libcache" \
		"$(DESTDIR)$(zshcompletiondir)/_libcache"
	$(Q)rm -f "$(DESTDIR)$(includedir)/libcache.h" "$(DESTDIR)$(libdir)/pkgconfig/libcache.pc" \
		"$(DESTDIR)$(libdir)/libcache.a" "$(DESTDIR)$(libdir)/libcache.so" \
		"$(DESTDIR)$(libdir)/$(SONAME)" "$(DESTDIR)$(libdir)/$(notdir $(SHARED))"

dist: ## Pack the last commit as build/libcache-VERSION.tar.gz
	@mkdir -p $(BUILD)
	@git archive --format=tar.gz --prefix=libcache-$(VERSION)/ -o $(BUILD)/libcache-$(VERSION).tar.gz HEAD
	@echo $(BUILD)/libcache-$(VERSION).tar.gz

clean: ## Remove all that was built
	$(Q)rm -rf $(BUILD)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z][a-z -]*:.*## / { printf "  %-36s %s\n", $$1, $$2 }' Makefile
