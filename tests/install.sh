#!/usr/bin/env bash
# Installs into an empty DESTDIR and does there what a user does:
#   - compiles every example with pkg-config, shared and static, and runs those that need no arguments
#     (one that prints "usage" and fails wants some);
#   - compiles the header alone as C99, C11 and C++17, pedantically, and uses its _INIT macros;
#   - asks the installed tool and its manual page for their version;
#   - uninstalls, and looks that nothing is left.
set -u
cd "$(dirname "$0")/.." || exit 1

cc=${CC:-gcc}
cxx=${CXX:-g++}
pkg_config=${PKG_CONFIG:-pkg-config}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
fail() { # from a background job, too
    echo "install: $*"
    : >"$scratch/failed"
}

run_make() { ${MAKE:-make} -s --no-print-directory VARIANT=release "$@" DESTDIR="$scratch/root" PREFIX=/opt/libcache; }
run_make install || exit 1

tree=$scratch/root/opt/libcache
for file in include/libcache.h lib/libcache.a lib/libcache.so lib/libcache.so.0 lib/pkgconfig/libcache.pc bin/libcache \
    share/man/man1/libcache.1 share/bash-completion/completions/libcache share/zsh/site-functions/_libcache; do
    [ -e "$tree/$file" ] || fail "$file is not installed"
done

export PKG_CONFIG_PATH=$tree/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$scratch/root
version=$("$pkg_config" --modversion libcache) || exit 1
[ -e "$tree/lib/libcache.so.$version" ] || fail "there is no libcache.so.$version, the version that libcache.pc names"
for word in BIND_NOW NODELETE 'SONAME.*\[libcache.so.0\]'; do
    readelf -d "$tree/lib/libcache.so" | grep -q "$word" || fail "libcache.so lacks $word"
done

# A user who links statically has no libcache.so.
mkdir "$scratch/static"
cp -r "$tree/lib/libcache.a" "$scratch/static"

# The demo has several files, every other example is one.
sources_of() { # its main file
    case $1 in
    examples/demo.c) echo examples/demo*.c ;;
    *) echo "$1" ;;
    esac
}

compile() { # shared or static, source, program
    if [ "$1" = shared ]; then
        "$cc" -Wall -Wextra -o "$3" $(sources_of "$2") $("$pkg_config" --cflags --libs libcache)
    else
        "$cc" -Wall -Wextra -o "$3" $(sources_of "$2") -L"$scratch/static" \
            $("$pkg_config" --static --cflags --libs libcache | sed "s|-L$tree/lib||")
    fi
}

run() { # program, name
    local status
    LD_LIBRARY_PATH=$tree/lib timeout 60 "$1" </dev/null >"$1.out" 2>&1
    status=$?
    if [ $status -ne 0 ] && ! grep -qi '^usage' "$1.out"; then
        fail "$2 ends with status $status:"
        tail -20 "$1.out"
    fi
}

count=0
for source in examples/*.c; do
    [ -e "$source" ] || { fail "there are no examples"; break; }
    case $source in examples/demo_*) continue ;; esac
    name=$(basename "$source" .c)
    for kind in shared static; do
        program=$scratch/$name-$kind
        if ! compile $kind "$source" "$program"; then
            fail "$source does not compile ($kind)"
            continue
        fi
        needed=$(readelf -d "$program" | grep -c 'NEEDED.*\[libcache.so.0\]')
        if [ $kind = shared ]; then
            [ "$needed" -eq 1 ] || fail "$name-shared does not use libcache.so.0"
        else
            [ "$needed" -eq 0 ] || fail "$name-static uses libcache.so"
        fi
        run "$program" "$name-$kind" &
        count=$((count + 1))
    done
done

# The header alone (twice: its guard), as the strictest builds of its users see it, and then each _INIT macro.
# C++ has no initializer of the first field alone that -Wextra is content with, hence -Wno-missing-field-initializers.
header=$tree/include/libcache.h
printf '#include <libcache.h>\n#include <libcache.h>\nextern int nothing;\n' >"$scratch/alone"
{
    cat "$scratch/alone"
    sed -n 's/^#define LIBCACHE_\([A-Z_]*\)_INIT .*/\1/p' "$header" | while read -r name; do
        type=libcache_$(tr '[:upper:]' '[:lower:]' <<<"$name")
        echo "extern $type an_$type; $type an_$type = LIBCACHE_${name}_INIT;"
    done
} >"$scratch/macros"

header_compiles() { # file, compiler, its flags...
    local file=$1 compiler=$2
    shift 2
    "$compiler" -Wall -Wextra -Werror -pedantic "$@" -I"$tree/include" -fsyntax-only "$scratch/$file" \
        >"$scratch/out" 2>&1 && return
    fail "libcache.h ($file) does not compile with $compiler $*:"
    grep -m 5 error "$scratch/out"
}
compilers="$cc"
command -v clang >/dev/null && [ "$cc" != clang ] && compilers="$cc clang"
for compiler in $compilers; do
    for standard in c99 c11; do
        header_compiles alone "$compiler" -std=$standard -x c
        header_compiles macros "$compiler" -std=$standard -x c
    done
done
for compiler in "$cxx" ${compilers#"$cc"}; do
    header_compiles alone "$compiler" -std=c++17 -x c++
    header_compiles macros "$compiler" -Wno-missing-field-initializers -std=c++17 -x c++
done

[ "$("$tree/bin/libcache" --version)" = "libcache $version" ] || fail "the tool is not of version $version"
grep -q "^\.TH LIBCACHE 1 .*\"libcache $version\"" "$tree/share/man/man1/libcache.1" || fail "the manual page is not of version $version"

wait # for the examples
run_make uninstall || fail "uninstall does not work"
left=$(find "$scratch/root" ! -type d)
[ -z "$left" ] || fail "uninstall leaves $left"

[ -e "$scratch/failed" ] && exit 1
echo "install: version $version; $count programs built and run; header is clean"
