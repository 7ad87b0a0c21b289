dnl phpize && ./configure && make. By default the core of this repository is built and linked in, so that libcache.so (the
dnl extension) works alone. --with-libcache=DIR links the libcache that is installed below DIR, --with-libcache=pkg-config the
dnl one that pkg-config knows.

PHP_ARG_WITH([libcache],
  [for the libcache extension],
  [AS_HELP_STRING([--with-libcache@<:@=DIR|pkg-config@:>@], [Build the libcache extension; with an installed core instead of
    the one of this repository])],
  [yes])

PHP_ARG_ENABLE([libcache-asan],
  [whether to build with AddressSanitizer],
  [AS_HELP_STRING([--enable-libcache-asan], [AddressSanitizer, for tests])],
  [no],
  [no])

if test "$PHP_LIBCACHE" != "no"; then
  dnl The environment may name another place of the repository, for builds away from it.
  LIBCACHE_ROOT=${LIBCACHE_ROOT:-`cd "$srcdir/../.." && pwd`}
  LIBCACHE_FLAGS="-O3 -fvisibility=hidden -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare"
  LIBCACHE_VARIANT=release
  if test "$PHP_LIBCACHE_ASAN" != "no"; then
    LIBCACHE_FLAGS="$LIBCACHE_FLAGS -O1 -g -fno-omit-frame-pointer -fsanitize=address"
    LIBCACHE_VARIANT=asan
  fi

  case "$PHP_LIBCACHE" in
  yes)
    AC_MSG_NOTICE([the core of $LIBCACHE_ROOT is built in])
    if test ! -f "$LIBCACHE_ROOT/include/libcache.h"; then
      AC_MSG_ERROR([$LIBCACHE_ROOT is not the libcache repository; use --with-libcache])
    fi
    LIBCACHE_CORE="`pwd`/core"
    if test "$LIBCACHE_VARIANT" = release; then
      LIBCACHE_ARCHIVE="$LIBCACHE_CORE/lib/libcache.a"
    else
      LIBCACHE_ARCHIVE="$LIBCACHE_CORE/$LIBCACHE_VARIANT/lib/libcache.a"
    fi
    AC_PATH_PROG([PKG_CONFIG], [pkg-config], [no])
    LIBCACHE_LIBS=
    for package in "hiredis:hiredis" "libcares:cares" "liblz4:lz4" "inih:inih"; do
      name=${package%%:*}
      found=
      if test "$PKG_CONFIG" != no; then
        found=`$PKG_CONFIG --libs $name 2>/dev/null`
      fi
      LIBCACHE_LIBS="$LIBCACHE_LIBS ${found:--l${package##*:}}"
    done
    PHP_ADD_INCLUDE([$LIBCACHE_ROOT/include])
    LIBCACHE_SHARED_LIBADD="$LIBCACHE_ARCHIVE -Wl,--exclude-libs,libcache.a -Wl,-z,nodelete $LIBCACHE_LIBS -lm -lpthread"
    PHP_SUBST([LIBCACHE_ROOT])
    PHP_SUBST([LIBCACHE_CORE])
    PHP_SUBST([LIBCACHE_ARCHIVE])
    PHP_SUBST([LIBCACHE_VARIANT])
    LIBCACHE_SHARED_DEPENDENCIES=$LIBCACHE_ARCHIVE
    PHP_SUBST([LIBCACHE_SHARED_DEPENDENCIES])
    ;;
  pkg-config)
    AC_PATH_PROG([PKG_CONFIG], [pkg-config], [no])
    if test "$PKG_CONFIG" = no || ! $PKG_CONFIG --exists libcache; then
      AC_MSG_ERROR([pkg-config does not know libcache])
    fi
    PHP_EVAL_INCLINE([`$PKG_CONFIG --cflags libcache`])
    PHP_EVAL_LIBLINE([`$PKG_CONFIG --libs libcache`], [LIBCACHE_SHARED_LIBADD])
    LIBCACHE_SHARED_LIBADD="$LIBCACHE_SHARED_LIBADD -Wl,-z,nodelete"
    ;;
  *)
    if test ! -f "$PHP_LIBCACHE/include/libcache.h"; then
      AC_MSG_ERROR([there is no include/libcache.h below $PHP_LIBCACHE])
    fi
    PHP_ADD_INCLUDE([$PHP_LIBCACHE/include])
    PHP_ADD_LIBRARY_WITH_PATH([cache], [$PHP_LIBCACHE/$PHP_LIBDIR], [LIBCACHE_SHARED_LIBADD])
    LIBCACHE_SHARED_LIBADD="$LIBCACHE_SHARED_LIBADD -Wl,-z,nodelete"
    ;;
  esac

  PHP_SUBST([LIBCACHE_SHARED_LIBADD])
  PHP_NEW_EXTENSION([libcache],
    [libcache.c options.c quantity.c handles.c cache.c read.c write.c load.c remember.c locks.c metrics.c values.c encode.c decode.c shapes.c msgpack_read.c msgpack_write.c],
    [$ext_shared], , [$LIBCACHE_FLAGS -I$LIBCACHE_ROOT/lib -DZEND_ENABLE_STATIC_TSRMLS_CACHE=1])
  if test -n "$LIBCACHE_ARCHIVE"; then
    PHP_ADD_MAKEFILE_FRAGMENT
  fi
  PHP_ADD_EXTENSION_DEP([libcache], [spl])
  PHP_ADD_EXTENSION_DEP([libcache], [json])
fi
