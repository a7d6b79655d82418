# rt: builds rt.so by PGXS, and the two programs by rules of their own.
#
#   make                build everything          make SANITIZE=1 ...  the programs under ASan and UBSan
#   make install        install it                make WERROR=1 ...    warnings are errors
#   make demo           a running server to look at, with users and rooms
#   make test           build, install and run every test; make test SANITIZE=1, make test SUITES="unit tap"
#   make test-versions  the same for other releases of PostgreSQL; make test-versions VERSIONS="17 18"
#   make test-package   builds the Debian package in a chroot, installs and tries it
#   make test-container  builds the container's image and runs it
#   make dist           the source of a release, build/dist/rt-VERSION.tar.gz
#   make fuzz           runs each fuzz target for a minute; make fuzz FUZZ_SECONDS=2
#   make bench          the table of measurements; make bench PART=a
#   make soak           random histories of many devices for hours; make soak SOAK_HOURS=8 SOAK_SEED=100
#   make lint           what clang, clang-format and eslint say
#   make lint-layers    the order of the folders: what includes or calls what

# These install what the rest of this file needs, so they must not need it themselves.
SELF_SUFFICIENT = demo test test-versions test-package test-container bench fuzz soak
.PHONY: $(SELF_SUFFICIENT)
demo:
	@test/demo
test:
	@test/run $(if $(SANITIZE),--sanitize) $(SUITES)
test-versions:
	@test/versions $(VERSIONS)
test-package:
	@test/package
test-container:
	@test/container
bench:
	@test/bench/run $(PART)
SOAK_HOURS ?= 4
SOAK_SEED ?= $(shell date +%s)
soak:
	@node test/clients/histories/run.mjs --hours $(SOAK_HOURS) --seed $(SOAK_SEED) --seconds 60 --jobs 2
FUZZ_SECONDS ?= 60
fuzz:
	$(MAKE) -C test/unit fuzz SECONDS=$(FUZZ_SECONDS)

ifeq ($(filter $(SELF_SUFFICIENT),$(MAKECMDGOALS)),)

.DEFAULT_GOAL := all

EXTENSION = rt
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" rt.control)
MODULE_big = rt
DATA_built = rt--$(EXTVERSION).sql
DATA = $(wildcard extension/released/rt--*.sql extension/released/rt--*.control extension/upgrade/rt--*.sql)
SERVER_DIRS = extension $(addprefix extension/,changes events messages text config access server) $(addprefix bgworker/,launcher supervisor relay worker)
# Verifying a token is the one thing that the server and the programs do with the same code.
OBJS = $(patsubst %.c,%.o,$(wildcard $(addsuffix /*.c,$(SERVER_DIRS))) bgworker/common/crypto/jws.c)

REGRESS = $(patsubst sql/%.sql,%,$(wildcard sql/*.sql))
REGRESS_OPTS = --temp-config=test/regress.conf
ISOLATION = $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec))
ISOLATION_OPTS = --inputdir=test --outputdir=output_iso

PG_CONFIG ?= pg_config
PKG_CONFIG ?= pkg-config

SHLIB_LINK += $(shell $(PKG_CONFIG) --libs libcrypto) -lcrypt
EXTRA_CLEAN = build/plain build/sanitize build/www build/dist rt--$(EXTVERSION).sql

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

override CPPFLAGS += -I$(srcdir) $(shell $(PKG_CONFIG) --cflags libcrypto)
override CFLAGS += -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-declaration-after-statement
ifdef WERROR
override CFLAGS += -Werror
endif
# The flags of PGXS, and attributes in the headers of the server, are those of the compiler that built it, mostly gcc.
ifneq ($(findstring clang,$(shell $(CC) --version)),)
override CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes
endif

# PGXS knows of no headers: any change of one builds all anew.
$(OBJS): $(wildcard $(addsuffix /*.h,$(SERVER_DIRS))) $(addprefix bgworker/common/,version.h clock.h activity.h crypto/jws.h)

# The SQL of the extension, joined in the order of the files' names.
rt--$(EXTVERSION).sql: $(sort $(wildcard extension/schema/*.sql))
	(printf '%s\n' '\echo Use "CREATE EXTENSION rt" to load this file. \quit'; cat $^) > $@

# ---- the programs -----------------------------------------------------------
# Objects of a sanitized build lie beside the others, so that the two can be mixed in one tree.
PROG_BUILD = build/$(if $(SANITIZE),sanitize,plain)
PROG_CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -fno-omit-frame-pointer -fstack-protector-strong -D_GNU_SOURCE -I.
ifdef WERROR
PROG_CFLAGS += -Werror
endif
ifdef SANITIZE
PROG_CFLAGS += -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
PROG_LDFLAGS += -fsanitize=address,undefined
else
PROG_CFLAGS += -D_FORTIFY_SOURCE=2
PROG_LDFLAGS += -Wl,-z,relro,-z,now
endif
# pkg-config names what headers may need too; only libraries of which something is called are loaded.
PROG_LDFLAGS += -Wl,--as-needed

COMMON_PKGS = libuv jansson libpq libseccomp
GATEWAY_PKGS = $(COMMON_PKGS) libwebsockets libcrypto libssl zlib
MEDIA_PKGS = $(COMMON_PKGS) nice libsrtp2 libcrypto libssl

common_OBJS = $(patsubst %.c,$(PROG_BUILD)/%.o,$(wildcard bgworker/common/*.c bgworker/common/*/*.c))
gateway_OBJS = $(patsubst %.c,$(PROG_BUILD)/%.o,$(wildcard bgworker/gateway/*.c bgworker/gateway/*/*.c))
media_OBJS = $(patsubst %.c,$(PROG_BUILD)/%.o,$(wildcard bgworker/media/*.c bgworker/media/*/*.c))

$(PROG_BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(PROG_CFLAGS) $(shell $(PKG_CONFIG) --cflags $(GATEWAY_PKGS) $(MEDIA_PKGS)) -MMD -MP -c -o $@ $<

-include $(common_OBJS:.o=.d) $(gateway_OBJS:.o=.d) $(media_OBJS:.o=.d)

$(PROG_BUILD)/rt_gateway: $(gateway_OBJS) $(common_OBJS)
	$(CC) $(PROG_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs $(GATEWAY_PKGS)) -lm -ldl -lpthread

$(PROG_BUILD)/rt_media: $(media_OBJS) $(common_OBJS)
	$(CC) $(PROG_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs $(MEDIA_PKGS)) -lm -lpthread

# A program is built where it has a main.
PROGRAMS_BUILT = $(foreach p,gateway media,$(if $(wildcard bgworker/$(p)/main.c),$(PROG_BUILD)/rt_$(p)))

.PHONY: programs install-programs
programs: $(PROGRAMS_BUILT)
all: programs

# Beside rt.so, where the supervisor looks for them; and by name in the folder of the server's programs, for hosts of their own:
# a program finds the application where it really lies.
install: install-programs
install-programs: $(PROGRAMS_BUILT)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	for p in $(PROGRAMS_BUILT); do $(INSTALL_PROGRAM) $$p '$(DESTDIR)$(pkglibdir)/' || exit 1; done
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	for p in $(notdir $(PROGRAMS_BUILT)); do ln -srf '$(DESTDIR)$(pkglibdir)'/$$p '$(DESTDIR)$(bindir)'/$$p || exit 1; done

uninstall: uninstall-programs
.PHONY: uninstall-programs
uninstall-programs:
	rm -f '$(DESTDIR)$(pkglibdir)/rt_gateway' '$(DESTDIR)$(pkglibdir)/rt_media' '$(DESTDIR)$(bindir)/rt_gateway' '$(DESTDIR)$(bindir)/rt_media'

# ---- the application that the gateway serves ------------------------------------
# Bundled by npm's esbuild into files that need no network, beside the programs.  Without npm GET / finds nothing.
WWW = build/www/index.html
REFERENCE = docs/openapi.yaml docs/asyncapi.yaml
$(WWW): $(wildcard bgworker/www/src/* bgworker/www/lang/* bgworker/www/reference/*) bgworker/www/shell.mjs $(REFERENCE) $(wildcard clients/js/src/*.js) clients/js/tools/typescript.mjs bgworker/www/build bgworker/www/package-lock.json
	@bgworker/www/build $(@D)

.PHONY: www install-www uninstall-www dist
www: $(WWW)
all: www
install: install-www
# File by file over what is there: a gateway may start at this moment.
install-www: www
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)/rt_www'
	$(INSTALL_DATA) $(REFERENCE) '$(DESTDIR)$(pkglibdir)/rt_www/'
	if [ -e $(WWW) ]; then \
		$(MKDIR_P) '$(DESTDIR)$(pkglibdir)/rt_www/assets' '$(DESTDIR)$(pkglibdir)/rt_www/socket.io' && \
		$(INSTALL_DATA) build/www/index.html* build/www/sw.js* build/www/manifest.webmanifest* build/www/reference.html* '$(DESTDIR)$(pkglibdir)/rt_www/' && \
		$(INSTALL_DATA) build/www/assets/* '$(DESTDIR)$(pkglibdir)/rt_www/assets/' && \
		$(INSTALL_DATA) build/www/socket.io/* '$(DESTDIR)$(pkglibdir)/rt_www/socket.io/'; \
		for f in '$(DESTDIR)$(pkglibdir)'/rt_www/assets/*; do [ -e "build/www/assets/$$(basename "$$f")" ] || rm -f "$$f"; done; \
	fi
uninstall: uninstall-www
uninstall-www:
	rm -rf '$(DESTDIR)$(pkglibdir)/rt_www'

# ---- the source of a release --------------------------------------------------
# What git has, and the bundled application, so that building from it needs neither npm nor a network.
DIST = rt-$(EXTVERSION)
dist: www
	test -e $(WWW)
	rm -rf build/dist
	mkdir -p build/dist/$(DIST)
	git archive HEAD | tar -x -C build/dist/$(DIST)
	cp -r build/www build/dist/$(DIST)/bgworker/www/dist
	tar -C build/dist -czf build/dist/$(DIST).tar.gz --owner=root:0 --group=root:0 $(DIST)

# ---- lint -------------------------------------------------------------------
CLANG ?= clang
LINT_FLAGS = -fsyntax-only -Werror -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers

.PHONY: lint lint-extension lint-programs lint-format lint-layers lint-js
lint: lint-format lint-layers lint-extension lint-programs lint-js
CLANG_FORMAT ?= clang-format
lint-format:
	@find bgworker extension test -name node_modules -prune -o -name '*.[ch]' -print | xargs $(CLANG_FORMAT) --dry-run -Werror
lint-js:
	@test/lint/javascript
lint-extension: $(patsubst %.o,%.c,$(OBJS))
	for f in $^; do $(CLANG) $(LINT_FLAGS) -Wno-ignored-attributes $(CPPFLAGS) $$f || exit 1; done
lint-programs: $(wildcard $(foreach d,common gateway media,bgworker/$(d)/*.c bgworker/$(d)/*/*.c))
	for f in $^; do \
		$(CLANG) $(LINT_FLAGS) -std=gnu11 -D_GNU_SOURCE -I. $(shell $(PKG_CONFIG) --cflags $(GATEWAY_PKGS) $(MEDIA_PKGS)) $$f || exit 1; \
	done
# The order of the folders, docs/layers.txt: it reads the objects.
lint-layers: all
	@test/lint/layers

endif
