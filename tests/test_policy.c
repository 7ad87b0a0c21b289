/* Namespace policies: the file, and what code, file and defaults make together. SPDX-License-Identifier: MIT */
#include "policy.h"

#include "base/memory.h"
#include "base/quantity.h"
#include "support/support.h"

#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define S UINT64_C(1000)
#define M (60 * S)
#define H (60 * M)
#define D (24 * H)
#define F LIBCACHE_FOREVER
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2
#define CACHE_MAX ((size_t)1 << 20)
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* A hundred bytes, the longest name. */
#define NAME_50 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define NAME_100 NAME_50 NAME_50

/* ---- Helpers ------------------------------------------------------------------------------------------------- */

static struct policy_book *read_good(const char *text, size_t size)
{
    struct policy_book *book = NULL;
    libcache_error error = { 0, "" };
    int result = policy_read_text(&book, "p.ini", text, size, &memory_default, &error);
    ck_assert_msg(result == LIBCACHE_OK, "refused: %s\nin:\n%s", error.text, text);
    ck_assert_ptr_nonnull(book);
    ck_assert_str_eq(error.text, "");
    return book;
}

static void expect_refused(const char *text, size_t size, const char *want)
{
    struct counted_memory memory;
    struct policy_book *const untouched = (struct policy_book *)&memory, *book = untouched;
    libcache_error error = { 0, "" };
    int result;
    counted_memory_init(&memory);
    result = policy_read_text(&book, "p.ini", text, size, &memory.allocator, &error);
    ck_assert_msg(result == LIBCACHE_EPOLICY, "result %d for:\n%s", result, text);
    ck_assert_int_eq(error.code, LIBCACHE_EPOLICY);
    ck_assert_str_eq(error.text, want);
    ck_assert_ptr_eq(book, untouched);
    ck_assert_int_eq(memory.live, 0);
    ck_assert_int_eq(policy_read_text(&book, "p.ini", text, size, &memory.allocator, NULL), LIBCACHE_EPOLICY);
}

static void expect_equal(const libcache_policy *got, const libcache_policy *want)
{
    ck_assert_uint_eq(got->struct_size, sizeof *got);
    ck_assert_uint_eq(got->ttl_ms, want->ttl_ms);
    ck_assert_uint_eq(got->negative_ttl_ms, want->negative_ttl_ms);
    ck_assert_uint_eq(got->soft_ttl_ms, want->soft_ttl_ms);
    ck_assert_uint_eq(got->grace_ms, want->grace_ms);
    ck_assert_uint_eq(got->jitter_percent, want->jitter_percent);
    ck_assert_uint_eq(got->l1_share_percent, want->l1_share_percent);
    ck_assert_uint_eq(got->max_value_bytes, want->max_value_bytes);
    ck_assert_uint_eq(got->tiers, want->tiers);
    ck_assert_uint_eq(got->l1_ttl_ms, want->l1_ttl_ms);
    ck_assert_uint_eq(got->compress_bytes, want->compress_bytes);
    ck_assert_uint_eq(got->load_timeout_ms, want->load_timeout_ms);
    ck_assert_uint_eq(got->load_backoff_ms, want->load_backoff_ms);
    ck_assert_uint_eq(got->early_percent, want->early_percent);
    ck_assert_uint_eq(got->load_lease, want->load_lease);
    ck_assert_int_eq(policy_equal(got, want), 1);
}

/* ---- Files that are accepted --------------------------------------------------------------------------------- */

/* clang-format off */

static const struct {
    const char *text, *ns;
    libcache_policy want; /* struct_size aside */
} good[] = {
    { "", "x", { 0 } },
    { "\n\n \t \n", "x", { 0 } },
    { "; a comment\n# another\n   ; a third = 1\n", "x", { 0 } },
    { "[default]", "x", { 0 } },
    { "[default]\nttl = 300s\n", "x", { .ttl_ms = 300 * S } },
    { "[default]\nttl = 300s", "x", { .ttl_ms = 300 * S } },
    { "[default]\r\nttl = 300s\r\n", "x", { .ttl_ms = 300 * S } },
    { "[default]\nttl = 300s\r", "x", { .ttl_ms = 300 * S } },
    { "\xef\xbb\xbf[default]\nttl = 300s\n", "x", { .ttl_ms = 300 * S } },
    { "[ default\t]  ; the rest\nttl=300s", "x", { .ttl_ms = 300 * S } },
    { "[default];\nttl=300s", "x", { .ttl_ms = 300 * S } },
    { "[default]\nttl\t=\t300s\t; five minutes\n", "x", { .ttl_ms = 300 * S } },
    { "[default]\nttl = 300s ;\n", "x", { .ttl_ms = 300 * S } },
    { "[default]\nttl: 300s\n", "x", { .ttl_ms = 300 * S } },
    /* indented lines are fields of their own, not continuations */
    { "  [default]\n  ttl = 300s\n    jitter = 10%\n\tgrace = 1h\n", "x",
      { .ttl_ms = 300 * S, .jitter_percent = 10, .grace_ms = H } },

    { "[default]\nttl = 1ms\nnegative_ttl = 3m\ngrace = 4h", "x",
      { .ttl_ms = 1, .negative_ttl_ms = 3 * M, .grace_ms = 4 * H } },
    { "[default]\nttl = 5d", "x", { .ttl_ms = 5 * D } },
    { "[default]\nttl = 007s", "x", { .ttl_ms = 7 * S } },
    { "[default]\nttl = 3650d", "x", { .ttl_ms = 3650 * D } },
    { "[default]\nttl = forever", "x", { .ttl_ms = F } },
    { "[default]\nnegative_ttl = 5s", "x", { .negative_ttl_ms = 5 * S } },
    { "[default]\nnegative_ttl = forever", "x", { .negative_ttl_ms = F } },
    { "[default]\nttl = 1s\nnegative_ttl = 5s", "x", { .ttl_ms = S, .negative_ttl_ms = 5 * S } },
    { "[default]\nsoft_ttl = 60s", "x", { .soft_ttl_ms = 60 * S } },
    { "[default]\nsoft_ttl = forever\nttl = 1s", "x", { .soft_ttl_ms = F, .ttl_ms = S } },
    { "[default]\nsoft_ttl = 3650d\nttl = forever", "x", { .soft_ttl_ms = 3650 * D, .ttl_ms = F } },
    { "[default]\nsoft_ttl = 999ms\nttl = 1s", "x", { .soft_ttl_ms = 999, .ttl_ms = S } },
    { "[default]\ngrace = 0", "x", { 0 } },
    { "[default]\ngrace = 0s", "x", { 0 } },
    { "[default]\ngrace = 3650d", "x", { .grace_ms = 3650 * D } },
    { "[default]\njitter = 0", "x", { 0 } },
    { "[default]\njitter = 0%", "x", { 0 } },
    { "[default]\njitter = 50%", "x", { .jitter_percent = 50 } },
    { "[default]\nl1_share = 1%", "x", { .l1_share_percent = 1 } },
    { "[default]\nmax_value = 1B", "x", { .max_value_bytes = 1 } },
    { "[default]\nmax_value = 64KiB", "x", { .max_value_bytes = 64 << 10 } },
    { "[default]\nmax_value = 3MiB", "x", { .max_value_bytes = 3 << 20 } },
    { "[default]\nmax_value = 1GiB", "x", { .max_value_bytes = 1 << 30 } },
    { "[default]\ntiers = l1", "x", { .tiers = L1 } },
    { "[default]\ntiers = l2", "x", { .tiers = L2 } },
    { "[default]\ntiers = l1,l2", "x", { .tiers = L1 | L2 } },
    { "[default]\ntiers = l2 ,\tl1 ; both", "x", { .tiers = L1 | L2 } },
    { "[default]\nl1_ttl = 1ms", "x", { .l1_ttl_ms = 1 } },
    { "[default]\nl1_ttl = forever\nttl = 1s", "x", { .l1_ttl_ms = F, .ttl_ms = S } },
    { "[default]\nl1_ttl = 3650d", "x", { .l1_ttl_ms = 3650 * D } },
    { "[default]\nl1_ttl = 5s\n[namespace x]\nttl = 1s", "x", { .l1_ttl_ms = 5 * S, .ttl_ms = S } },
    { "[default]\ncompress = 1B", "x", { .compress_bytes = 1 } },
    { "[default]\ncompress = 4KiB ; and more", "x", { .compress_bytes = 4 << 10 } },
    { "[default]\nload_timeout = 1ms\nload_backoff = 3650d", "x", { .load_timeout_ms = 1, .load_backoff_ms = 3650 * D } },
    { "[default]\nearly = 1%", "x", { .early_percent = 1 } },
    { "[default]\nearly = 1000%", "x", { .early_percent = 1000 } },
    { "[default]\nload_lease = host", "x", { .load_lease = LIBCACHE_LEASE_HOST } },
    { "[default]\nload_lease = host\n[namespace x]\nload_lease = redis", "x", { .load_lease = LIBCACHE_LEASE_REDIS } },

    { "[namespace x]\nttl = 1s", "x", { .ttl_ms = S } },
    { "[namespace x]\nttl = 1s", "y", { 0 } },
    { "[namespace x]\nttl = 1s", "", { 0 } },
    { "[namespace xx]\nttl = 1s", "x", { 0 } },
    { "[namespace  \tx ]\nttl = 1s", "x", { .ttl_ms = S } },
    { "[namespace a name; with # and = and [ ] ; comment\nttl = 1s", "a name; with # and = and [", { .ttl_ms = S } },
    { "[namespace \xff\x80\xc3]\nttl = 1s", "\xff\x80\xc3", { .ttl_ms = S } },
    { "[namespace default]\nttl = 1s", "default", { .ttl_ms = S } },
    { "[namespace default]\nttl = 1s", "x", { 0 } },
    { "[namespace " NAME_100 "]\nttl = 1s", NAME_100, { .ttl_ms = S } },
    /* far longer than what libinih keeps of a section's name: they must not be taken for one another */
    { "[namespace " NAME_50 "a]\nttl = 1s\n[namespace " NAME_50 "b]\nttl = 2s\n", NAME_50 "a", { .ttl_ms = S } },
    { "[namespace " NAME_50 "a]\nttl = 1s\n[namespace " NAME_50 "b]\nttl = 2s\n", NAME_50 "b", { .ttl_ms = 2 * S } },

    /* own section over [default], wherever that stands */
    { "[default]\nttl = 9s\ngrace = 1h\n[namespace x]\nttl = 1s", "x", { .ttl_ms = S, .grace_ms = H } },
    { "[namespace x]\nttl = 1s\n[default]\nttl = 9s\ngrace = 1h", "x", { .ttl_ms = S, .grace_ms = H } },
    { "[default]\nttl = 9s\ngrace = 1h\n[namespace x]\nttl = 1s", "y", { .ttl_ms = 9 * S, .grace_ms = H } },
    { "[default]\ngrace = 1h\njitter = 9%\n[namespace x]\ngrace = 0\njitter = 0", "x", { 0 } },
    { "[default]\nttl = 9s\nsoft_ttl = 5s\n[namespace x]\nttl = 1s\nsoft_ttl = forever", "x",
      { .ttl_ms = S, .soft_ttl_ms = F } },

    { "[namespace user_profile]\n"
      "ttl = 300s          ; units ms s m h d, or `forever`\n"
      "jitter = 10%\nnegative_ttl = 5s\nsoft_ttl = 60s\ngrace = 1h\nl1_share = 25%\n"
      "max_value = 64KiB   ; B KiB MiB GiB\ntiers = l1          ; l1 | l2 | l1,l2\n",
      "user_profile",
      { .ttl_ms = 300 * S, .jitter_percent = 10, .negative_ttl_ms = 5 * S, .soft_ttl_ms = 60 * S, .grace_ms = H,
        .l1_share_percent = 25, .max_value_bytes = 64 << 10, .tiers = L1 } },
};

/* clang-format on */

START_TEST(a_good_file_says_what_it_says)
{
    struct policy_book *book = read_good(good[_i].text, strlen(good[_i].text));
    libcache_policy got;
    policy_book_find(book, good[_i].ns, &got);
    expect_equal(&got, &good[_i].want);
    policy_book_free(book);
}
END_TEST

/* ---- Files that are refused ----------------------------------------------------------------------------------- */

/* clang-format off */

#define WANT_SECTION "; want [default] or [namespace NAME]"
#define FIELD_NAMES "; there are ttl, negative_ttl, soft_ttl, grace, jitter, l1_share, max_value, tiers, l1_ttl, compress, " \
    "load_timeout, load_backoff, early, load_lease"
#define TTL_WANT "; want 1ms to 3650d, or forever (units ms s m h d)"
#define LOST " is neither a section, a field (name = value) nor a comment"

static const struct {
    const char *text, *want;
} bad[] = {
    { "[defaults]\n", "p.ini:1: unknown section [defaults]" WANT_SECTION },
    { "\n; c\n[Default]\n", "p.ini:3: unknown section [Default]" WANT_SECTION },
    { "[]", "p.ini:1: unknown section []" WANT_SECTION },
    { "[namespacex]", "p.ini:1: unknown section [namespacex]" WANT_SECTION },
    { "[user_profile]", "p.ini:1: unknown section [user_profile]" WANT_SECTION },
    { "[default x]", "p.ini:1: unknown section [default x]" WANT_SECTION },
    { "[namespace]", "p.ini:1: a namespace name has 1 to 100 bytes, this one has 0" },
    { "[namespace " NAME_100 "n]", "p.ini:1: a namespace name has 1 to 100 bytes, this one has 101" },
    { "[namespace a\tb]", "p.ini:1: control character 0x09 in a namespace name" },
    { "[namespace a\x01]", "p.ini:1: control character 0x01" },
    { "[namespace a\x7f]", "p.ini:1: control character 0x7f" },
    { "[default", "p.ini:1: section [default has no closing ]" },
    { "[namespace x ; ]...", "p.ini:1: ... after the section's ]" },
    { "[namespace a]b]", "p.ini:1: b] after the section's ]" },
    { "[default] ttl = 1s", "p.ini:1: ttl = 1s after the section's ]" },
    { "[default]\n[namespace x]\n[default]", "p.ini:3: section [default] is repeated, first on line 1" },
    { "[namespace x]\n\n[namespace y]\n[namespace  x]", "p.ini:4: section [namespace x] is repeated, first on line 1" },
    { "[namespace " NAME_100 "]\n[namespace " NAME_100 "]",
      "p.ini:2: section [namespace " NAME_50 "nnnnnnnnnn] is repeated, first on line 1" },

    { "ttl = 1s", "p.ini:1: ttl = 1s: before the first section" },
    { "[default]\nttl = 1s\nttl = 1s", "p.ini:3: ttl is repeated, first on line 2" },
    { "[default]\nTTL = 1s", "p.ini:2: 'TTL = 1s'" LOST },
    { "[default]\nttl_ms = 1s", "p.ini:2: unknown field 'ttl_ms'" FIELD_NAMES },
    { "[default]\ntt = 1s", "p.ini:2: unknown field 'tt'" FIELD_NAMES },
    { "[default]\nttl", "p.ini:2: 'ttl'" LOST },
    { "[default]\nttl 300s\nttl = 1s", "p.ini:2: 'ttl 300s'" LOST },
    { "[default]\nttl ; = 300s", "p.ini:2: 'ttl ; = 300s'" LOST },
    { "[default]\nttl\n[namespace x]\n", "p.ini:2: 'ttl'" LOST },
    { "[default]\n= 1s", "p.ini:2: '= 1s'" LOST },
    { "[default]\n\xef\xbb\xbfttl = 1s", "p.ini:2: '\xef\xbb\xbfttl = 1s'" LOST },
    { "\xef\xbb\xbf\xef\xbb\xbf[nonsense]", "p.ini:1: '\xef\xbb\xbf[nonsense]'" LOST },
    { "[default]\nttl =", "p.ini:2: ttl has no value" TTL_WANT },
    { "[default]\nttl =   \t", "p.ini:2: ttl has no value" TTL_WANT },
    { "[default]\nttl = 1s\n  , 2s", "p.ini:3: ', 2s'" LOST },
    { "[default]\nttl = 1s\n  grace", "p.ini:3: 'grace'" LOST },
    { "[default]\nttl = 1s\x0b", "p.ini:2: control character 0x0b" },
    { "[default]\nttl = 1s\rgrace = 1s\n", "p.ini:2: control character 0x0d" },
    { "; bell \x07\n[default]\n", "p.ini:1: control character 0x07" },

    { "[default]\nttl = 300", "p.ini:2: ttl = 300: unit missing" TTL_WANT },
    { "[default]\nttl = 300 s", "p.ini:2: ttl = 300 s: unknown unit" TTL_WANT },
    { "[default]\nttl = 1h30m", "p.ini:2: ttl = 1h30m: unknown unit" TTL_WANT },
    { "[default]\nttl = 300s;no", "p.ini:2: ttl = 300s;no: unknown unit" TTL_WANT },
    { "[default]\nttl = 300s # no", "p.ini:2: ttl = 300s # no: unknown unit" TTL_WANT },
    { "[default]\nttl = 1.5h", "p.ini:2: ttl = 1.5h: not a whole number" TTL_WANT },
    { "[default]\nttl = 1,5h", "p.ini:2: ttl = 1,5h: not a whole number" TTL_WANT },
    { "[default]\nttl = -1s", "p.ini:2: ttl = -1s: not a whole number" TTL_WANT },
    { "[default]\nttl = Forever", "p.ini:2: ttl = Forever: not a whole number" TTL_WANT },
    { "[default]\nttl = 0x10s", "p.ini:2: ttl = 0x10s: unknown unit" TTL_WANT },
    { "[default]\nttl = = 1s", "p.ini:2: ttl = = 1s: not a whole number" TTL_WANT },
    { "[default]\nttl = 0", "p.ini:2: ttl = 0: out of range" TTL_WANT },
    { "[default]\nttl = 0s", "p.ini:2: ttl = 0s: out of range" TTL_WANT },
    { "[default]\nttl = 3651d", "p.ini:2: ttl = 3651d: out of range" TTL_WANT },
    { "[default]\nttl = 315360000001ms", "p.ini:2: ttl = 315360000001ms: out of range" TTL_WANT },
    { "[default]\nttl = 18446744073709551615ms", "p.ini:2: ttl = 18446744073709551615ms: out of range" TTL_WANT },
    { "[default]\nttl = 18446744073709551616ms", "p.ini:2: ttl = 18446744073709551616ms: too large" TTL_WANT },
    { "[default]\nttl = 18446744073709551626ms", "p.ini:2: ttl = 18446744073709551626ms: too large" TTL_WANT },
    { "[default]\nttl = 18446744073709551615s", "p.ini:2: ttl = 18446744073709551615s: too large" TTL_WANT },
    { "[default]\nttl = 99999999999999999999999999999999999999999999999999999999999999999999999999d",
      "p.ini:2: ttl = 999999999999999999999999999999999999999999999999999999999999: too large" TTL_WANT },
    { "[default]\nnegative_ttl = 0", "p.ini:2: negative_ttl = 0: out of range" TTL_WANT },
    { "[default]\nsoft_ttl = 0", "p.ini:2: soft_ttl = 0: out of range" TTL_WANT },
    { "[default]\ngrace = forever",
      "p.ini:2: grace = forever: not a whole number; want 0 to 3650d (units ms s m h d)" },
    { "[default]\ngrace = 3651d", "p.ini:2: grace = 3651d: out of range; want 0 to 3650d (units ms s m h d)" },
    { "[default]\njitter = 10", "p.ini:2: jitter = 10: unit missing; want 0 to 50%" },
    { "[default]\njitter = 51%", "p.ini:2: jitter = 51%: out of range; want 0 to 50%" },
    { "[default]\njitter = 10s", "p.ini:2: jitter = 10s: unknown unit; want 0 to 50%" },
    { "[default]\nl1_share = 0%", "p.ini:2: l1_share = 0%: out of range; want 1% to 100%" },
    { "[default]\nl1_share = 101%", "p.ini:2: l1_share = 101%: out of range; want 1% to 100%" },
    { "[default]\nl1_share = 4294967297%", "p.ini:2: l1_share = 4294967297%: out of range; want 1% to 100%" },
    { "[default]\nmax_value = 0", "p.ini:2: max_value = 0: out of range; want 1B or more (units B KiB MiB GiB)" },
    { "[default]\nmax_value = 64KB", "p.ini:2: max_value = 64KB: unknown unit; want 1B or more (units B KiB MiB GiB)" },
    { "[default]\nmax_value = 17179869184GiB",
      "p.ini:2: max_value = 17179869184GiB: too large; want 1B or more (units B KiB MiB GiB)" },
    { "[default]\ntiers = l3", "p.ini:2: tiers = l3: unknown tier; want l1, l2 or l1,l2" },
    { "[default]\ntiers = L1", "p.ini:2: tiers = L1: unknown tier; want l1, l2 or l1,l2" },
    { "[default]\ntiers = l1,", "p.ini:2: tiers = l1,: unknown tier; want l1, l2 or l1,l2" },
    { "[default]\ntiers = l1l2", "p.ini:2: tiers = l1l2: unknown tier; want l1, l2 or l1,l2" },
    { "[default]\ntiers = l1,l1", "p.ini:2: tiers = l1,l1: tier repeated; want l1, l2 or l1,l2" },
    { "[default]\nl1_ttl = 0", "p.ini:2: l1_ttl = 0: out of range" TTL_WANT },
    { "[default]\nl1_ttl = 3651d", "p.ini:2: l1_ttl = 3651d: out of range" TTL_WANT },
    { "[default]\nl1_ttl = 5", "p.ini:2: l1_ttl = 5: unit missing" TTL_WANT },
    { "[default]\ncompress = 0", "p.ini:2: compress = 0: out of range; want 1B or more (units B KiB MiB GiB)" },
    { "[default]\ncompress = 4K", "p.ini:2: compress = 4K: unknown unit; want 1B or more (units B KiB MiB GiB)" },
    { "[default]\nload_timeout = 0",
      "p.ini:2: load_timeout = 0: out of range; want 1ms to 3650d (units ms s m h d)" },
    { "[default]\nload_backoff = forever",
      "p.ini:2: load_backoff = forever: not a whole number; want 1ms to 3650d (units ms s m h d)" },
    { "[default]\nearly = 0%", "p.ini:2: early = 0%: out of range; want 1% to 1000%" },
    { "[default]\nearly = 1001%", "p.ini:2: early = 1001%: out of range; want 1% to 1000%" },
    { "[default]\nload_lease = l2", "p.ini:2: load_lease = l2: unknown lease; want host or redis" },
    { "[default]\nload_lease =", "p.ini:2: load_lease has no value; want host or redis" },

    /* contradictions; the line is the section's own that made it one */
    { "[default]\nttl = 60s\nsoft_ttl = 60s",
      "p.ini:3: soft_ttl (60000ms, line 3) must be less than ttl (60000ms, line 2)" },
    { "[namespace x]\nsoft_ttl = 61s\nttl = 60s\n",
      "p.ini:3: soft_ttl (61000ms, line 2) must be less than ttl (60000ms, line 3)" },
    { "[default]\nttl = 300s\nsoft_ttl = 60s\n[namespace x]\nttl = 30s",
      "p.ini:5: soft_ttl (60000ms, line 3) must be less than ttl (30000ms, line 5)" },
    { "[namespace x]\nttl = 30s\n[default]\nttl = 300s\nsoft_ttl = 60s\n",
      "p.ini:2: soft_ttl (60000ms, line 5) must be less than ttl (30000ms, line 2)" },
    { "[default]\nttl = 30s\n[namespace x]\nsoft_ttl = 60s",
      "p.ini:4: soft_ttl (60000ms, line 4) must be less than ttl (30000ms, line 2)" },

    /* the first of several is the one that is told */
    { "[default]\nttl\nttl = 300\n[foo]", "p.ini:2: 'ttl'" LOST },
    { "[default]\nttl = 300\nttl\n[foo]", "p.ini:2: ttl = 300: unit missing" TTL_WANT },
    { "[foo]\nttl\nttl = 300", "p.ini:1: unknown section [foo]" WANT_SECTION },
    { "[default]\nttl = 1s\nsoft_ttl = 2s\n[foo]", "p.ini:4: unknown section [foo]" WANT_SECTION },
};

/* clang-format on */

START_TEST(a_bad_file_is_refused_with_line_and_reason)
{
    expect_refused(bad[_i].text, strlen(bad[_i].text), bad[_i].want);
}
END_TEST

START_TEST(a_zero_byte_is_refused_wherever_it_is)
{
    static const char in_field[] = "[default]\nttl = 1s\0; 2s\n", in_comment[] = "; c\0c\n",
                      in_name[] = "[namespace a\0b]", alone[] = "\0";
    expect_refused(in_field, sizeof in_field - 1, "p.ini:2: control character 0x00");
    expect_refused(in_comment, sizeof in_comment - 1, "p.ini:1: control character 0x00");
    expect_refused(in_name, sizeof in_name - 1, "p.ini:1: control character 0x00");
    expect_refused(alone, 1, "p.ini:1: control character 0x00");
}
END_TEST

START_TEST(the_text_needs_no_zero_at_its_end)
{
    static const char text[] = "[default]\nttl = 12s";
    size_t size = sizeof text - 2; /* "12" without its unit; on the heap, for the sanitizers to watch the end */
    char *copy = malloc(size);
    memcpy(copy, text, size);
    expect_refused(copy, size, "p.ini:2: ttl = 12: unit missing" TTL_WANT);
    free(copy);
    policy_book_free(read_good(NULL, 0));
}
END_TEST

/* A line of exactly so many bytes, spaces around it aside. */
static char *line_of(size_t bytes, const char *begin)
{
    static char text[1024];
    size_t head = (size_t)sprintf(text, "[default]\n  %s", begin);
    size_t wanted = bytes - strlen(begin);
    memset(text + head, 'c', wanted);
    strcpy(text + head + wanted, "  \n");
    return text;
}

START_TEST(an_overlong_line_is_refused_and_never_cut)
{
    const char *begin = "ttl = 1s ;";
    char *text = line_of(197, begin);
    libcache_policy got;
    struct policy_book *book = read_good(text, strlen(text));
    policy_book_find(book, "x", &got);
    ck_assert_uint_eq(got.ttl_ms, S);
    policy_book_free(book);
    for (size_t bytes = 198; bytes < 420; bytes++) {
        char want[64];
        text = line_of(bytes, begin);
        sprintf(want, "p.ini:2: line has %zu bytes, more than 197", bytes);
        expect_refused(text, strlen(text), want);
    }
}
END_TEST

START_TEST(a_comment_may_be_as_long_as_it_likes)
{
    char *text = line_of(600, "; ");
    policy_book_free(read_good(text, strlen(text)));
}
END_TEST

START_TEST(an_error_text_ends_with_the_reason_however_long_the_names)
{
    char name[400], text[400];
    struct policy_book *book = NULL;
    libcache_error error;
    memset(name, 'd', sizeof name - 1);
    strcpy(name + sizeof name - 10, "/last.ini");
    sprintf(text, "[namespace %s]\nttl = %0150ds\n", NAME_100, 1);
    ck_assert_int_eq(policy_read_text(&book, name, text, strlen(text), &memory_default, &error), LIBCACHE_OK);
    policy_book_free(book);
    sprintf(text, "[namespace %s]\nttl = %0150d\n", NAME_100, 1);
    ck_assert_int_eq(policy_read_text(&book, name, text, strlen(text), &memory_default, &error), LIBCACHE_EPOLICY);
    ck_assert_int_eq(strncmp(error.text, "...ddd", 6), 0);
    ck_assert_ptr_nonnull(strstr(error.text, "/last.ini:2: ttl = 000"));
    ck_assert_ptr_nonnull(strstr(error.text, "00: unit missing" TTL_WANT));
    sprintf(text, "[default]\nt%0150d = 1s\n", 1);
    ck_assert_int_eq(policy_read_text(&book, name, text, strlen(text), &memory_default, &error), LIBCACHE_EPOLICY);
    ck_assert_ptr_nonnull(strstr(error.text, "/last.ini:2: unknown field 't000"));
    ck_assert_ptr_nonnull(strstr(error.text, "max_value, tiers"));
}
END_TEST

START_TEST(a_file_has_at_most_a_mebibyte)
{
    size_t size = (1 << 20) + 1;
    char *text = malloc(size);
    memset(text, '\n', size);
    expect_refused(text, size, "p.ini: more than 1048576 bytes");
    policy_book_free(read_good(text, size - 1));
    memcpy(text + size - 2, "x", 1);
    expect_refused(text, size - 1, "p.ini:1048576: 'x'" LOST);
    free(text);
}
END_TEST

/* As many as there are, in an order that is neither ascending nor descending. */
START_TEST(there_are_at_most_4095_namespace_sections_and_all_are_found)
{
    enum { N = 4095 };
    char *text = malloc(N * 64), *end = text, name[32];
    libcache_policy got;
    struct policy_book *book;
    for (int i = 0; i < N; i++)
        end += sprintf(end, "[namespace n%d]\nttl = %ds\n", i * 1237 % N, i * 1237 % N + 1);
    book = read_good(text, (size_t)(end - text));
    for (int i = 0; i < N; i++) {
        sprintf(name, "n%d", i);
        policy_book_find(book, name, &got);
        ck_assert_uint_eq(got.ttl_ms, (uint64_t)(i + 1) * S);
    }
    policy_book_find(book, "n4095", &got);
    ck_assert_uint_eq(got.ttl_ms, 0);
    policy_book_free(book);
    end += sprintf(end, "[default]\n");
    policy_book_free(read_good(text, (size_t)(end - text)));
    end += sprintf(end, "[namespace one_more]\n");
    expect_refused(text, (size_t)(end - text), "p.ini:8192: more than 4095 namespace sections");
    free(text);
}
END_TEST

/* Debian's libinih keeps its settings in globals, other builds have none. Not declared by every ini.h, so here. */
extern bool ini_allow_multiline __attribute__((weak));
extern bool ini_allow_no_value __attribute__((weak));
extern bool ini_stop_on_first_error __attribute__((weak));

START_TEST(what_others_set_in_libinih_changes_nothing)
{
    bool *settings[] = { &ini_allow_multiline, &ini_allow_no_value, &ini_stop_on_first_error };
    const char *text = "[default]\nttl = 1s\n  grace = 1s\n";
    bool before;
    if (!settings[_i])
        return;
    before = *settings[_i];
    *settings[_i] = !before;
    policy_book_free(read_good(text, strlen(text)));
    for (size_t i = 0; i < COUNT(bad); i++)
        expect_refused(bad[i].text, strlen(bad[i].text), bad[i].want);
    *settings[_i] = before;
}
END_TEST

START_TEST(no_book_says_nothing)
{
    libcache_policy got, nothing = LIBCACHE_POLICY_INIT;
    policy_book_find(NULL, "x", &got);
    expect_equal(&got, &nothing);
    policy_book_free(NULL);
}
END_TEST

/* ---- Files on disk, and lack of memory -------------------------------------------------------------------------- */

static char directory[64], path[96];

static void make_directory(void)
{
    strcpy(directory, "/tmp/test_policy.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    sprintf(path, "%s/policies.ini", directory);
}

static void remove_directory(void)
{
    unlink(path);
    rmdir(directory);
}

static void write_file(const char *text, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    fclose(file);
}

static int lowest_free_fd(void)
{
    int fd = open("/dev/null", O_RDONLY);
    close(fd);
    return fd;
}

/* Reads `path`, sees to it that nothing is left behind. */
static int read_path(struct policy_book **book, libcache_error *error)
{
    int fd = lowest_free_fd(), result = policy_read_file(book, path, &memory_default, error);
    ck_assert_int_eq(lowest_free_fd(), fd);
    return result;
}

static void expect_path_refused(int code, const char *reason)
{
    char want[256];
    struct policy_book *const untouched = (struct policy_book *)want, *book = untouched;
    libcache_error error = { 0, "" };
    ck_assert_int_eq(read_path(&book, &error), code);
    snprintf(want, sizeof want, "%s%s", path, reason);
    ck_assert_str_eq(error.text, want);
    ck_assert_int_eq(error.code, code);
    ck_assert_ptr_eq(book, untouched);
}

START_TEST(a_file_is_read_whole)
{
    static const char text[] = "[namespace x]\nttl = 30s\n", broken[] = "[namespace x]\nttl = 30\n";
    struct policy_book *book = NULL;
    libcache_policy got;
    write_file(text, sizeof text - 1);
    ck_assert_int_eq(read_path(&book, NULL), LIBCACHE_OK);
    policy_book_find(book, "x", &got);
    ck_assert_uint_eq(got.ttl_ms, 30 * S);
    policy_book_free(book);
    write_file("", 0);
    ck_assert_int_eq(read_path(&book, NULL), LIBCACHE_OK);
    policy_book_free(book);
    write_file(broken, sizeof broken - 1);
    expect_path_refused(LIBCACHE_EPOLICY, ":2: ttl = 30: unit missing" TTL_WANT);
}
END_TEST

/* Test programs run in the project's folder. */
START_TEST(the_example_is_a_good_file)
{
    struct policy_book *book = NULL;
    libcache_policy got;
    ck_result(policy_read_file(&book, "examples/policies.ini", &memory_default, NULL), LIBCACHE_OK);
    policy_book_find(book, "user_profile", &got);
    ck_result(policy_resolve(&got, NULL, &got, "user_profile", CACHE_MAX, L1, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(got.ttl_ms, 300 * S);
    policy_book_free(book);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_told_apart)
{
    expect_path_refused(LIBCACHE_ESYSTEM, ": open: No such file or directory");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect_path_refused(LIBCACHE_ESYSTEM, ": not a regular file");
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_path_refused(LIBCACHE_ESYSTEM, ": not a regular file");
    rmdir(path);
}
END_TEST

START_TEST(a_huge_file_is_refused_and_not_read)
{
    write_file("", 0);
    ck_assert_int_eq(truncate(path, (off_t)1 << 40), 0);
    expect_path_refused(LIBCACHE_EPOLICY, ": more than 1048576 bytes");
    ck_assert_int_eq(truncate(path, 1 << 20), 0);
    expect_path_refused(LIBCACHE_EPOLICY, ":1: control character 0x00");
}
END_TEST

static const char plenty[] = "[default]\nttl = 1h\n[namespace b]\nttl = 1s\n[namespace a]\nttl = 2s\n";

/* Fails allocation after allocation until there are none left to fail. from_file: how it is read. */
static void fail_each_allocation(int from_file)
{
    struct counted_memory memory;
    uint64_t fail_at = 0;
    int result;
    do {
        struct policy_book *const untouched = (struct policy_book *)&memory, *book = untouched;
        libcache_error error = { 0, "" };
        int fd = lowest_free_fd();
        counted_memory_init(&memory);
        memory.fail_at = ++fail_at;
        result = from_file ? policy_read_file(&book, path, &memory.allocator, &error)
                           : policy_read_text(&book, path, plenty, sizeof plenty - 1, &memory.allocator, &error);
        ck_assert_int_eq(lowest_free_fd(), fd);
        if (result == LIBCACHE_OK) {
            ck_assert_int_gt(memory.live, 0);
            policy_book_free(book);
        } else {
            ck_result(result, LIBCACHE_ENOMEM);
            ck_result(error.code, LIBCACHE_ENOMEM);
            ck_assert_ptr_nonnull(strstr(error.text, path));
            ck_assert_ptr_eq(book, untouched);
        }
        ck_assert_int_eq(memory.live, 0);
    } while (result != LIBCACHE_OK);
    ck_assert_uint_gt(fail_at, 1);
    ck_assert_uint_eq(memory.calls, fail_at - 1);
}

START_TEST(any_lack_of_memory_is_told_and_leaks_nothing)
{
    write_file(plenty, sizeof plenty - 1);
    fail_each_allocation(0);
    fail_each_allocation(1);
}
END_TEST

/* ---- Resolving -------------------------------------------------------------------------------------------------- */

/* clang-format off */

#define IN_FULL(ttl, negative, soft)                                                                                   \
    { .ttl_ms = (ttl), .negative_ttl_ms = (negative), .soft_ttl_ms = (soft), .l1_share_percent = 100,                  \
      .max_value_bytes = CACHE_MAX, .tiers = L1, .l1_ttl_ms = F, .compress_bytes = SIZE_MAX,                           \
      .load_timeout_ms = 10 * S, .load_backoff_ms = S, .load_lease = LIBCACHE_LEASE_HOST }

static const struct {
    libcache_policy code, file, want;
} resolved[] = {
    /* nothing said: the defaults of libcache.h */
    { { 0 }, { 0 }, IN_FULL(H, 30 * S, F) },
    { { .ttl_ms = 10 * S }, { 0 }, IN_FULL(10 * S, 10 * S, F) },
    { { 0 }, { .ttl_ms = F }, IN_FULL(F, 30 * S, F) },
    /* code over file, field by field */
    { { .ttl_ms = 100 * S, .jitter_percent = 50, .max_value_bytes = CACHE_MAX, .l1_ttl_ms = 7 * S, .load_timeout_ms = 3 * S,
        .load_lease = LIBCACHE_LEASE_REDIS },
      { .ttl_ms = 200 * S, .negative_ttl_ms = 300 * S, .soft_ttl_ms = 99 * S, .grace_ms = 3650 * D,
        .jitter_percent = 1, .l1_share_percent = 1, .max_value_bytes = 1, .tiers = L1, .l1_ttl_ms = F,
        .compress_bytes = 2000, .load_timeout_ms = 4 * S, .load_backoff_ms = 5 * S, .early_percent = 100,
        .load_lease = LIBCACHE_LEASE_HOST },
      { .ttl_ms = 100 * S, .negative_ttl_ms = 300 * S, .soft_ttl_ms = 99 * S, .grace_ms = 3650 * D,
        .jitter_percent = 50, .l1_share_percent = 1, .max_value_bytes = CACHE_MAX, .tiers = L1, .l1_ttl_ms = 7 * S,
        .compress_bytes = 2000, .load_timeout_ms = 3 * S, .load_backoff_ms = 5 * S, .early_percent = 100,
        .load_lease = LIBCACHE_LEASE_REDIS } },
    /* code takes back the file's soft TTL */
    { { .ttl_ms = S, .soft_ttl_ms = F }, { .soft_ttl_ms = 60 * S, .negative_ttl_ms = F }, IN_FULL(S, F, F) },
};

/* clang-format on */

START_TEST(code_goes_over_file_goes_over_defaults)
{
    libcache_policy code = resolved[_i].code, file = resolved[_i].file, got, again;
    code.struct_size = sizeof code;
    file.struct_size = sizeof file;
    ck_assert_int_eq(policy_resolve(&got, &code, &file, "x", CACHE_MAX, L1, NULL), LIBCACHE_OK);
    expect_equal(&got, &resolved[_i].want);
    /* a policy that was read back says the same to another cache, whatever its file says */
    ck_assert_int_eq(policy_resolve(&again, &got, &file, "x", CACHE_MAX, L1, NULL), LIBCACHE_OK);
    again.grace_ms = got.grace_ms;
    again.jitter_percent = got.jitter_percent; /* code cannot say none of these two */
    ck_assert_int_eq(policy_equal(&got, &again), 1);
}
END_TEST

START_TEST(no_policy_at_all_is_the_defaults)
{
    libcache_policy got;
    ck_assert_int_eq(policy_resolve(&got, NULL, NULL, "x", CACHE_MAX, L1 | L2, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(got.ttl_ms, H);
    ck_assert_uint_eq(got.tiers, L1 | L2);
}
END_TEST

/* clang-format off */

static const struct {
    int result;
    libcache_policy code, file;
    const char *want;
} unresolved[] = {
    { LIBCACHE_EPOLICY, { .ttl_ms = 3650 * D + 1 }, { 0 },
      "ttl_ms (315360000001) is out of range, want 1ms to 3650d, or forever" },
    { LIBCACHE_EPOLICY, { .negative_ttl_ms = F - 1 }, { 0 },
      "negative_ttl_ms (18446744073709551614) is out of range, want 1ms to 3650d, or forever" },
    { LIBCACHE_EPOLICY, { .soft_ttl_ms = 3650 * D + 1 }, { 0 },
      "soft_ttl_ms (315360000001) is out of range, want 1ms to 3650d, or forever" },
    { LIBCACHE_EPOLICY, { .grace_ms = F }, { 0 },
      "grace_ms (18446744073709551615) is out of range, want 0 to 3650d" },
    { LIBCACHE_EPOLICY, { .jitter_percent = 51 }, { 0 }, "jitter_percent (51) is out of range, want 0 to 50%" },
    { LIBCACHE_EPOLICY, { .l1_share_percent = 101 }, { 0 },
      "l1_share_percent (101) is out of range, want 1% to 100%" },
    { LIBCACHE_EPOLICY, { .max_value_bytes = CACHE_MAX + 1 }, { 0 },
      "max_value_bytes (1048577) is more than the cache's (1048576)" },
    { LIBCACHE_EPOLICY, { 0 }, { .max_value_bytes = CACHE_MAX + 1 },
      "max_value_bytes (1048577) is more than the cache's (1048576)" },
    { LIBCACHE_EPOLICY, { .tiers = 4 }, { 0 }, "tiers (4) is out of range, want l1, l2 or l1,l2" },
    { LIBCACHE_EUNSUPPORTED, { .tiers = L2 }, { 0 }, "tiers (2) names L2, which this cache does not have" },
    { LIBCACHE_EUNSUPPORTED, { 0 }, { .tiers = L1 | L2 }, "tiers (3) names L2, which this cache does not have" },
    { LIBCACHE_EPOLICY, { .l1_ttl_ms = 3650 * D + 1 }, { 0 },
      "l1_ttl_ms (315360000001) is out of range, want 1ms to 3650d, or forever" },
    { LIBCACHE_EPOLICY, { .load_timeout_ms = F }, { 0 },
      "load_timeout_ms (18446744073709551615) is out of range, want 1ms to 3650d" },
    { LIBCACHE_EPOLICY, { .load_backoff_ms = 3650 * D + 1 }, { 0 },
      "load_backoff_ms (315360000001) is out of range, want 1ms to 3650d" },
    { LIBCACHE_EPOLICY, { .early_percent = 1001 }, { 0 }, "early_percent (1001) is out of range, want 1% to 1000%" },
    { LIBCACHE_EPOLICY, { .load_lease = 3 }, { 0 }, "load_lease (3) is out of range, want host or redis" },
    { LIBCACHE_EPOLICY, { .ttl_ms = 30 * S }, { .soft_ttl_ms = 60 * S },
      "soft_ttl_ms (60000) must be less than ttl_ms (30000)" },
    { LIBCACHE_EPOLICY, { .soft_ttl_ms = 30 * S, .ttl_ms = 30 * S }, { 0 },
      "soft_ttl_ms (30000) must be less than ttl_ms (30000)" },
    { LIBCACHE_EPOLICY, { .soft_ttl_ms = H }, { 0 }, "soft_ttl_ms (3600000) must be less than ttl_ms (3600000)" },
};

/* clang-format on */

START_TEST(a_policy_that_cannot_be_is_refused_by_field_and_reason)
{
    libcache_policy code = unresolved[_i].code, file = unresolved[_i].file, got, before;
    libcache_error error = { 0, "" };
    char want[256];
    memset(&got, 0x5a, sizeof got);
    before = got;
    code.struct_size = sizeof code;
    file.struct_size = sizeof file;
    ck_assert_int_eq(policy_resolve(&got, &code, &file, NAME_100, CACHE_MAX, L1, &error), unresolved[_i].result);
    sprintf(want, "namespace %s: %s", NAME_100, unresolved[_i].want);
    ck_assert_str_eq(error.text, want);
    ck_assert_int_eq(error.code, unresolved[_i].result);
    ck_assert_int_eq(memcmp(&got, &before, sizeof got), 0);
    ck_assert_int_eq(policy_resolve(&got, &code, &file, "x", CACHE_MAX, L1, NULL), unresolved[_i].result);
}
END_TEST

START_TEST(a_policy_of_another_header_is_taken_if_it_says_nothing_unknown)
{
    struct {
        libcache_policy policy;
        uint64_t more;
    } newer = { { .struct_size = sizeof newer, .ttl_ms = 5 * S }, 0 };
    libcache_policy got;
    libcache_error error = { 0, "" };
    ck_assert_int_eq(policy_resolve(&got, &newer.policy, NULL, "x", CACHE_MAX, L1, &error), LIBCACHE_OK);
    ck_assert_uint_eq(got.ttl_ms, 5 * S);
    ck_assert_uint_eq(got.struct_size, sizeof got);
    newer.policy.struct_size = offsetof(libcache_policy, negative_ttl_ms);
    newer.policy.negative_ttl_ms = 7;
    ck_assert_int_eq(policy_resolve(&got, &newer.policy, NULL, "x", CACHE_MAX, L1, &error), LIBCACHE_OK);
    ck_assert_uint_eq(got.ttl_ms, 5 * S);
    ck_assert_uint_eq(got.negative_ttl_ms, 5 * S);
    newer.policy.struct_size = sizeof newer;
    newer.more = 1;
    ck_assert_int_eq(policy_resolve(&got, &newer.policy, NULL, "x", CACHE_MAX, L1, &error), LIBCACHE_EINVAL);
    ck_assert_str_eq(
        error.text, "namespace x: struct_size of the policy is wrong, or it sets fields that this build does not know");
    newer.policy.struct_size = 0;
    ck_assert_int_eq(policy_resolve(&got, &newer.policy, NULL, "x", CACHE_MAX, L1, &error), LIBCACHE_EINVAL);
}
END_TEST

START_TEST(two_policies_are_equal_when_every_field_is)
{
    libcache_policy a, b;
    ck_assert_int_eq(policy_resolve(&a, NULL, NULL, "x", CACHE_MAX, L1, NULL), LIBCACHE_OK);
    b = a;
    b.struct_size = 0; /* says nothing about the policy */
    ck_assert_int_eq(policy_equal(&a, &b), 1);
#define CHANGED(field)                                \
    do {                                              \
        b = a;                                        \
        b.field ^= 1;                                 \
        ck_assert_msg(!policy_equal(&a, &b), #field); \
    } while (0)
    CHANGED(ttl_ms);
    CHANGED(negative_ttl_ms);
    CHANGED(soft_ttl_ms);
    CHANGED(grace_ms);
    CHANGED(jitter_percent);
    CHANGED(l1_share_percent);
    CHANGED(max_value_bytes);
    CHANGED(tiers);
    CHANGED(l1_ttl_ms);
    CHANGED(compress_bytes);
    CHANGED(load_timeout_ms);
    CHANGED(load_backoff_ms);
    CHANGED(early_percent);
    CHANGED(load_lease);
}
END_TEST

/* ---- Quantities -------------------------------------------------------------------------------------------------- */

START_TEST(a_quantity_that_is_refused_leaves_the_number_alone)
{
    uint64_t n = 42;
    ck_assert_str_eq(quantity_read_ms(&n, "1"), "unit missing");
    ck_assert_str_eq(quantity_read_ms(&n, ""), "not a whole number");
    ck_assert_str_eq(quantity_read_bytes(&n, "1TiB"), "unknown unit");
    ck_assert_str_eq(quantity_read_percent(&n, "18446744073709551616%"), "too large");
    ck_assert_uint_eq(n, 42);
    ck_assert_ptr_null(quantity_read_percent(&n, "18446744073709551615%"));
    ck_assert_uint_eq(n, UINT64_MAX);
    ck_assert_ptr_null(quantity_read_bytes(&n, "000"));
    ck_assert_uint_eq(n, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *text = tcase_create("text"), *file = tcase_create("file"), *resolve = tcase_create("resolve");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(text, a_good_file_says_what_it_says, 0, COUNT(good));
    tcase_add_loop_test(text, a_bad_file_is_refused_with_line_and_reason, 0, COUNT(bad));
    tcase_add_test(text, a_zero_byte_is_refused_wherever_it_is);
    tcase_add_test(text, the_text_needs_no_zero_at_its_end);
    tcase_add_test(text, an_overlong_line_is_refused_and_never_cut);
    tcase_add_test(text, a_comment_may_be_as_long_as_it_likes);
    tcase_add_test(text, an_error_text_ends_with_the_reason_however_long_the_names);
    tcase_add_test(text, a_file_has_at_most_a_mebibyte);
    tcase_add_test(text, there_are_at_most_4095_namespace_sections_and_all_are_found);
    tcase_add_loop_test(text, what_others_set_in_libinih_changes_nothing, 0, 3);
    tcase_add_test(text, no_book_says_nothing);
    tcase_add_test(text, a_quantity_that_is_refused_leaves_the_number_alone);
    suite_add_tcase(suite, text);

    tcase_add_checked_fixture(file, make_directory, remove_directory);
    tcase_add_test(file, a_file_is_read_whole);
    tcase_add_test(file, the_example_is_a_good_file);
    tcase_add_test(file, a_file_that_cannot_be_read_is_told_apart);
    tcase_add_test(file, a_huge_file_is_refused_and_not_read);
    tcase_add_test(file, any_lack_of_memory_is_told_and_leaks_nothing);
    suite_add_tcase(suite, file);

    tcase_add_loop_test(resolve, code_goes_over_file_goes_over_defaults, 0, COUNT(resolved));
    tcase_add_test(resolve, no_policy_at_all_is_the_defaults);
    tcase_add_loop_test(resolve, a_policy_that_cannot_be_is_refused_by_field_and_reason, 0, COUNT(unresolved));
    tcase_add_test(resolve, a_policy_of_another_header_is_taken_if_it_says_nothing_unknown);
    tcase_add_test(resolve, two_policies_are_equal_when_every_field_is);
    suite_add_tcase(suite, resolve);

    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
