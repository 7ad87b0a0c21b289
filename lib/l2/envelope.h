/*
 * A value as it lies in Redis: everything that is needed to judge it, then the bytes. SPDX-License-Identifier: MIT
 *
 *      0        4       8       16      24      32       40        48 ...
 *      +--------+-------+-------+-------+-------+--------+---------+---------------------------------------------------+
 *      | magic  | fold  | epoch | stamp | born  | expiry | check   | flags codec tags ... | tags | ns | key | payload    |
 *      +--------+-------+-------+-------+-------+--------+---------+---------------------------------------------------+
 *                <------ the script's part -------------> <------ the client's part ------------------------------------->
 *
 * The script that stores a value knows epoch, position and Redis's clock only when it runs, so it writes the first part:
 * `fold` guards it (a sum that Lua's numbers can do exactly), `check` guards the second. All numbers are little-endian.
 * Times are milliseconds of *Redis's* clock; nobody's own clock is ever written here.
 *
 *      0  magic       0x8f 'L' 'C', then the version, 1
 *      4  fold        u32: see envelope_fold
 *      8  epoch       8 bytes, as the metadata hash has them
 *      16 stamp       u64
 *      24 born        u64
 *      32 expiry      u64, 0: never
 *      40 check       u64: XXH3, seed 0, of all from 48 to the end (of a counter: to its number, which scripts change)
 *      48 flags u8 | codec u8 | number of tags u8 | namespace size u8 | key size u16 | zero u16
 *      56 user flags u32 | load cost in ms u32
 *      64 soft ttl in ms u64, 0: none (counted from born)
 *      72 value size u32 | payload size u32 (smaller when compressed, else the same)
 *      80 tags 8 bytes each | namespace | key | payload
 *
 * No bit is without meaning: what envelope_read accepts, packing gives again, byte for byte.
 */
#ifndef L2_ENVELOPE_H
#define L2_ENVELOPE_H
#include "base/memory.h"
#include "libcache.h"

#define ENVELOPE_SCRIPT_BYTES 40u /* magic, fold, epoch, stamp, born, expiry: written by the script */
#define ENVELOPE_HEADER 80u
#define ENVELOPE_VALUE_MAX ((256u << 20) - 1) /* bytes of a value, uncompressed */

/* At most one of them: a number is never compressed, and what is known to be missing is empty. */
enum envelope_flag { ENVELOPE_COMPRESSED = 1, ENVELOPE_NEGATIVE = 2, ENVELOPE_COUNTER = 4 };

struct envelope {
    uint64_t epoch, stamp, born_ms, expiry_ms; /* the script's part: ignored when packing */
    uint8_t flags, codec;
    uint32_t user_flags, load_ms;
    uint64_t soft_ms;
    const void *tags;   /* 8 bytes each, little-endian, not aligned: envelope_tag, envelope_put_tag */
    size_t n_tags;      /* at most LIBCACHE_TAGS_MAX */
    libcache_slice ns, key;
    libcache_slice payload;  /* compressed or not */
    size_t value_size;       /* uncompressed */
};

/*
 * Bytes of the client's part (from 40 on), and writing it. `to` has room for that many. The caller sees to it that
 * envelope_read would accept it: sizes in their limits, flags that agree.
 */
size_t envelope_size(const struct envelope *envelope);
void envelope_pack(const struct envelope *envelope, unsigned char *to);

/*
 * Reads a whole envelope. The slices point into `bytes`. OK; EPROTOCOL: these are not ours, cut, changed, or of a
 * newer version; *out is untouched then. `bytes` is hostile. value_size is at most COMPRESS_RATIO_MAX times the payload, so
 * that a few bytes cannot ask for much memory, but may be more than the namespace allows: that is for the caller to judge.
 */
int envelope_read(struct envelope *out, const void *bytes, size_t size);

/* The i-th tag of an array such as envelope.tags. */
uint64_t envelope_tag(const void *tags, size_t i);
void envelope_put_tag(void *tags, size_t i, uint64_t tag);

/*
 * Guards epoch, stamp, born and expiry (bytes 8 to 39 of the envelope that begins here): a sum of their 32-bit halves,
 * each with its own odd weight, modulo the largest prime below 2^32: fold = (sum over i of half[i] * (2 * i + 3)) mod
 * 4294967291, halves in the order they lie, low half first. A prime sees every change of one half; the weights see halves
 * that have changed places. A script computes it in doubles, where it is exact, for the sum stays below 2^39. With `epoch`
 * the 8 bytes of the metadata hash and the others numbers below 2^53, the script's part is
 *
 *     local function u64(n) return struct.pack('<I4I4', n % 4294967296, math.floor(n / 4294967296)) end
 *     local part = epoch .. u64(stamp) .. u64(born) .. u64(expiry)
 *     local a, b, c, d, e, f, g, h = struct.unpack('<I4I4I4I4I4I4I4I4', part)
 *     local fold = (3 * a + 5 * b + 7 * c + 9 * d + 11 * e + 13 * f + 15 * g + 17 * h) % 4294967291
 *     part = '\143LC\1' .. struct.pack('<I4', fold) .. part
 */
uint32_t envelope_fold(const unsigned char *script_part);

/* Writes the script's part, as the script would (tests, and callers that know all of it). */
void envelope_pack_script_part(unsigned char *to, uint64_t epoch, uint64_t stamp, uint64_t born_ms, uint64_t expiry_ms);

/*
 * A counter's payload is COUNTER_BYTES: the number in COUNTER_DIGITS characters, padded with blanks on the left, and a
 * u32 sum of character[i] * (2 * i + 3) (i from 0), which a script can do; `check` does not cover it.
 */
#define COUNTER_DIGITS 20u
#define COUNTER_BYTES 24u

void counter_pack(unsigned char *to, const char *digits, size_t size);

/* The digits in a counter's payload: a slice of it, or size 0 when it is damaged. */
libcache_slice counter_digits(const unsigned char *payload);

/* ---- compress.c: large payloads -------------------------------------------------------------------------------- */

#define COMPRESS_WORTH_BYTES 2048u /* smaller values gain nothing on a fast network */
#define COMPRESS_RATIO_MAX 255u    /* no payload holds more than so many times its size */

/* Bytes that compress_payload uses at most for `size`: less than `size`, unless that is 0. */
size_t compress_bound(size_t size);

/* Compresses; returns the size, or 0 when it would not be at least an eighth smaller, or not fit into `room`. */
size_t compress_payload(const void *from, size_t size, void *to, size_t room);

/* OK (exactly `size` bytes are in `to`) or EPROTOCOL (what is in `to` means nothing); `from` is hostile. */
int decompress_payload(const void *from, size_t from_size, void *to, size_t size);

#endif
