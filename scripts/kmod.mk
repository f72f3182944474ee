# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build kernel modules for any kernel tree, several side by side from one set of sources:
#
#   make kmod                                         for the running kernel's headers
#   make kmod KDIR=<tree> KOUT=build/kmod/<name>      for another tree (with ARCH=um for ours)
#   make kmod KSRC=tests/guest/splat KOUT=...         another module: a folder with a Kbuild
#
# Included by the top Makefile; also works alone: make -f scripts/kmod.mk kmod (scripts/vm).
# Kbuild writes next to the sources, so KOUT gets a symbolic link to each source file.
# A Kbuild finds the top folder (for headers) in $(RATMAN_TOP). KFLAGS go to the kernel's make.

KSRC ?= .
KDIR ?= /lib/modules/$(shell uname -r)/build
KOUT ?= build/kmod/$(notdir $(patsubst %/build,%,$(KDIR)))

.PHONY: kmod kmod-clean
kmod:
	@test -e $(KSRC)/Kbuild || { echo "kmod: there is no $(KSRC)/Kbuild" >&2; exit 1; }
	@test -d $(KDIR)/include || { echo "kmod: no kernel tree at $(KDIR); run scripts/setup, or name one with KDIR=" >&2; exit 1; }
	@mkdir -p $(dir $(KOUT))
	@flock $(KOUT).lock $(MAKE) --no-print-directory -f scripts/kmod.mk kmod-locked \
		KSRC=$(KSRC) KDIR=$(KDIR) KOUT=$(KOUT)

kmod-clean:
	rm -rf $(KOUT) $(KOUT).lock

# Everything below runs under the lock, in a make of its own.
ifneq ($(filter kmod-locked,$(MAKECMDGOALS)),)

ifeq ($(KSRC),.)
sources := Kbuild $(sort $(shell find kmod include -type f -name '*.[chS]'))
else
sources := $(sort $(shell find $(KSRC) -type f \( -name Kbuild -o -name '*.[chS]' \) -printf '%P\n'))
endif

# Another tree, or a file that came or went: objects of the old kind must not stay.
tree := $(KDIR) $(sources)
ifneq ($(tree),$(file <$(KOUT)/.tree))
$(shell rm -rf $(KOUT) && mkdir -p $(KOUT))
$(file >$(KOUT)/.tree,$(tree))
endif

.PHONY: kmod-locked
kmod-locked: $(KOUT)/.built

$(KOUT)/.built: $(addprefix $(KSRC)/,$(sources)) scripts/kmod.mk \
		$(wildcard $(KDIR)/Module.symvers $(KDIR)/include/generated/autoconf.h)
	@mkdir -p $(addprefix $(KOUT)/,$(sort $(dir $(sources))))
	@$(foreach source,$(sources),ln -sf $(abspath $(KSRC)/$(source)) $(KOUT)/$(source);)
	@+$(MAKE) --no-print-directory -s -C $(KDIR) M=$(abspath $(KOUT)) $(if $(ARCH),ARCH=$(ARCH)) \
		RATMAN_TOP=$(CURDIR) $(KFLAGS) modules
	@touch $@

endif
