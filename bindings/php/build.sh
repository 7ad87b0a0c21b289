#!/usr/bin/env bash
# Builds the extension below the repository's build folder, so that phpize leaves nothing among the sources.
#
#   bindings/php/build.sh [release|asan]      prints the path of libcache.so in its last line
#
# Whoever only wants the extension needs none of this: cd bindings/php && phpize && ./configure && make
set -eu
cd "$(dirname "$0")"
variant=${1:-release}
root=$(cd ../.. && pwd)
dir=${BUILD:-$root/build}
case $dir in /*) ;; *) dir=$root/$dir ;; esac
dir=$dir/php/$variant

mkdir -p "$dir"
for file in *.c *.h config.m4 Makefile.frag; do
    cmp -s "$file" "$dir/$file" || cp "$file" "$dir/$file"
done
cd "$dir"
if [ ! -f Makefile ] || [ config.m4 -nt configured ] || [ "$(php-config --vernum)" != "$(cat configured)" ]; then
    phpize >phpize.log 2>&1 || { cat phpize.log >&2; exit 1; }
    LIBCACHE_ROOT=$root ./configure --with-libcache $([ "$variant" = asan ] && echo --enable-libcache-asan) >configure.log 2>&1 ||
        { tail -20 configure.log >&2; exit 1; }
    php-config --vernum >configured
fi

# Writing over a library that a process has mapped kills that process: it is built elsewhere and renamed into place.
mkdir -p staged modules
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make phplibdir="$dir/staged" >make.log 2>&1 || { cat make.log >&2; exit 1; }
grep -E 'warning:' make.log >&2 || true
if ! cmp -s staged/libcache.so modules/libcache.so; then
    cp staged/libcache.so "modules/libcache.so.$$"
    mv "modules/libcache.so.$$" modules/libcache.so
fi
echo "$dir/modules/libcache.so"
