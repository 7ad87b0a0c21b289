#!/usr/bin/env bash
# What libcache shows to its host, and what it takes from it (G8):
#   - libcache.so exports the functions that libcache.h declares, and nothing else;
#   - lib/ imports nothing that ends the process, prints, installs signal handlers, sleeps or reads the environment.
# The checks are tried on a library that breaks every rule first: a check that finds nothing there is broken.
set -u
cd "$(dirname "$0")/.." || exit 1

build=${BUILD:-build}
cc=${CC:-gcc}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

banned="abort exit _exit _Exit quick_exit __assert_fail
    printf vprintf fprintf vfprintf dprintf vdprintf puts fputs putc fputc putchar fwrite perror psignal syslog
    signal sigaction sigset raise alarm setitimer
    sleep usleep nanosleep clock_nanosleep
    getenv secure_getenv"

# With _FORTIFY_SOURCE printf is __printf_chk; old C libraries put _IO_ before putc.
imported() {
    nm --undefined-only --format=posix "$@" | awk 'NF > 1 { print $1 }' |
        sed -e 's/@.*//' -e 's/^__\(.*\)_chk$/\1/' -e 's/^_IO_//' | sort -u
}
banned_imports() { imported "$@" | grep -Fxf <(printf '%s\n' $banned); }

exported() { nm --dynamic --defined-only --format=posix "$1" | awk '{ print $1 }' | sed 's/@.*//' | sort -u; }
foreign_exports() { exported "$1" | grep -v '^libcache_'; }

# The functions marked LIBCACHE_API, whose attribute the preprocessor shows as visibility("default").
declared() {
    "$cc" -E -P "$1" | tr '\n' ' ' | tr ';{}' '\n\n\n' |
        awk '/visibility\("default"\)/ && match($0, /libcache_[a-z0-9_]+ *\(/) {
            print substr($0, RSTART, RLENGTH - 1) }' | sort -u
}

failed=0
fail() { # what is wrong, and the names, one a line
    printf 'symbols: %s:\n' "$1"
    sed 's/^/    /' <<<"$2"
    failed=1
}

# The checks themselves first: one foreign export, every banned import.
{
    echo 'void libcache_good(void) { }'
    echo 'void ring_push(void); void ring_push(void) { }'
    for name in $banned; do echo "extern char $name[]; char *use_$name(void) { return $name; }"; done
} >"$scratch/bad.c"
"$cc" -w -fno-builtin -fPIC -fvisibility=default -c -o "$scratch/bad.o" "$scratch/bad.c" &&
    "$cc" -shared -o "$scratch/bad.so" "$scratch/bad.o" || exit 1
for name in $banned; do
    banned_imports "$scratch/bad.o" | grep -qx "$name" || fail "this check does not notice the import of" "$name"
done
foreign_exports "$scratch/bad.so" | grep -qx ring_push || fail "this check does not notice the export of" ring_push
[ $failed -eq 0 ] || exit 1

library=$build/lib/libcache.so
objects=$(find lib -name '*.c' | sed "s|^|$build/release/obj/|; s|c\$|o|")
for file in "$library" $objects; do
    [ -e "$file" ] || { echo "symbols: $file is not built"; exit 1; }
done

names=$(foreign_exports "$library") && fail "libcache.so exports what is not its own" "$names"
names=$(comm -23 <(declared include/libcache.h) <(exported "$library"))
[ -z "$names" ] || fail "libcache.h declares what libcache.so does not have" "$names"
names=$(comm -13 <(declared include/libcache.h) <(exported "$library" | grep '^libcache_'))
[ -z "$names" ] || fail "libcache.so exports what libcache.h does not declare" "$names"
for object in $objects; do
    names=$(banned_imports "$object") && fail "$object imports" "$names"
done

[ $failed -eq 0 ] && echo "symbols: $(exported "$library" | wc -l) exported, all declared; imports are clean"
exit $failed
