/*
 * What things are called in Redis, and in the log. SPDX-License-Identifier: MIT
 *
 *      {PREFIX}:meta                     the metadata hash (scripts/prelude.lua)
 *      {PREFIX}:log                      the log, a stream
 *      {PREFIX}:scratch                  where increment.lua adds
 *      PREFIX:SIZE:NAMESPACE:KEY         a value; SIZE is that of the namespace's name in decimal, so that no other
 *                                        namespace and key give the same
 *      PREFIX:lease:...                  the lease of a load of SIZE:NAMESPACE:KEY; PREFIX:lease-waits:... somebody waits for it
 *      PREFIX:lock:..., PREFIX:lock-waits:..., PREFIX:rate:...   locks and rates of the application
 *      PREFIX:SIZE:NAMESPACE#HASH        the same for keys over 200 bytes; the envelope has the whole key
 *
 * A name in the log: kind (one letter), size (2 bytes, little-endian), bytes.
 *      w  as k: who waits for a load of the key may look again; nothing is invalidated
 *      a  -  everything          n  NAMESPACE          t  8 bytes: hash of a tag          k  size of namespace (1 byte), NAMESPACE, KEY
 */
#ifndef L2_NAMES_H
#define L2_NAMES_H
#include "base/memory.h"
#include "libcache.h"

#define PREFIX_MAX 64
#define PLAIN_KEY_MAX 200
#define DATA_NAME_MAX (PREFIX_MAX + LIBCACHE_NAMESPACE_NAME_MAX + PLAIN_KEY_MAX + 24)
#define KEY_SLOTS 4096u
#define FIELD_MAX (LIBCACHE_NAMESPACE_NAME_MAX + 2)

struct data_name {
    size_t size;
    char bytes[DATA_NAME_MAX];
};

void name_data(struct data_name *out, const char *prefix, libcache_slice ns, libcache_slice key);

/* The same with a word after the prefix: "lease", "waits". No number, so it is no value's name. */
void name_beside(struct data_name *out, const char *prefix, const char *word, libcache_slice ns, libcache_slice key);

/* The field of the metadata hash that has the latest position of a change in the key's slot. Returns its size. */
size_t name_slot_field(char *out, libcache_slice ns, libcache_slice key);

/* Eight bytes, little-endian, whatever the machine's order. */
void name_put_u64(unsigned char *out, uint64_t n);
uint64_t name_get_u64(const unsigned char *bytes);

/* ---- Names in the log ------------------------------------------------------------------------------------- */

enum name_kind { NAME_ALL = 'a', NAME_SPACE = 'n', NAME_TAG = 't', NAME_KEY = 'k', NAME_WAKE = 'w' };

struct name {
    enum name_kind kind;
    libcache_slice ns;  /* SPACE, KEY, WAKE */
    libcache_slice key; /* KEY, WAKE */
    uint64_t tag;       /* TAG: its hash */
};

#define NAME_BYTES_MAX (3 + 1 + LIBCACHE_NAMESPACE_NAME_MAX + LIBCACHE_KEY_MAX)

size_t name_size(const struct name *name);
void name_write(unsigned char *out, const struct name *name);

/* Reads the first name and moves on. 1: *out is it; 0: there is none, or these bytes are no names (then *bytes is not at its end). */
int name_read(struct name *out, const unsigned char **bytes, size_t *size);

#endif
