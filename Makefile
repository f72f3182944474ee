# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make            module, daemon, tools, library (no network)
#   make run        three routers in a test guest carry a file and ordinary programs
#   make test       everything; ends with "N passed, N failed"
#   make help       the rest
#
# Nothing here loads a module into the running kernel.

VERSION := 0.1.0

CC ?= gcc
CFLAGS ?= -O2 -g
PREFIX ?= /usr
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib/$(shell $(CC) -dumpmachine)
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/ratman
SYSCONFDIR ?= /etc
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR ?= /lib/systemd/system
DESTDIR ?=

# The running kernel's headers, else the newest installed ones.
KDIR ?= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build) \
	$(shell ls -dv /lib/modules/*-amd64/build /lib/modules/*/build 2>/dev/null | tail -n 1))

warnings := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wwrite-strings
hardening := -D_FORTIFY_SOURCE=2 -fstack-protector-strong
cflags := -std=gnu11 -D_GNU_SOURCE -DRATMAN_PACKAGE_VERSION='"$(VERSION)"' \
	-Iuserspace -Iinclude -Iinclude/uapi -MMD -MP -fPIC -fvisibility=hidden $(warnings)
nl_cflags := $(shell pkg-config --cflags libnl-genl-3.0 2>/dev/null)
json_cflags := $(shell pkg-config --cflags json-c 2>/dev/null)
cflags += $(nl_cflags) $(json_cflags)
ldflags := -pie -Wl,-z,relro,-z,now
libs_daemon := -luv -llmdb -lconfuse -lnl-genl-3 -lnl-3 -lsodium -lpthread
libs_tools := -ljson-c -lnl-genl-3 -lnl-3 -lsodium

base := $(wildcard userspace/base/*.c)
proto := $(wildcard userspace/proto/*.c)
library := $(wildcard userspace/libratman/*.c)
tools := $(wildcard userspace/tools/*.c)
kern := $(wildcard userspace/ratmand/kern/*.c)
daemon := $(filter-out userspace/ratmand/main.c,$(wildcard userspace/ratmand/*.c userspace/ratmand/*/*.c))
ratctl := $(wildcard userspace/ratctl/*.c)
ratcat := $(wildcard userspace/ratcat/*.c)

# What programs with libratman include; frame.h is the routers' own.
public_headers := $(filter-out include/ratman/frame.h,$(wildcard include/ratman/*.h))

# Of ratctl: what unit tests look at, since it asks nobody.
ratctl_pure := userspace/ratctl/top.c userspace/ratctl/rows.c

comma := ,
objects = $(patsubst %.c,build/$(1)/%.o,$(2))

programs := build/ratmand build/ratctl build/ratcat build/libratman.so.0

.PHONY: all userspace module run test check check-debug bench fuzz vm install clean help setup-build
all: userspace module
userspace: $(programs)

help:
	@sed -n '3,7s/^# \{0,1\}//p' Makefile
	@printf '%s\n' '  make bench      measurements, figures as JSON lines in build/bench/' \
	  '  make check      static checks: -Werror, sparse, checkpatch, man pages, spec' \
	  '  make check-debug  a short run on a small x86 debug kernel (sleep in atomic, SMP)' \
	  '  make fuzz       fuzzers, FUZZ_SECONDS=60 each' \
	  '  make vm         a shell in the guest mesh' \
	  '  make install    DESTDIR=, PREFIX=; the module by DKMS or modules_install'

# Objects: "plain" for use, "san" with sanitizers for the tests.
build/plain/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(cflags) $(hardening) $(CFLAGS) -c $< -o $@

build/san/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $< (san)"
	@$(CC) $(cflags) -Itests -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
		-fno-sanitize-recover=undefined -c $< -o $@

build/ratmand: $(call objects,plain,userspace/ratmand/main.c $(daemon) $(proto) $(base))
	@echo "  LD    $@"
	@$(CC) $(ldflags) $(LDFLAGS) $^ -o $@ $(libs_daemon)

build/ratctl: $(call objects,plain,$(ratctl) $(tools) $(kern) $(library) $(proto) $(base))
	@echo "  LD    $@"
	@$(CC) $(ldflags) $(LDFLAGS) $^ -o $@ $(libs_tools)

build/ratcat: $(call objects,plain,$(ratcat) $(tools) $(library) $(proto) $(base))
	@echo "  LD    $@"
	@$(CC) $(ldflags) $(LDFLAGS) $^ -o $@ $(libs_tools)

build/libratman.so.0: $(call objects,plain,$(library) $(proto) $(base)) userspace/libratman/libratman.map
	@echo "  LD    $@"
	@$(CC) -shared -Wl,-soname,libratman.so.0 -Wl,-z,relro,-z,now \
		-Wl,--version-script=userspace/libratman/libratman.map $(LDFLAGS) $(filter %.o,$^) -o $@ -lsodium
	@ln -sf libratman.so.0 build/libratman.so

# The module; scripts/kmod.mk builds it for any kernel tree, side by side.
include scripts/kmod.mk
module:
	@if [ -n "$(KDIR)" ]; then \
		$(MAKE) --no-print-directory kmod KDIR=$(KDIR); \
	else \
		echo "make: no kernel headers installed; the module is not built (scripts/setup build installs them)"; \
	fi

# Tests: each tests/unit/test_X.c and tests/sim/test_X.c is one program.
unit := $(patsubst tests/%.c,build/san/tests/%,$(wildcard tests/unit/test_*.c))
sims := $(patsubst tests/%.c,build/san/tests/%,$(wildcard tests/sim/test_*.c))
meshes := $(patsubst tests/%.c,build/san/tests/%,$(wildcard tests/mesh/test_*.c))
unit_support := $(call objects,san,$(filter-out $(wildcard tests/unit/test_*.c) tests/unit/powercut.c,$(wildcard tests/unit/*.c)))
sim_support := $(call objects,san,$(filter-out $(wildcard tests/sim/test_*.c),$(wildcard tests/sim/*.c)))
san_archive := build/san/ratman.a
$(san_archive): $(call objects,san,$(sort $(daemon) $(ratctl_pure) $(tools) $(library) $(proto) $(base)))
	@echo "  AR    $@"
	@rm -f $@ && ar rcs $@ $^

$(unit): build/san/tests/%: build/san/tests/%.o $(unit_support) $(san_archive)
	@echo "  LD    $@"
	@$(CC) -fsanitize=address,undefined $^ -o $@ -lcmocka -ljson-c $(libs_daemon)

# A disk that can fail stands before libc's functions: for those who want it only.
build/san/tests/unit/test_powercut build/san/tests/unit/test_powercut_service: \
	$(call objects,san,tests/unit/powercut.c)

$(sims): build/san/tests/%: build/san/tests/%.o $(sim_support) $(san_archive)
	@echo "  LD    $@"
	@$(CC) -fsanitize=address,undefined $^ -o $@ -lcmocka -ljson-c $(libs_daemon)

# The mesh over a fake kernel (in place of kern/ in the archive) and a fake clock for libuv.
mesh_wraps := uv_timer_start uv_timer_stop uv_close uv_now if_nametoindex
mesh_support := $(call objects,san,tests/unit/scratch.c \
	$(filter-out $(wildcard tests/mesh/test_*.c),$(wildcard tests/mesh/*.c)))
# ratctl as a function, for tests/mesh/test_ctl.c.
ratctl_main := build/san/tests/mesh/ratctl_main.o
$(ratctl_main): userspace/ratctl/ratctl.c
	@mkdir -p $(@D)
	@$(CC) $(cflags) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
		-fno-sanitize-recover=undefined -Dmain=ratctl_main -Wno-missing-prototypes -c $< -o $@
build/san/tests/mesh/test_ctl: $(ratctl_main) $(call objects,san,$(filter-out userspace/ratctl/ratctl.c,$(ratctl)))

$(meshes): build/san/tests/%: build/san/tests/%.o $(mesh_support) $(san_archive)
	@echo "  LD    $@"
	@$(CC) -fsanitize=address,undefined $(addprefix -Wl$(comma)--wrap=,$(mesh_wraps)) $^ \
		$(san_archive) -o $@ \
		-lcmocka -ljson-c $(libs_daemon)

build/san/ratmand: $(call objects,san,userspace/ratmand/main.c) $(san_archive)
	@echo "  LD    $@"
	@$(CC) -fsanitize=address,undefined $^ -o $@ $(libs_daemon)

build/san/ratctl: $(call objects,san,$(ratctl)) $(san_archive)
	@$(CC) -fsanitize=address,undefined $^ -o $@ -ljson-c $(libs_daemon)

build/san/ratcat: $(call objects,san,$(ratcat)) $(san_archive)
	@$(CC) -fsanitize=address,undefined $^ -o $@ -ljson-c $(libs_daemon)

san_programs := build/san/ratmand build/san/ratctl build/san/ratcat

# The library under ThreadSanitizer.
tsans := $(patsubst tests/%.c,build/tsan/tests/%,$(wildcard tests/tsan/test_*.c))
build/tsan/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $< (tsan)"
	@$(CC) $(cflags) -Itests -O1 -g -fsanitize=thread -c $< -o $@
$(tsans): build/tsan/tests/%: build/tsan/tests/%.o build/tsan/tests/unit/mini_daemon.o \
		$(call objects,tsan,$(library) $(proto) $(base))
	@echo "  LD    $@"
	@$(CC) -fsanitize=thread $^ -o $@ -lcmocka -lsodium

# Fuzzers: clang's libFuzzer; the same programs replay the corpus in make test.
fuzzers := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $< (fuzz)"
	@clang $(cflags) -Itests -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=undefined -c $< -o $@
build/fuzz/ratman.a: $(call objects,fuzz/obj,$(sort $(daemon) $(tools) $(library) $(proto) $(base)))
	@rm -f $@ && ar rcs $@ $^
fuzz_support := $(call objects,fuzz/obj,$(filter-out $(wildcard tests/unit/test_*.c) tests/unit/flow_world.c tests/unit/powercut.c,$(wildcard tests/unit/*.c)))
# Time of the server fuzzer passes when its input says so.
build/fuzz/fuzz_server: fuzz_wraps := uv_timer_start uv_timer_stop uv_timer_get_due_in uv_is_active uv_now uv_close
$(fuzzers): build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o $(fuzz_support) build/fuzz/ratman.a
	@echo "  LD    $@"
	@clang -fsanitize=fuzzer,address,undefined $(addprefix -Wl$(comma)--wrap=,$(fuzz_wraps)) $^ -o $@ \
		-lcmocka -ljson-c $(libs_daemon)

FUZZ_SECONDS ?= 60
fuzz: $(fuzzers)
	@for f in $(fuzzers); do name=$${f##*/fuzz_}; mkdir -p build/fuzz/corpus/$$name; \
		echo "fuzz $$name for $(FUZZ_SECONDS) s"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
			-artifact_prefix=build/fuzz/$$name- build/fuzz/corpus/$$name \
			tests/fuzz/corpus/$$name 2> build/fuzz/$$name.log || \
			{ tail -n 40 build/fuzz/$$name.log; exit 1; }; tail -n 1 build/fuzz/$$name.log; done

setup-build:
	@scripts/setup build

test:
	@scripts/setup all
	@$(MAKE) --no-print-directory -j$(shell nproc) userspace $(unit) $(sims) $(meshes) $(tsans) $(san_programs) $(fuzzers)
	@tests/run

run:
	@scripts/setup build run
	@$(MAKE) --no-print-directory -j$(shell nproc) userspace
	@tests/demo/run

vm:
	@scripts/setup build run
	@$(MAKE) --no-print-directory -j$(shell nproc) userspace
	@scripts/vm --topology line:3 --shell

# Benchmarks: userspace ones natively, the rest in guests.
benches := $(patsubst tests/bench/%.c,build/bench/%,$(wildcard tests/bench/bench_*.c))
bench_support := $(call objects,plain,tests/bench/bench.c $(filter-out $(wildcard tests/sim/test_*.c),$(wildcard tests/sim/*.c)))
build/bench/%: build/plain/tests/bench/%.o $(bench_support) build/plain/ratman.a
	@mkdir -p $(@D)
	@$(CC) $^ -o $@ -ljson-c $(libs_daemon)
build/plain/tests/%.o: cflags += -Itests
build/plain/ratman.a: $(call objects,plain,$(sort $(daemon) $(tools) $(library) $(proto) $(base)))
	@rm -f $@ && ar rcs $@ $^

bench:
	@scripts/setup all
	@$(MAKE) --no-print-directory -j$(shell nproc) userspace $(benches)
	@tests/bench/run

check:
	@scripts/setup build test
	@scripts/check

check-debug:
	@scripts/setup all
	@$(MAKE) --no-print-directory -j$(shell nproc) userspace
	@scripts/vm --kernel debug-x86 --topology line:3 --timeout 900 -- tests/guest/smoke

install: userspace
	install -D -m 755 build/ratmand $(DESTDIR)$(SBINDIR)/ratmand
	install -D -m 755 build/ratctl $(DESTDIR)$(BINDIR)/ratctl
	install -D -m 755 build/ratcat $(DESTDIR)$(BINDIR)/ratcat
	mkdir -p $(DESTDIR)$(COMPLETIONDIR)
	for program in ratctl ratcat; do \
		build/$$program --completion bash > $(DESTDIR)$(COMPLETIONDIR)/$$program || exit 1; done
	install -D -m 644 build/libratman.so.0 $(DESTDIR)$(LIBDIR)/libratman.so.0
	ln -sf libratman.so.0 $(DESTDIR)$(LIBDIR)/libratman.so
	install -D -m 644 -t $(DESTDIR)$(INCLUDEDIR)/ratman $(public_headers)
	install -D -m 644 include/uapi/linux/ratman.h $(DESTDIR)$(INCLUDEDIR)/linux/ratman.h
	mkdir -p $(DESTDIR)$(LIBDIR)/pkgconfig
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
		userspace/libratman/libratman.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/libratman.pc
	for page in Documentation/man/*.[1-9]; do \
		install -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done
	for page in Documentation/man/*.3; do base=$${page##*/}; \
		sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z_]*\).*/\1/p' $$page | while read -r name; do \
			[ $$name.3 = $$base ] || echo ".so man3/$$base" > $(DESTDIR)$(MANDIR)/man3/$$name.3; \
		done; done
	for example in Documentation/examples/*; do \
		install -D -m 644 $$example $(DESTDIR)$(DOCDIR)/examples/$${example##*/}; done
	install -D -m 644 scripts/package/systemd/ratmand.service $(DESTDIR)$(UNITDIR)/ratmand.service
	install -D -m 644 scripts/package/systemd/ratmand.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/ratmand.conf
	install -D -m 644 scripts/package/systemd/ratman.conf $(DESTDIR)$(PREFIX)/lib/modules-load.d/ratman.conf
	test -e $(DESTDIR)$(SYSCONFDIR)/ratmand/ratmand.conf || \
		install -D -m 644 scripts/package/ratmand.conf $(DESTDIR)$(SYSCONFDIR)/ratmand/ratmand.conf
	mkdir -p $(DESTDIR)$(PREFIX)/src/ratman-$(VERSION)
	cp -r Kbuild kmod include $(DESTDIR)$(PREFIX)/src/ratman-$(VERSION)/
	sed 's|@VERSION@|$(VERSION)|' scripts/package/dkms/dkms.conf \
		> $(DESTDIR)$(PREFIX)/src/ratman-$(VERSION)/dkms.conf

clean:
	rm -rf build

-include $(shell find build/plain build/san build/tsan build/fuzz/obj -name '*.d' 2>/dev/null)
