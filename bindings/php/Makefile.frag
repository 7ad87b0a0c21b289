# The core, built by the repository's own Makefile into a folder of this build.
$(LIBCACHE_ARCHIVE): FORCE_LIBCACHE_CORE
	@env -u MAKEFLAGS -u CFLAGS -u LDFLAGS -u CPPFLAGS $(MAKE) --no-print-directory -C $(LIBCACHE_ROOT) BUILD=$(LIBCACHE_CORE) VARIANT=$(LIBCACHE_VARIANT) static

FORCE_LIBCACHE_CORE:
.PHONY: FORCE_LIBCACHE_CORE
