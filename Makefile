# SPDX-License-Identifier: MIT
# The front door. Each target does all its own set-up: packages, configuration, build.
#
#   make run                 proof of keepalive on this kernel, in a private network
#   make run ARGS="sysctl"   any command
#   make test                everything; STRICT=1 turns each skip into a failure
#   make check               the seconds-long core, for each save
#   make bench               what it costs, side by side with the peers
#   make test-kernel         KERNEL=6.1: on another of Debian's kernels, emulated: a quarter of an hour
#   make install             as root; PREFIX=/usr/local, DESTDIR=
#   make clean               takes the build trees away

BUILD  ?= build
PREFIX ?= /usr/local
ARGS   ?= prove
KERNEL ?= 6.1
STRICT ?= 0

# Where Debian's linker and pkg-config look. meson would need dpkg-dev to know, and without it takes lib64.
libdir = $$(m=$$(cc -print-multiarch 2>/dev/null); [ -z "$$m" ] || [ ! -d /usr/lib/$$m ] || echo --libdir=lib/$$m)

# Reconfigured when the prefix changes; the build type is meson.build's.
configure = test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix=$(PREFIX) $(libdir) >$(BUILD).log 2>&1 \
	|| { cat $(BUILD).log; exit 1; }; rm -f $(BUILD).log
compile = ninja -C $(BUILD) --quiet

.PHONY: all run test test-kernel check bench install clean

all:
	@build-aux/setup build
	@$(configure)
	@$(compile)

run: all
	@$(BUILD)/src/cli/tcpkeep $(ARGS)

test:
	@build-aux/setup build test
	@STRICT=$(STRICT) build-aux/run-tests

test-kernel: all
	@build-aux/setup test kernel
	@$(configure)
	@$(compile)
	@tests/kernels/boot $(BUILD) $(KERNEL)

check: all
	@build-aux/setup test
	@$(configure)
	@$(compile)
	@meson test -C $(BUILD) --suite unit --suite cli --print-errorlogs

bench: all
	@build-aux/setup bench
	@status=0; for bench in run methods policy list set-storm; do bench/$$bench $(BUILD) || status=1; done; exit $$status

install: all
	@meson configure $(BUILD) --prefix=$(PREFIX)
	@$(compile) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }; rm -f $(BUILD).log
	@meson install -C $(BUILD) --quiet --no-rebuild
	@# Programs find the library by the linker's cache; a staged installation has none.
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig 2>/dev/null || true; fi

clean:
	rm -rf $(BUILD) build build-test build-asan
