/*
 * libcache: an embeddable two-tier cache for C, PHP and Python.        SPDX-License-Identifier: MIT
 *
 * This header is the manual. It reads from simple to advanced:
 *
 *   1. Concepts            5. Reading            9. Iterating and statistics
 *   2. Results and errors  6. Writing           10. Metrics
 *   3. Opening a cache     7. Loads and stamps  11. Traces
 *   4. Namespaces          8. Invalidating      12. Caveats: what breaks, said plainly
 *
 * ---- 1. Concepts ---------------------------------------------------------------------------------
 *
 * A *cache* is a handle on one block of memory, the *segment*, which is private to the process or
 * shared by all processes of a host. It holds *entries*: a key and a value, in a *namespace* that
 * carries a *policy* (how long entries live, how large they may be). An entry may carry *tags*; one
 * call invalidates everything under a tag, in constant time, however many entries carry it.
 *
 * That memory is the first *tier*, L1. With options.redis_url there is a second one, L2: a Redis (or Valkey) that
 * several hosts share. A get that L1 cannot answer asks Redis and keeps a copy; a change goes to Redis first, and
 * every other host hears of it through a log there, and gives up its copies. See docs/redis.md.
 *
 * A value is bytes, plus one *codec* byte and 32 bits of user *flags* that libcache stores and gives
 * back but never interprets.
 *
 *     libcache *cache;
 *     libcache_ns *users;
 *     libcache_policy policy = LIBCACHE_POLICY_INIT;
 *     libcache_value value = LIBCACHE_VALUE_INIT;
 *
 *     policy.ttl_ms = 300 * 1000;
 *     if (libcache_open(&cache, NULL, NULL) != LIBCACHE_OK) ...
 *     if (libcache_open_namespace(&users, cache, "user_profile", &policy, NULL) != LIBCACHE_OK) ...
 *
 *     libcache_set(users, "42", 2, "Ada", 3, NULL);
 *     if (libcache_get(users, "42", 2, &value, 0) == LIBCACHE_HIT)
 *         printf("%.*s\n", (int)value.size, (char *)value.data);
 *
 *     libcache_release_value(&value);
 *     libcache_close(cache);
 *
 * Rules that hold for every function:
 *   - `out` parameters come first where a function creates something, and stay untouched on failure.
 *   - What you pass in is copied before the call returns; nothing of yours is kept, except callbacks
 *     and their arguments, which must outlive the handle.
 *   - Times are milliseconds, sizes are bytes.
 *   - Options structs start with their own size. Start from the _INIT macro; a zero field means the
 *     default. A larger struct (from a newer header) is accepted if what this build does not know is 0.
 *   - Every function may be called from any thread at any time, unless it says otherwise.
 *   - No callback of yours is ever called while libcache holds a lock.
 *   - Nothing here prints, exits, aborts, installs a signal handler, starts a thread (but for the one that
 *     LIBCACHE_LISTEN_IN_THREAD asks for) or leaves a file descriptor open across exec.
 *   - A fault of Redis is never a fault of a read: it becomes a miss. A change that Redis did not take gives one of
 *     EUNAVAILABLE, ETIMEDOUT, EREMOTE, EDENIED, EPROTOCOL; below these five are "Redis's errors".
 *   - A call spends at most redis_timeout_ms on Redis, connecting included, and nothing while the breaker is open.
 */
#ifndef LIBCACHE_H
#define LIBCACHE_H

#include <stddef.h>
#include <stdint.h>

#define LIBCACHE_VERSION_MAJOR 0
#define LIBCACHE_VERSION_MINOR 1
#define LIBCACHE_VERSION_PATCH 0

#if defined(__GNUC__)
#define LIBCACHE_API __attribute__((visibility("default")))
#else
#define LIBCACHE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A cache. Opaque. Made by libcache_open or libcache_attach, ended by libcache_close. */
typedef struct libcache libcache;

/* A namespace of one cache. Opaque. Lives until its cache is closed; there is nothing to free. */
typedef struct libcache_ns libcache_ns;

/* Bytes of the caller, with a length: keys, tags and values may hold any byte, zeroes included. */
typedef struct libcache_slice {
    const void *data;
    size_t size;
} libcache_slice;

/* A slice of a string literal: LIBCACHE_STR("tenant:7"). */
#define LIBCACHE_STR(literal) { (literal), sizeof(literal) - 1 }

/* How an options struct starts: its size, and all else zero. */
#ifdef __cplusplus
#define LIBCACHE_SIZED(type) { sizeof(type) }
#else
#define LIBCACHE_SIZED(type) { .struct_size = sizeof(type) }
#endif

/* "MAJOR.MINOR.PATCH" of the library that is running (the macros are those of the header). */
LIBCACHE_API const char *libcache_version(void);

/* ---- 2. Results and errors ----------------------------------------------------------------------- */

/*
 * Functions return 0 or a positive result, or a negative error. A miss is a result, not an error.
 */
enum libcache_result {
    LIBCACHE_OK = 0,
    LIBCACHE_HIT = 1,      /* the value is there and fresh */
    LIBCACHE_STALE = 2,    /* the value is there, past its soft TTL: usable, but refresh it */
    LIBCACHE_NEGATIVE = 3, /* the key is known to be missing at the source */
    LIBCACHE_MISS = 4,     /* nothing usable is there */
    LIBCACHE_EXISTS = 5,   /* libcache_add: somebody else's entry is there; nothing was stored */
    LIBCACHE_FENCED = 6,   /* invalidated since the stamp was taken; nothing was stored (see 7) */
    LIBCACHE_LEAD = 7,     /* libcache_load_begin: yours to load */
    LIBCACHE_WAIT = 8,     /* libcache_load_begin: somebody else is loading it */
    LIBCACHE_BYPASS = 9,   /* libcache_load_begin: load it for yourself, others may be at it too */
    LIBCACHE_LIMITED = 10, /* libcache_rate_hit: more hits than the window allows */

    LIBCACHE_EINVAL = -1,        /* an argument is wrong: null, unknown flag, wrong struct size */
    LIBCACHE_ENOMEM = -2,        /* the allocator or mmap had no memory */
    LIBCACHE_EKEY = -3,          /* key is null, empty or longer than LIBCACHE_KEY_MAX */
    LIBCACHE_ETAG = -4,          /* tag is null, empty or too long, or there are too many */
    LIBCACHE_ETOOBIG = -5,       /* value larger than the namespace (or the cache) allows */
    LIBCACHE_EPOLICY = -6,       /* a policy field is out of range or contradicts another */
    LIBCACHE_ENAME = -7,         /* bad name of a namespace or segment, or no room for one more */
    LIBCACHE_ENUMBER = -8,       /* libcache_increment: the value is not a 64-bit decimal number */
    LIBCACHE_EOVERFLOW = -9,     /* libcache_increment: the result would not fit; nothing changed */
    LIBCACHE_EBUSY = -10,        /* a lock was not to be had in time, or at once (LIBCACHE_NO_WAIT) */
    LIBCACHE_EACCESS = -11,      /* segment belongs to another user, or others could open it, or is attached read-only */
    LIBCACHE_EINCOMPATIBLE = -12,/* segment is of another build, format, identity or size */
    LIBCACHE_ENOTFOUND = -13,    /* libcache_attach: there is no such segment */
    LIBCACHE_ESYSTEM = -14,      /* the operating system refused; the error text says which call */
    LIBCACHE_ECORRUPT = -15,     /* segment's contents contradict themselves */
    LIBCACHE_EUNSUPPORTED = -16, /* asked for a tier or feature that this cache does not have */
    LIBCACHE_EUNAVAILABLE = -17, /* Redis is not to be had: down, starting, breaker open, no connection free */
    LIBCACHE_ETIMEDOUT = -18,    /* Redis did not answer in time; it may or may not have done it */
    LIBCACHE_EREMOTE = -19,      /* Redis refused: out of memory, cannot persist, wrong type, script stopped */
    LIBCACHE_EDENIED = -20,      /* Redis wants other credentials, or its ACL forbids it */
    LIBCACHE_EPROTOCOL = -21,    /* what answers is not Redis, or an answer larger than allowed */
    LIBCACHE_ELOAD = -22,        /* a load failed, or did so lately and is not tried again yet */
    LIBCACHE_ELOST = -23         /* the lock is not, or no longer, yours */
};

/* A short English sentence for any of the codes above, never NULL. The string is constant. */
LIBCACHE_API const char *libcache_describe(int code);

/*
 * Where a call can fail for reasons that a code cannot tell, it takes one of these from the caller
 * (NULL: not wanted). Text is filled only on failure, is always terminated, and never holds a secret.
 */
typedef struct libcache_error {
    int code;
    char text[252];
} libcache_error;

/* ---- 3. Opening a cache -------------------------------------------------------------------------- */

/* Memory for handles and values. Segments are mapped, not allocated. Both functions or none. */
typedef struct libcache_allocator {
    void *(*allocate)(void *arg, size_t bytes); /* aligned as malloc; NULL: no memory */
    void (*release)(void *arg, void *memory);   /* never called with NULL */
    void *arg;
} libcache_allocator;

enum libcache_log_level { LIBCACHE_LOG_ERROR = 1, LIBCACHE_LOG_WARNING = 2, LIBCACHE_LOG_INFO = 3 };

enum libcache_segment_kind {
    LIBCACHE_PRIVATE = 0, /* this process only; a forked child gets its own copy */
    LIBCACHE_SHARED = 1,  /* this process and all children it forks after opening */
    LIBCACHE_NAMED = 2    /* every process of this user that opens the same name */
};

enum libcache_huge_pages {
    LIBCACHE_HUGE_AUTO = 0, /* ask for transparent huge pages when the segment is 2 MiB or more */
    LIBCACHE_HUGE_OFF = 1,
    LIBCACHE_HUGE_ON = 2    /* ask whatever the size */
};

/* A slow operation, as options.slow is told. All of it lives until that returns. */
typedef struct libcache_slow {
    size_t struct_size;
    const char *operation;   /* "get", "set", "delete", "touch", "increment", "invalidate", "lock", "rate" (Redis was asked), "load" (from
                                the load's begin to its commit or abort) or "wait" (for another's load) */
    const char *ns_name;     /* NULL: it concerns no namespace */
    const void *key;         /* NULL: none, or several */
    size_t key_size;
    uint64_t duration_ns;
    int result;              /* what the operation gave; of "load": OK or ELOAD; of "wait": OK, or WAIT: it was in vain */
} libcache_slow;

enum libcache_listener {
    LIBCACHE_LISTEN_ON_CALLS = 0, /* calls that find the log unread for long read it; see libcache_poll */
    LIBCACHE_LISTEN_IN_THREAD = 1 /* one thread of this handle listens, unless another process of the host does */
};

typedef struct libcache_options {
    size_t struct_size;
    int segment;              /* enum libcache_segment_kind */
    const char *name;         /* LIBCACHE_NAMED only: 1 to 64 of A-Z a-z 0-9 . _ - , not starting with '.' */
    size_t memory_bytes;      /* the whole segment, everything included. Default 64 MiB, least 256 KiB. A handle takes a
                                 32nd of that besides, at most 264 KiB, in memory of its process */
    size_t max_value_bytes;   /* largest value of any namespace. Default the lesser of 1 MiB and a 32nd of memory_bytes;
                                 at most about a fifth of a stripe's share of memory_bytes, and 256 MiB */
    unsigned stripes;         /* writer locks, 1 to 256, rounded down to a power of two. Default: by cores, memory and largest value */
    unsigned max_namespaces;  /* 1 to 4095. Default 256; each takes 128 bytes + 24 a stripe of the segment */
    unsigned huge_pages;      /* enum libcache_huge_pages */
    unsigned lock_wait_ms;    /* longest wait for a lock that a live process holds. Default 1000 */
    int verify_values;        /* 1: keep a checksum with each value and check it on every hit */
    const char *identity;     /* what the entries are about (a prefix, an environment); another identity
                                 is refused with LIBCACHE_EINCOMPATIBLE. Default "" */
    const char *policy_file;  /* INI file of namespace policies, see docs/policy-file.md. Default none */

    const libcache_allocator *allocator;             /* default malloc and free; copied */
    uint64_t (*clock_ms)(void *arg);                 /* default CLOCK_MONOTONIC; must not run backwards */
    void *clock_arg;
    uint64_t (*random)(void *arg);                   /* 64 random bits, for jitter. Default seeded by the kernel */
    void *random_arg;
    void (*log)(void *arg, int level, const char *message); /* default none; must not call libcache */
    void *log_arg;

    /*
     * Runs job(job_arg) later, once, in a thread of yours; gives 0, or another number when it will not. Used to refresh stale
     * values in the background by libcache_get_or_load and _many (without it the caller that finds one refreshes it), and by
     * libcache_warm to load several batches at once. Called from any thread that calls libcache. Jobs have ended before libcache_close is
     * called; only those of libcache_warm may run later. Default none.
     */
    int (*execute)(void *arg, void (*job)(void *job_arg), void *job_arg);
    void *execute_arg;

    /* The Redis tier. Without redis_url there is none, and the rest means nothing. */
    const char *redis_url;        /* redis://[user:password@]host[:port][/db] or unix:///path/of.sock[?db=N] */
    const char *redis_prefix;     /* of all its keys in Redis: 1 to 64 of A-Z a-z 0-9 . _ - / . Default "libcache" */
    unsigned redis_timeout_ms;    /* the time that one call may spend on Redis, connecting included. Default 250 */
    unsigned pool_min;            /* connections that stay open when idle. Default 1 */
    unsigned pool_max;            /* connections at most, 1 to 1024. Default 8 */
    unsigned pool_overflow;       /* so many more in a rush, closed after use. Default 0 */
    unsigned pool_wait_ms;        /* longest wait for a free connection, within redis_timeout_ms. Default 50 */
    unsigned pool_idle_ms;        /* connections beyond pool_min are closed after so long. Default 60000 */
    unsigned breaker_failures;    /* failures in a row that open the breaker. Default 3 */
    unsigned breaker_backoff_ms;  /* first pause before a probe; doubles, with jitter, up to ... Default 100 */
    unsigned breaker_backoff_max_ms; /* ... this. Default 5000 */
    size_t max_reply_bytes;       /* a longer answer is not read. Default 64 MiB */
    unsigned max_staleness_ms;    /* G2: what is older than the last news from Redis by this is not served from L1.
                                     10 to 3600000. Default 2000 */
    int listener;                 /* enum libcache_listener */
    unsigned poll_ms;             /* LIBCACHE_LISTEN_ON_CALLS: a call that finds the log unread for so long reads it.
                                     Default a twentieth of max_staleness_ms */
    unsigned log_length;          /* invalidations that Redis remembers for hosts that were away. Default 100000 */

    int read_only;                /* libcache_attach only: 1: look, and change nothing; see there */

    /*
     * Told of each operation that touched Redis, ran a loader or waited for another's load, and took slow_ms or longer. What L1
     * answers is never timed for this. Called in the thread of the operation, with no lock held, before the operation returns. It may
     * call libcache, but a slow operation of its own is told too. Default none.
     */
    void (*slow)(void *arg, const struct libcache_slow *operation);
    void *slow_arg;
    unsigned slow_ms;             /* default 100 */
} libcache_options;

#define LIBCACHE_OPTIONS_INIT LIBCACHE_SIZED(libcache_options)

/*
 * Opens a cache. options NULL: a private one with all defaults. A named segment is created when there
 * is none, else joined; when nobody alive uses it and it was made with other options, it is replaced.
 * Does not connect to Redis: that it is down is no error here. A segment belongs to one redis_url and redis_prefix:
 * who names others is refused with EINCOMPATIBLE.
 * Errors: EINVAL, ENOMEM, ENAME, EACCESS, EINCOMPATIBLE, ECORRUPT, EPOLICY (policy file), ESYSTEM, EUNSUPPORTED (rediss://).
 * A named segment's memory is allocated at once, so that a full /dev/shm is ENOMEM here and not a SIGBUS later; other
 * segments take memory as they fill. May block on the file system, and for lock_wait_ms on another process that is
 * opening the same segment (EBUSY).
 */
LIBCACHE_API int libcache_open(libcache **out, const libcache_options *options, libcache_error *error);

/*
 * Joins the named segment that exists, with the geometry it was made with; never creates one. Only the
 * callbacks, identity, policy_file, lock_wait_ms and what concerns Redis are used of options.
 * Errors: as libcache_open, and ENOTFOUND.
 *
 * With options.read_only the memory is mapped for reading only: this handle takes no lock (not the file's either) and cannot
 * change a byte of the segment, so that looking at it disturbs nobody. Reads, iteration, statistics and metrics work, but uses and hits are not
 * counted; identity is checked only if one is given; redis_url must not be. A namespace that is not there is ENOTFOUND. Whatever would
 * change something is EACCESS. The handle goes on to show this very memory if the segment is removed or replaced meanwhile.
 */
LIBCACHE_API int libcache_attach(libcache **out, const char *name, const libcache_options *options,
                                 libcache_error *error);

/*
 * Ends the handle and its namespaces. Entries of a named segment stay for the others, and for whoever
 * opens the name next, until the host restarts or libcache_remove_segment. NULL is allowed. The caller sees to it that no other thread
 * still uses the handle. A listening thread is woken and waited for: at once, or a second at most when it is just talking
 * to a Redis that does not answer. What Redis is owed (see 8) stays in a segment that others use; a private one takes it along.
 */
LIBCACHE_API void libcache_close(libcache *cache);

/*
 * Removes a named segment's name. Processes that have it open keep their memory; who opens the name
 * next starts empty. Errors: ENAME, ENOTFOUND, EACCESS, ESYSTEM.
 */
LIBCACHE_API int libcache_remove_segment(const char *name, libcache_error *error);

/* ---- 4. Namespaces ------------------------------------------------------------------------------- */

#define LIBCACHE_FOREVER UINT64_MAX      /* a TTL: never expires */
#define LIBCACHE_TTL_MAX_MS (UINT64_C(3650) * 24 * 3600 * 1000) /* ten years: the longest other TTL */
#define LIBCACHE_NAMESPACE_NAME_MAX 100  /* bytes */

enum libcache_tier { LIBCACHE_TIER_L1 = 1, LIBCACHE_TIER_L2 = 2 };

enum libcache_load_lease {
    LIBCACHE_LEASE_HOST = 1, /* one load a host */
    LIBCACHE_LEASE_REDIS = 2 /* one load in all hosts, refreshes too. Costs one more round trip when Redis has nothing */
};

/* Zero in any field: what the policy file says for this namespace, else the default named here. */
typedef struct libcache_policy {
    size_t struct_size;
    uint64_t ttl_ms;            /* life of an entry. Default 1 hour; at most LIBCACHE_TTL_MAX_MS, or LIBCACHE_FOREVER */
    uint64_t negative_ttl_ms;   /* life of "known missing". Default the lesser of ttl and 30 s */
    uint64_t soft_ttl_ms;       /* older than this, a hit is LIBCACHE_STALE. Default: never. Less than ttl */
    uint64_t grace_ms;          /* how long past its ttl an entry is kept for the load functions, which serve it while
                                   somebody else loads and when a load fails. Default: what another program of the
                                   segment has said, else 0 */
    unsigned jitter_percent;    /* 1 to 50: each TTL is shortened at random by up to this much. Default 0 */
    unsigned l1_share_percent;  /* 1 to 100: past this share of the memory, entries of this namespace
                                   are the first to go. Default 100. Who says one sets it for all
                                   processes of the segment */
    size_t max_value_bytes;     /* at most the cache's. Default the cache's */
    unsigned tiers;             /* enum libcache_tier, or'ed. Default: all that the cache has */
    uint64_t l1_ttl_ms;         /* life of an entry in L1, where it is shorter than what is left of ttl. Default: as ttl */
    size_t compress_bytes;      /* values of so many bytes or more are compressed in Redis (LZ4), if that makes them an
                                   eighth smaller. Default: never */
    uint64_t load_timeout_ms;   /* for how long the leader of a load is believed to be at it. Default 10 s */
    uint64_t load_backoff_ms;   /* after a failed load, nobody tries again for so long. Default 1 s */
    unsigned early_percent;     /* early refresh (XFetch): its beta in percent, 1 to 1000. 100 is the paper's; 250 makes
                                   about 1.5 loads an expiry where nothing else holds loads back. Default: none */
    unsigned load_lease;        /* enum libcache_load_lease: who leads a load. Default LIBCACHE_LEASE_HOST */
} libcache_policy;

#define LIBCACHE_POLICY_INIT LIBCACHE_SIZED(libcache_policy)

/*
 * Gives the namespace of this name, registering it in the segment when it is new. Opening it again
 * gives the same pointer; then policy must be NULL or say the same (else EPOLICY).
 * name: 1 to LIBCACHE_NAMESPACE_NAME_MAX bytes, any but control characters.
 * Errors: EINVAL, ENAME (bad name, or max_namespaces are in use), EPOLICY, ENOMEM, EBUSY, EUNSUPPORTED.
 */
LIBCACHE_API int libcache_open_namespace(libcache_ns **out, libcache *cache, const char *name,
                                         const libcache_policy *policy, libcache_error *error);

/* The policy in force, every field filled in. policy->struct_size must be set. Errors: EINVAL. */
LIBCACHE_API int libcache_read_policy(libcache_ns *ns, libcache_policy *policy);

/* ---- 5. Reading ---------------------------------------------------------------------------------- */

#define LIBCACHE_KEY_MAX 4095

/* Flags of single calls. A flag that a call does not know is EINVAL. */
enum libcache_flag {
    LIBCACHE_NO_WAIT = 1u << 0,  /* any call: rather LIBCACHE_EBUSY (a read: LIBCACHE_MISS) than wait for a lock */
    LIBCACHE_TIMES = 1u << 1,    /* get: fill age_ms and ttl_left_ms */
    LIBCACHE_NEG = 1u << 2,      /* set, add: store "known missing" with the negative TTL; value is ignored */
    LIBCACHE_SKIP_L1 = 1u << 3,  /* reads: do not look in L1. Writes: leave nothing of the key in L1 */
    LIBCACHE_SKIP_L2 = 1u << 4,  /* do not go to Redis, so never wait for it: what is changed is changed on this host only */
    LIBCACHE_READ_ONLY = 1u << 5,/* reads: keep no copy in L1 of what was found in Redis */
    LIBCACHE_NO_PUBLISH = 1u << 6,/* writes: other hosts are not told, and keep their copies until these expire */
    LIBCACHE_NO_BLOCK = 1u << 7, /* load_begin: LIBCACHE_WAIT rather than wait for another's load */
    LIBCACHE_REFRESH = 1u << 8,  /* load_begin: lead even if a fresh value is there */
    LIBCACHE_NOT_STORED = 1u << 9,/* load_commit, loader: the value is for the caller only */
    LIBCACHE_VERSION = 1u << 10  /* look: copy the value only if its version is not value->version */
};

/*
 * Where a value goes. Reuse one: as long as `capacity` suffices, a hit allocates nothing.
 *
 * Started from LIBCACHE_VALUE_INIT the memory is libcache's (`owner` says so), grown as needed, and
 * libcache_release_value frees it.
 * To have the bytes copied straight into memory of your own, either set data and capacity beforehand (owner stays NULL)
 * and accept LIBCACHE_ETOOBIG when it does not suffice (`size` then says how much is needed), or give
 * `reserve`: it is called with the exact size once that is known (codec and tier are set by then), while no lock is held, and returns
 * where the bytes go (NULL: the get fails with LIBCACHE_ENOMEM). It may be called again in the same
 * get, when the entry changed meanwhile: the memory of the last call counts. It may leave by longjmp.
 */
typedef struct libcache_value {
    void *data;
    size_t size;
    size_t capacity;
    void *(*reserve)(struct libcache_value *value, size_t size);
    void *reserve_arg;     /* yours */
    uint32_t flags;        /* as they were set */
    uint8_t codec;         /* as it was set */
    uint8_t tier;          /* enum libcache_tier: who answered; 0: a loader */
    uint64_t age_ms;       /* since it was stored. Only with LIBCACHE_TIMES */
    uint64_t ttl_left_ms;  /* until it expires, LIBCACHE_FOREVER if never. Only with LIBCACHE_TIMES */
    uint32_t load_ms;      /* how long its load took; 0: not known. Only with LIBCACHE_TIMES */
    const struct libcache_allocator *owner; /* libcache's own: who frees data; NULL: data is yours */
    uint64_t version;      /* of the entry in L1. Only with LIBCACHE_VERSION: see libcache_look */
} libcache_value;

#define LIBCACHE_VALUE_INIT { 0 }

/* Frees what libcache allocated in it and makes it empty. Call it before the cache is closed. */
LIBCACHE_API void libcache_release_value(libcache_value *value);

/*
 * Looks a key up and copies its value out. HIT, STALE: value is filled. NEGATIVE: only its codec, flags
 * and times. MISS: value is untouched.
 * Takes no lock, unless writers changed the entry 16 times during the call (see LIBCACHE_NO_WAIT).
 * A hit in L1 does not touch the network; with LIBCACHE_LISTEN_ON_CALLS one call of the host every poll_ms does, to read the log,
 * for a quarter of redis_timeout_ms at most. What L1 does not have costs one round trip to Redis, or two where it must be
 * asked for marks that this host does not know. All faults of Redis are a MISS (l2_errors counts them).
 * Errors: EKEY, EINVAL, ENOMEM, ETOOBIG.
 */
LIBCACHE_API int libcache_get(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                              unsigned flags);

/*
 * What L1 has at hand, for who wants to know before he gets ready to wait: a HIT, as libcache_get would give it, or a MISS, which
 * says nothing and is not counted: then libcache_get says what there is. Waits for nothing, neither Redis nor a lock.
 * flags: LIBCACHE_TIMES, LIBCACHE_VERSION. Errors: EINVAL, ENOMEM, ETOOBIG.
 *
 * LIBCACHE_VERSION is for who keeps values in another form (decoded, say) in the process: value->version is the version that he has, 0 if
 * none. If the entry still has it, it is a HIT whose bytes are not copied: nothing is reserved, and data is left alone. Else the bytes
 * are copied and version is set. A version holds in the process that was given it, for this key and this handle. A number of
 * libcache_increment has none: 0.
 */
LIBCACHE_API int libcache_look(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, unsigned flags);

/*
 * Looks up n keys, faster than n gets: what L1 does not have, in one round trip. results[i] is what libcache_get would have
 * returned for keys[i].
 * Returns OK when all were looked up, however many were found (*found, may be NULL, counts HIT and STALE).
 */
LIBCACHE_API int libcache_get_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values,
                                   int *results, size_t *found, unsigned flags);

/* As libcache_get, without the value and without counting as a use. HIT, STALE, NEGATIVE or MISS. */
LIBCACHE_API int libcache_exists(libcache_ns *ns, const void *key, size_t key_size, unsigned flags);

/* How long an entry has to live. OK (*ttl_left_ms is set; LIBCACHE_FOREVER if it does not expire) or MISS. With a Redis tier
 * it is Redis that is asked, where the entry may live longer than its copy in L1. */
LIBCACHE_API int libcache_ttl_left(libcache_ns *ns, const void *key, size_t key_size, uint64_t *ttl_left_ms,
                                   unsigned flags);

/* ---- 6. Writing ---------------------------------------------------------------------------------- */

#define LIBCACHE_TAGS_MAX 64    /* per entry */
#define LIBCACHE_TAG_MAX 4095   /* bytes of one tag */

/*
 * With a Redis tier, what is changed is changed in Redis first, by one round trip, and then here. Other hosts hear of it when
 * they read the log: within milliseconds where a thread listens. If Redis does not take it (one of Redis's errors):
 *
 *     set                   the value is kept in L1 and the key is owed to Redis (see 8): other hosts may be given older ones until
 *                           it can be told; then the value goes from both tiers
 *     set with a stamp      the value is kept in L1, and nothing is owed: nothing has changed
 *     delete                gone from L1, owed
 *     touch                 done in L1
 *     add, increment        not done here; after ETIMEDOUT it may have been done in Redis
 *
 * Whatever L1 is given while the host is out of touch with Redis, it serves for max_staleness_ms at most.
 */

/* What a load must remember (see 7). Treat it as opaque; copy it freely. */
typedef struct libcache_stamp {
    uint64_t epoch;
    uint64_t position;
    uint64_t generation;
} libcache_stamp;

typedef struct libcache_set_options {
    size_t struct_size;
    uint64_t ttl_ms;             /* default the policy's; limits as there */
    const libcache_slice *tags;  /* default none */
    size_t n_tags;
    uint32_t user_flags;         /* kept with the value */
    uint8_t codec;               /* kept with the value */
    unsigned flags;              /* LIBCACHE_NO_WAIT, _NEG, _SKIP_L1, _SKIP_L2, _NO_PUBLISH */
    const libcache_stamp *stamp; /* store only if nothing was invalidated since (see 7). Default: store */
} libcache_set_options;

#define LIBCACHE_SET_OPTIONS_INIT LIBCACHE_SIZED(libcache_set_options)

/*
 * Stores a value, replacing what was there. When it has returned OK, no reader of this segment gets the
 * older value any more. options NULL: all defaults. On an error the old entry is still there, except after ETOOBIG, when it
 * has been deleted (it was not what you wanted to be read any more), and after Redis's errors: see above.
 * Returns OK, or FENCED (with options->stamp). Errors: EKEY, ETAG, ETOOBIG, EINVAL, EBUSY, ENOMEM, Redis's errors.
 */
LIBCACHE_API int libcache_set(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                              const libcache_set_options *options);

/* Stores only if there is no entry (an expired or invalidated one is none): in Redis, where the namespace has that tier, so that
 * of several hosts one succeeds. OK, EXISTS or FENCED; errors as set. */
LIBCACHE_API int libcache_add(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                              const libcache_set_options *options);

/* One of many. `result` is what libcache_set would have returned. */
typedef struct libcache_item {
    libcache_slice key;
    libcache_slice value;
    const libcache_set_options *options; /* NULL: defaults */
    int result;
} libcache_item;

/* Stores n items, 64 in a round trip; a failed one does not stop the others. OK, or the first error among the results. In Redis those of
 * a round trip that are stored the same way are stored together: they have one position, and other hosts hear of them at once. */
LIBCACHE_API int libcache_set_many(libcache_ns *ns, libcache_item *items, size_t n);

/* Deletes an entry; loads of this key that have begun are fenced, on every host. OK (it was there, in either tier) or MISS.
 * Errors: EKEY, EINVAL, EBUSY, ENOMEM, Redis's errors. With LIBCACHE_NO_PUBLISH loads of other hosts are not fenced.
 * With Redis, OK may also be said of bytes that lie there still though an invalidation has overtaken them: no read gives them out. */
LIBCACHE_API int libcache_delete(libcache_ns *ns, const void *key, size_t key_size, unsigned flags);

/* Deletes n keys, 256 in a round trip. *deleted (may be NULL) counts those that were there. OK or the first error; all are tried. */
LIBCACHE_API int libcache_delete_many(libcache_ns *ns, const libcache_slice *keys, size_t n, size_t *deleted,
                                      unsigned flags);

/* Gives an entry a new TTL from now (0: the policy's). OK or MISS. Errors: EKEY, EINVAL, EBUSY, Redis's errors. Other hosts
 * are told where it ends earlier than before; where it ends later, their copies end when they would have. */
LIBCACHE_API int libcache_touch(libcache_ns *ns, const void *key, size_t key_size, uint64_t ttl_ms, unsigned flags);

/*
 * Adds delta to a decimal number, atomically, and keeps its remaining TTL, tags and flags. An absent key
 * counts as 0 and is created with options (NULL: the policy's TTL). *out (may be NULL) is the new number.
 * The value reads as decimal text. In a namespace with a Redis tier the number is Redis's alone: all hosts count together, L1
 * keeps no copy, and every get of it is a round trip. Without one it is this host's own.
 * Errors: EKEY, ENUMBER, EOVERFLOW (nothing changes), EBUSY, ETAG, EINVAL, ENOMEM, Redis's errors (after ETIMEDOUT it may have
 * been counted), ECORRUPT (with verify_values: the bytes are not those that were stored).
 */
LIBCACHE_API int libcache_increment(libcache_ns *ns, const void *key, size_t key_size, int64_t delta,
                                    const libcache_set_options *options, int64_t *out);

/* The same with delta subtracted. */
LIBCACHE_API int libcache_decrement(libcache_ns *ns, const void *key, size_t key_size, int64_t delta,
                                    const libcache_set_options *options, int64_t *out);

/* ---- 7. Loads and stamps ------------------------------------------------------------------------- */

/*
 * A load reads the source (a database) and stores what it read. If the source changes in between and the
 * change invalidates key, tag or namespace, the load's value is old, however late it arrives. To be safe:
 *
 *     libcache_take_stamp(ns, key, key_size, &stamp);       before reading the source
 *     row = query(...);
 *     options.stamp = &stamp;
 *     libcache_set(ns, key, key_size, row, size, &options); OK, or FENCED: use the row, it is not stored
 *
 * That holds among hosts as well: Redis refuses what was invalidated by anybody since. Such a set is told to nobody.
 * Never fails for a valid key. Errors: EKEY, EINVAL.
 */
LIBCACHE_API int libcache_take_stamp(libcache_ns *ns, const void *key, size_t key_size, libcache_stamp *stamp);

/*
 * The simple way: gives the value, and loads it when it is not there. However many threads and processes of a host ask for a
 * missing key at once, one of them runs the loader; the others get its value (with LIBCACHE_LEASE_REDIS: of all hosts).
 *
 *     static int load(void *arg, const libcache_slice *key, libcache_loaded *out)
 *     {
 *         out->data = query(arg, key, &out->size);
 *         out->release = free_row;
 *         return out->data ? LIBCACHE_OK : -1;
 *     }
 *     result = libcache_get_or_load(users, "42", 2, &value, load, db, NULL);
 *
 * HIT: value is filled, from a tier or from the loader (value->tier is 0 then). STALE: it is an older one: past its soft
 * TTL and being refreshed, or past its TTL within the grace because the load failed. NEGATIVE: known missing.
 * Errors: ELOAD (the loader gave an error, or did so less than load_backoff_ms ago, and nothing stale is there), EKEY, EINVAL,
 * ENOMEM, ETOOBIG (for the value's memory). Faults of Redis are not errors here. All that is asked of Redis before the loader runs
 * takes redis_timeout_ms at most, and so does all that is told it afterwards; waiting for others is not counted.
 */
typedef struct libcache_loaded {
    const void *data;            /* the value; copied before `release` is called */
    size_t size;
    void (*release)(void *arg, void *data); /* NULL: nothing to free. `arg` is the loader's */
    uint64_t ttl_ms;             /* as in libcache_set_options, all of these; zero: defaults */
    const libcache_slice *tags;
    size_t n_tags;
    uint32_t user_flags;
    uint8_t codec;
    unsigned flags;              /* LIBCACHE_NEG, LIBCACHE_NOT_STORED, LIBCACHE_NO_PUBLISH */
} libcache_loaded;

/* Called with no lock held, in the caller's thread or where the executor (libcache_options) runs it. *out is zeroed. OK, or
 * an error of your own (negative). */
typedef int (*libcache_loader)(void *arg, const libcache_slice *key, libcache_loaded *out);

typedef struct libcache_load_options {
    size_t struct_size;
    unsigned wait_ms;            /* longest wait for somebody else's load. Default: twice the policy's load_timeout_ms, so that
                                    when a leader does not come back, one of those who wait for him leads, and the others
                                    wait for that one */
    unsigned flags;              /* LIBCACHE_NO_BLOCK (load_begin only), LIBCACHE_REFRESH, LIBCACHE_SKIP_L2 */
    void *(*keep)(void *arg);    /* a refresh in the background runs later: what the loader gets then. NULL: arg itself, which
                                    must live until it has run */
    void (*drop)(void *kept);    /* it has run */
    uint64_t soft_ttl_ms;        /* what is older is stale for this call: instead of the policy's soft_ttl. 0: the policy's; at most
                                    LIBCACHE_TTL_MAX_MS */
    size_t concurrency;          /* libcache_warm: so many batches at once at most. 0 or 1: one after the other */
} libcache_load_options;

#define LIBCACHE_LOAD_OPTIONS_INIT LIBCACHE_SIZED(libcache_load_options)

LIBCACHE_API int libcache_get_or_load(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                      libcache_loader loader, void *arg, const libcache_load_options *options);

/*
 * The same for n keys: one look at L1 for all, one round trip to Redis for values and leases, and the loader gets those that are
 * missing or stale and that nobody else is loading, at once. It fills out[i] for keys[i]; result[i] is OK or an error of your own. What
 * it gave is stored in one more round trip. Stale ones are refreshed in the background where there is options.execute: in one job, for
 * which keep and drop are called once.
 * Those that others are loading are waited for afterwards. When one of them turns out to be ours after all, the loader is called again.
 * Returns OK, or the first error among the results.
 */
typedef int (*libcache_many_loader)(void *arg, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results);

LIBCACHE_API int libcache_get_or_load_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values,
                                           int *results, libcache_many_loader loader, void *arg,
                                           const libcache_load_options *options);

/*
 * The same in steps, for bindings and event loops. load_begin gives
 *
 *     HIT, NEGATIVE         value is filled. *load is NULL, or set when it is wise to refresh it early (see policy)
 *     STALE                 value is filled with an older one. *load is set when you are the one to refresh it, else NULL
 *     LEAD                  nothing is there, and you are the one to load it
 *     WAIT                  (LIBCACHE_NO_BLOCK) somebody else is at it, on this host or another: see load_wait and load_fd
 *     BYPASS                you have waited for long enough, or there was no room to say who leads: load it for yourself
 *     ELOAD                 a load failed lately, and nothing stale is there. *load is NULL
 *
 * Whoever got a load (*load is not NULL) ends it with commit or abort, once, from any thread of the same process. Until then, and for
 * load_timeout_ms at most, others wait for it. It carries the stamp that was taken at begin, so what it commits is stored only
 * if nothing was invalidated meanwhile; the value is yours to use in any case.
 */
typedef struct libcache_load libcache_load;

LIBCACHE_API int libcache_load_begin(libcache_load **load, libcache_ns *ns, const void *key, size_t key_size,
                                     libcache_value *value, const libcache_load_options *options);

/*
 * Before a refresh: looks whether Redis has a fresh value by now, from another host, and with LIBCACHE_LEASE_REDIS, in the same round
 * trip, whether it is this host that is to load it. HIT, NEGATIVE: value is filled and the load has ended. STALE: another host is
 * refreshing it, and the load has ended; this host asks again after 25 ms at the earliest. MISS: load it. But for HIT and NEGATIVE
 * value is untouched: what you have is not replaced by something as old. (After LEAD all this has been done.) value may be NULL.
 * Before the source is read, that is: the load's stamp is taken anew, so an older row would pass for a new one.
 * Errors: EINVAL (NULL, or a load that waits).
 */
LIBCACHE_API int libcache_load_recheck(libcache_load *load, libcache_value *value);

/*
 * Ends a load with what was loaded; options as for libcache_set (its stamp must be NULL). Returns OK, or FENCED: it was invalidated
 * meanwhile and is not stored, or what libcache_set returns. The load is gone in any case.
 */
LIBCACHE_API int libcache_load_commit(libcache_load *load, const void *value, size_t size,
                                      const libcache_set_options *options);

/* Ends a load that failed, or, with error 0, that was given up: then the next one tries at once. NULL is allowed. */
LIBCACHE_API void libcache_load_abort(libcache_load *load, int error);

/*
 * After WAIT: waits for at most wait_ms (0: just looks). WAIT: not yet; else what load_begin would give now, with *load changed
 * accordingly (NULL where that says so).
 */
LIBCACHE_API int libcache_load_wait(libcache_load **load, libcache_value *value, unsigned wait_ms);

/*
 * For event loops: a descriptor that becomes readable when a load may have ended that somebody waits for through this handle
 * (LIBCACHE_WAIT). Then call load_drain, and load_wait with wait_ms 0 on each load that waits. Ask for it once, before the first
 * load_begin with LIBCACHE_NO_BLOCK, and again in a forked child. It belongs to the cache and is closed with it. It is a hint: a leader
 * that was killed wakes nobody, so look at waiting loads now and then without it (every 100 ms, say). One call at a time.
 * Returns the descriptor, or EBUSY (64 handles of the segment have one), ESYSTEM, EINVAL.
 */
LIBCACHE_API int libcache_load_fd(libcache *cache);
LIBCACHE_API void libcache_load_drain(libcache *cache);

/*
 * Loads n keys into the cache, `batch` of them in one call of the loader. Those that are fresh already are not loaded; stale ones are
 * refreshed before it returns, never by a job of their own (keep and drop are not called). A batch that fails does not stop the others.
 *
 * With options->concurrency and options.execute of the cache up to `concurrency` batches are loaded at once: the caller's thread takes
 * one after the other, and so do up to concurrency - 1 jobs, each of which occupies a thread of the executor until nothing is left to
 * begin with. Loader and `release` are then called in several threads at once, with the same arg. What the executor refuses, or does
 * not run in time, the caller's thread does itself. Before and after its loader each batch needs a connection to Redis: with a
 * concurrency beyond pool_max some may find none within pool_wait_ms and do without, so that their values are in L1 only.
 *
 * progress (may be NULL) is called in the caller's thread only, when batches have ended, with the number of keys of all that have: it
 * rises from call to call, up to n. It is not called while the caller's thread is in the loader. When it returns other than 0, no
 * further batch begins, and it is not called again.
 *
 * Returns when all batches that have begun have ended: no job uses ns, keys, loader or arg after that. One that the executor runs
 * later only frees memory (by options.allocator), also after libcache_close. Blocks for as long as loaders run, and each batch for
 * others' loads (wait_ms) and Redis as libcache_get_or_load_many does. A child that loader or progress have forked in the caller's thread
 * and come back in goes on alone, without the batches that jobs have begun; one forked in a job leaves the rest to its parent.
 * Returns OK, or the first error in the order of keys. Errors: as libcache_get_or_load_many; EINVAL (also batch 0).
 */
LIBCACHE_API int libcache_warm(libcache_ns *ns, const libcache_slice *keys, size_t n, size_t batch,
                               libcache_many_loader loader, void *arg,
                               int (*progress)(void *arg, size_t done, size_t n), const libcache_load_options *options);

/*
 * Locks for applications. A lock has a name, an owner and an end (ttl_ms from when it was taken or kept): who has not given it back
 * by then has lost it. With a Redis tier it holds among all hosts, else among the processes of the segment. `owner` is filled by
 * lock_take, unless it already has one (text[0] is not 0): then it is taken, or still held, in that name. Keep the text to go on with the
 * lock elsewhere: it is all that is needed.
 *
 * lock_take waits for at most wait_ms (0: not at all), asleep: it is woken when the lock is given back. OK, or EXISTS: another has it.
 * lock_keep, lock_free: OK, or ELOST: it is not yours any more. lock_break frees it whoever has it: OK, or MISS. lock_owner: OK
 * (owner and, if not NULL, left_ms are filled) or MISS: nobody has it.
 * Errors: EINVAL, EKEY (name: 1 to LIBCACHE_KEY_MAX bytes), EBUSY (too many locks in the segment), and those of Redis: then nobody knows.
 */
typedef struct libcache_owner {
    char text[33]; /* 32 characters and a zero */
} libcache_owner;

LIBCACHE_API int libcache_lock_take(libcache *cache, const void *name, size_t name_size, libcache_owner *owner,
                                    uint64_t ttl_ms, unsigned wait_ms);
/*
 * lock_take for event loops: never sleeps. OK; or WAIT: another has it. Then load_fd's descriptor becomes readable when it may have been
 * given back: call load_drain, and this again with the same arguments, for each lock that is waited for; and without that when
 * wait->look_ns (of CLOCK_MONOTONIC) has come, for it may have ended, or the news been lost. In between a call costs nothing: it gives
 * WAIT without asking Redis. All of `wait` is zero at first, and whenever the lock is to be looked at whatever is known. Ask for
 * load_fd before; without a descriptor look_ns is all there is. Who does not want it any more just stops calling. Errors: as lock_take.
 */
typedef struct libcache_lock_wait {
    uint64_t look_ns;
    uint64_t seen; /* the library's */
} libcache_lock_wait;

LIBCACHE_API int libcache_lock_try(libcache *cache, const void *name, size_t name_size, libcache_owner *owner, uint64_t ttl_ms,
                                   libcache_lock_wait *wait);
LIBCACHE_API int libcache_lock_keep(libcache *cache, const void *name, size_t name_size, const libcache_owner *owner,
                                    uint64_t ttl_ms);
LIBCACHE_API int libcache_lock_free(libcache *cache, const void *name, size_t name_size, const libcache_owner *owner);
LIBCACHE_API int libcache_lock_break(libcache *cache, const void *name, size_t name_size);
LIBCACHE_API int libcache_lock_owner(libcache *cache, const void *name, size_t name_size, libcache_owner *owner,
                                     uint64_t *left_ms);

/*
 * Counts a hit of `name` in a window that begins with its first hit and lasts window_ms. OK: at most `limit` hits so far, this one
 * included; LIMITED: more. *rate (may be NULL) says how many are left and when the window ends. With a Redis tier all hosts count
 * together; while Redis cannot be reached, each host by itself. Errors: EINVAL, EKEY, EBUSY.
 */
typedef struct libcache_rate {
    uint64_t hits, remaining, reset_ms;
} libcache_rate;

LIBCACHE_API int libcache_rate_hit(libcache *cache, const void *name, size_t name_size, uint64_t limit, uint64_t window_ms,
                                   libcache_rate *rate);

/* ---- 8. Invalidating ----------------------------------------------------------------------------- */

/*
 * When one of these has returned OK, no process that shares the segment is given an entry that carried
 * the tag (or was in the namespace, or was there at all) before, and no load that began before can bring
 * one back. Cost does not depend on the number of entries. No tags: OK, nothing happens.
 *
 * With a Redis tier that holds on all hosts: no load that began before, anywhere, is stored in Redis after, and other hosts stop
 * serving what they have as soon as they read the log: within milliseconds where a thread listens. One that hears nothing stops
 * by itself after max_staleness_ms.
 *
 * After one of Redis's errors it is done in this segment, and Redis is *owed* the names: they are kept in the segment (as one
 * "everything" when there is no room for more) and told as soon as Redis can be reached, by any process of the host.
 * Until then other hosts, and Redis itself, have the old entries. The call need not be made again, unless the segment may end before:
 * owed_bytes in the statistics says whether there is something. With LIBCACHE_SKIP_L2 or LIBCACHE_NO_PUBLISH only this host does it.
 * Errors: ETAG, EINVAL, EBUSY, ENOMEM, Redis's errors.
 */
LIBCACHE_API int libcache_invalidate_tags(libcache *cache, const libcache_slice *tags, size_t n, unsigned flags);
LIBCACHE_API int libcache_invalidate_namespace(libcache_ns *ns, unsigned flags);
LIBCACHE_API int libcache_invalidate_all(libcache *cache, unsigned flags);

/*
 * Reads the log of invalidations until all that other hosts have said is applied here, and tells Redis what it could not be told
 * before. Programs without a listening thread may call it when they are idle; other calls do so now and then. Spends at most
 * timeout_ms (0: redis_timeout_ms). OK: at the time of the call this host was up to date. Errors: EINVAL, EUNSUPPORTED (no Redis tier),
 * EUNAVAILABLE, ETIMEDOUT, EREMOTE, EDENIED, EPROTOCOL, ENOMEM, EBUSY (there is more to read than the time allowed).
 */
LIBCACHE_API int libcache_poll(libcache *cache, unsigned timeout_ms);

/* ---- 9. Iterating and statistics ------------------------------------------------------------------ */

/* Start from LIBCACHE_CURSOR_INIT. Plain data, nothing to free. */
typedef struct libcache_cursor {
    uint64_t place[2];
} libcache_cursor;

#define LIBCACHE_CURSOR_INIT { { 0, 0 } }

/* One entry, as iteration sees it. Start from zero; release `key` with libcache_release_value when done. */
typedef struct libcache_entry {
    const char *ns_name;   /* lives as long as the cache handle */
    libcache_value key;
    size_t value_bytes;    /* 0 for a number made by libcache_increment */
    size_t memory_bytes;   /* what the entry occupies in the log, header included */
    uint64_t age_ms;
    uint64_t ttl_left_ms;
    uint64_t tags[LIBCACHE_TAGS_MAX]; /* hashes of the tags: libcache_hash_tag */
    unsigned n_tags;
    unsigned uses;         /* recent uses as the eviction sees them, 0 to 3 */
    uint32_t user_flags;
    uint8_t codec;
    int result;            /* HIT, STALE or NEGATIVE */
} libcache_entry;

/*
 * Gives the next live entry: HIT (entry is filled) or MISS (no more). Meant for tools. Takes no lock; an
 * entry that comes or moves during the iteration may be left out or seen twice. Errors: EINVAL, ENOMEM, ECORRUPT.
 */
LIBCACHE_API int libcache_iterate(libcache *cache, libcache_cursor *cursor, libcache_entry *entry);

/* The 64-bit hash by which an entry remembers a tag. */
LIBCACHE_API uint64_t libcache_hash_tag(const void *tag, size_t size);

/*
 * Looks at up to max_entries entries, on from where the last sweep ended, and frees the index slots of the
 * expired and invalidated ones. Writers do this a little at a time anyway; idle programs may want to.
 * *reclaimed may be NULL. Errors: EINVAL, EBUSY.
 */
LIBCACHE_API int libcache_sweep(libcache *cache, size_t max_entries, size_t *reclaimed);

typedef struct libcache_stats {
    size_t struct_size;
    /* this handle in this process, since it was opened; a forked child begins at 0. The same of all processes: libcache_sum_stats */
    uint64_t hits, stale, negatives, misses;
    uint64_t sets, adds, deletes, touches, increments;
    uint64_t fenced;              /* stores refused because of an invalidation since their stamp */
    uint64_t loads, load_errors;  /* committed and failed ones */
    uint64_t load_waits, load_bypasses; /* for another's load; those that did not wait on */
    uint64_t refreshes;           /* of values that were still served */
    uint64_t invalidations;       /* names invalidated: tags, namespaces, all */
    uint64_t lock_fallbacks;      /* reads that took the lock after 16 lost races */
    /* the segment, by all its processes, since it was created */
    uint64_t entries;             /* live, expired ones not yet reclaimed included */
    uint64_t evictions;           /* live entries dropped for want of room */
    uint64_t conflict_evictions;  /* those of them dropped because both index buckets were full */
    uint64_t reclaimed;           /* expired or invalidated entries found and dropped */
    uint64_t ghost_hits;          /* stores of a key that had recently been evicted */
    uint64_t survivors;           /* entries copied forward instead of being evicted */
    uint64_t owner_deaths;        /* locks found held by a dead process */
    uint64_t resets;              /* stripes emptied because of such a death, or of corruption */
    uint64_t memory_bytes;        /* the segment */
    uint64_t live_bytes;          /* of live entries, headers included */
    uint64_t index_bytes;
    uint64_t position;            /* of the latest invalidation, in the segment's own numbers */
    unsigned stripes;
    unsigned namespaces;
    /* the Redis tier: this handle in this process ... */
    uint64_t l2_hits, l2_misses;  /* of those hits (stale and negative ones too) and misses: what Redis was asked for */
    uint64_t l2_invalidated;      /* values found in Redis that a tag, a namespace or everything had overtaken */
    uint64_t l2_foreign;          /* values found that libcache has not written, or that were damaged */
    uint64_t l2_verified;         /* values whose marks Redis had to be asked for */
    uint64_t l2_errors;           /* calls that Redis did not serve: reads became misses */
    uint64_t l2_exchanges, l2_connects, l2_timeouts, l2_retries, l2_bytes_out, l2_bytes_in;
    uint64_t l2_time_us;          /* spent in exchanges, by all threads together; waiting for a connection and connecting included */
    uint64_t log_records;         /* of the log, applied by this handle */
    unsigned l2_connections;      /* open now */
    unsigned l2_up;               /* 1: the circuit breaker is closed */
    unsigned listening;           /* 1: this handle is the host's listener */
    /* ... and the segment */
    uint64_t coherence_age_ms;    /* since this host last knew that it had heard everything; see max_staleness_ms */
    uint64_t log_position, log_applied; /* Redis's latest position that is known here; how far the log was applied */
    uint64_t epochs;              /* how often Redis's history was found to be another, or to have a gap: all of L1 was given up */
    uint64_t owed_bytes;          /* names of invalidations that Redis is yet to be told */
    uint64_t breaker_opens;
    unsigned breaker_open;        /* 1: it keeps calls from Redis */
    /* this handle: misses by reason, see libcache_ns_stats; they add up to `misses` */
    uint64_t miss_cold, miss_expired, miss_evicted, miss_invalidated, miss_fenced, miss_unvouched, miss_unavailable;
    uint64_t load_timeouts;       /* of `loads`: ended after load_timeout_ms */
    uint64_t set_bytes;           /* of values that were stored */
    uint64_t slow;                /* operations that took slow_ms or longer */
    uint64_t pool_waits, pool_refusals; /* for a free connection, and those in vain */
    uint64_t metrics_bytes;       /* of the segment: what the counters and histograms take of memory_bytes */
} libcache_stats;

#define LIBCACHE_STATS_INIT LIBCACHE_SIZED(libcache_stats)

/* Reads the statistics; takes no lock, so figures of a busy segment may be a few operations apart. Errors: EINVAL. */
LIBCACHE_API int libcache_read_stats(libcache *cache, libcache_stats *stats);

/* ---- 10. Metrics --------------------------------------------------------------------------------- */

/*
 * What happened in one namespace, by all processes of the segment since it was created, those that have ended or were killed
 * included: each count is in the segment as soon as it is made. Numbers never go backwards. docs/metrics.md says more of each.
 */
typedef struct libcache_ns_stats {
    size_t struct_size;
    char name[LIBCACHE_NAMESPACE_NAME_MAX + 4];
    /* reads, by result and by who answered. Those of keys that were loaded are misses; get_many counts each key */
    uint64_t hits_l1, hits_l2, stale_l1, stale_l2, negatives_l1, negatives_l2;
    uint64_t misses;             /* all of these: */
    uint64_t miss_cold;          /* nothing was known of the key: never stored, deleted, or gone for so long that no trace is left */
    uint64_t miss_expired;       /* its TTL had ended */
    uint64_t miss_evicted;       /* it was there and had to make room, as far as a trace is left: see docs/metrics.md */
    uint64_t miss_invalidated;   /* a tag, its namespace or everything was invalidated */
    uint64_t miss_fenced;        /* the load that was waited for was overtaken by an invalidation, or given up */
    uint64_t miss_unvouched;     /* it was there, but this host could not tell whether it still held */
    uint64_t miss_unavailable;   /* L1 had nothing, and Redis could not be asked */
    uint64_t sets, adds, deletes, touches, increments, invalidations; /* invalidations: of the whole namespace */
    uint64_t set_bytes;          /* of values that were stored */
    uint64_t fenced;             /* stores refused because of an invalidation since their stamp */
    uint64_t loads, load_errors; /* committed and failed ones */
    uint64_t load_timeouts;      /* of `loads`: ended after load_timeout_ms, when others had stopped waiting for them */
    uint64_t load_waits, load_bypasses, refreshes;
    uint64_t l2_hits, l2_misses, l2_invalidated, l2_foreign, l2_verified, l2_errors; /* what Redis was asked, as in libcache_stats */
    uint64_t slow;               /* operations that took slow_ms or longer */
    /* now */
    uint64_t entries, live_bytes;
    uint64_t evictions;          /* since the segment was created: live entries that had to make room */
    /* connections to Redis, which belong to no namespace: only libcache_sum_stats has them */
    uint64_t l2_connects, l2_timeouts, l2_retries; /* made; deadlines missed; requests repeated on another connection */
    uint64_t l2_bytes_out, l2_bytes_in;
    uint64_t pool_waits, pool_refusals; /* for a free connection, and those in vain */
} libcache_ns_stats;

#define LIBCACHE_NS_STATS_INIT LIBCACHE_SIZED(libcache_ns_stats)

/* Takes no lock. Errors: EINVAL. */
LIBCACHE_API int libcache_read_ns_stats(libcache_ns *ns, libcache_ns_stats *stats);

/* The next namespace of the segment, whoever opened it: HIT (stats is filled) or MISS (no more). Errors: EINVAL. */
LIBCACHE_API int libcache_iterate_namespaces(libcache *cache, libcache_cursor *cursor, libcache_ns_stats *stats);

/* The same counts summed over all namespaces, with what concerns none of them; name is "". Errors: EINVAL. */
LIBCACHE_API int libcache_sum_stats(libcache *cache, libcache_ns_stats *stats);

/*
 * How long things took, of all processes of the segment. Real time, whatever clock the cache was given.
 */
enum libcache_time {
    LIBCACHE_TIME_GET = 0,      /* a get that L1 answered with a hit: one in 4096 of each thread, the clock's own 20 to 50 ns included */
    LIBCACHE_TIME_EXCHANGE = 1, /* a round trip to Redis, waiting for a connection and connecting included */
    LIBCACHE_TIME_LOAD = 2,     /* from a load's begin to its commit or abort */
    LIBCACHE_TIME_WAIT = 3      /* waiting for another's load */
};

#define LIBCACHE_TIMES_KINDS 4
#define LIBCACHE_TIME_BUCKETS 258

/*
 * A log-linear histogram: eight buckets to each doubling, so that a bucket's bounds, and with them every quantile, are at most
 * 12.5 % apart. Bucket 0 is up to 32 ns, the last one begins at 2^37 ns (137 s) and has no end.
 */
typedef struct libcache_times {
    size_t struct_size;
    uint64_t count, sum_ns, max_ns;            /* exact */
    uint64_t p50_ns, p90_ns, p99_ns, p999_ns;  /* upper bounds of the buckets where they lie, at most max_ns; 0: there are none */
    uint64_t bucket[LIBCACHE_TIME_BUCKETS];    /* how many there are in each */
} libcache_times;

#define LIBCACHE_TIMES_INIT LIBCACHE_SIZED(libcache_times)

/* which: enum libcache_time. Errors: EINVAL. */
LIBCACHE_API int libcache_read_times(libcache *cache, int which, libcache_times *times);

/* The largest duration of a bucket, UINT64_MAX for the last. */
LIBCACHE_API uint64_t libcache_time_bound(unsigned bucket);

/* The quantile (0.99: p99) of buckets that may be the difference of two readings. 0: they are empty. */
LIBCACHE_API uint64_t libcache_time_quantile(const uint64_t *buckets, double quantile);

enum libcache_metrics_format {
    LIBCACHE_METRICS_OPENMETRICS = 0, /* text for Prometheus, application/openmetrics-text; version=1.0.0 */
    LIBCACHE_METRICS_JSON = 1
};

/*
 * All metrics as text. `text` is filled like a value of libcache_get. docs/metrics.md lists their names. Counts of reads, writes and loads
 * and the times are the segment's, so one process of a host needs to be asked; what concerns connections is this process's.
 * Errors: EINVAL, ENOMEM, ETOOBIG.
 */
LIBCACHE_API int libcache_metrics(libcache *cache, libcache_value *text, unsigned format);

/* ---- 11. Traces ---------------------------------------------------------------------------------- */

/*
 * A trace writes down what happens to a sample of the keys of a live segment, in all of its processes, without their help: for a
 * replay that tells what another size would miss (bench-replay, docs/tuning.md). `libcache trace` is a program for it.
 *
 * The sample is one of keys: of a key that is in it, every get, look, get_many and load, set, add and delete is written down, of the
 * others nothing. Keys leave the process as hashes, keyed by a random secret of this trace: the same key has the same hash in all
 * processes, and nobody can compute names from hashes, nor find out by trying. Values never leave. Not written down: exists, ttl_left,
 * touch, increment, iteration, what handles with read_only read, and what ends by a tag, a namespace, "everything" or its TTL.
 *
 * While there is none, a hit of L1 costs nothing that can be measured: a thread that only hits in L1 looks for a trace every 256 hits
 * in a namespace; others at each miss and store. Records go through a queue in the segment (a 256th of the memory, 32 bytes a record, at
 * most 8192). Nobody waits for room in it: what does not fit is dropped and counted.
 */
typedef struct libcache_trace libcache_trace;

typedef struct libcache_trace_options {
    size_t struct_size;
    double rate;          /* share of the keys, above 0 and at most 1; 0: 1, all */
    const char *ns_name;  /* only this namespace, which must be there; NULL: all */
    unsigned lease_ms;    /* the trace ends by itself when it was not read for so long: 100 to 3,600,000; 0: 5000 */
} libcache_trace_options;

#define LIBCACHE_TRACE_OPTIONS_INIT LIBCACHE_SIZED(libcache_trace_options)

enum libcache_trace_op { LIBCACHE_TRACE_GET, LIBCACHE_TRACE_SET, LIBCACHE_TRACE_DELETE };

typedef struct libcache_trace_record {
    uint64_t key;         /* hash of namespace and key */
    uint64_t time_ms;     /* since the trace began; the default clock ticks every few ms */
    const char *ns_name;  /* lives as long as the cache handle */
    uint32_t ns;          /* its number */
    uint32_t key_size;
    uint32_t size;        /* of the value; 0 where there is none: NEGATIVE, MISS, a delete */
    int op;               /* enum libcache_trace_op */
    int result;           /* of a get: HIT, STALE, NEGATIVE or MISS */
    int tier;             /* enum libcache_tier: who answered it; 0: a miss, or no get */
} libcache_trace_record;

typedef struct libcache_trace_stats {
    size_t struct_size;
    uint64_t reads;       /* gets, looks and loads since it began, of keys in the sample and others, in the namespaces that it is about */
    uint64_t dropped;     /* records that found no room, or were lost with a process that was killed as it wrote one */
    uint64_t queue_records; /* how many the queue holds */
} libcache_trace_stats;

#define LIBCACHE_TRACE_STATS_INIT LIBCACHE_SIZED(libcache_trace_stats)

/*
 * Begins to trace the cache's segment; there may be one trace of a segment at a time. End it with libcache_trace_end before the cache is
 * closed. Errors: EINVAL, EACCESS (the cache was attached with read_only), ENOTFOUND (no such namespace), EBUSY (another process
 * is tracing: the text names it), ENOMEM, ESYSTEM.
 */
LIBCACHE_API int libcache_trace_begin(libcache_trace **out, libcache *cache, const libcache_trace_options *options,
                                      libcache_error *error);

/*
 * Takes out up to n records, oldest first, of each process in its order; *got says how many there were. Never waits. Call it often:
 * every 10 ms the queue of a 64 MiB segment (8192 records) takes 800,000 a second. One thread at a time. OK (*got may be 0).
 * Errors: EINVAL (also in a forked child), ENOTFOUND: the trace has ended, because it was not read for lease_ms.
 */
LIBCACHE_API int libcache_trace_read(libcache_trace *trace, libcache_trace_record *records, size_t n, size_t *got);

/* Errors: EINVAL. */
LIBCACHE_API int libcache_trace_status(libcache_trace *trace, libcache_trace_stats *stats);

/* Ends it: at their next access the processes find that out. NULL is allowed. */
LIBCACHE_API void libcache_trace_end(libcache_trace *trace);

/* ---- 12. Caveats --------------------------------------------------------------------------------- */

/*
 * - An explicit set is "last writer wins". It cannot know whose database write came later: where the source
 *   may change concurrently, invalidate and load with a stamp, do not set.
 * - It is a cache: any entry may be gone at any time. Never keep in it what you cannot get again.
 * - Redis: an error of a set, a delete or an invalidation means that other hosts do not know yet. While a host is out of touch with
 *   Redis for longer than max_staleness_ms, its L1 serves nothing from before, and what it stores for max_staleness_ms at most:
 *   the source sees more load then. max_staleness_ms is how long a host may not know that it is out of touch.
 * - Redis: a failover may lose invalidations that Redis had acknowledged. A host that knew of one notices, and a new history
 *   begins, which costs misses. One that no surviving host knew of is lost: entries end by their TTL then.
 * - Redis: with maxmemory and noeviction, a full Redis refuses invalidations (EREMOTE). See docs/redis.md for policies that do not.
 * - Redis: who can write to it can forge entries and marks. Who only shares the server needs a user and a prefix of his own.
 * - Redis: set_many, delete_many and invalidate_tags beyond 64, 256 and 64 items go in several exchanges, which share one
 *   redis_timeout_ms.
 * - fork: SHARED and NAMED segments are used on by parent and child; a PRIVATE one becomes the child's own
 *   copy. The handle is valid in both. Fork from a thread while another one uses the handle is allowed. A child makes connections,
 *   and where it was asked for a listening thread, of its own as soon as a call of its needs Redis.
 * - A process that is *stopped* (SIGSTOP, a debugger) in the middle of a write holds up writers of one stripe,
 *   which give up with EBUSY after lock_wait_ms; readers go on. A process that is *killed* holds up nobody.
 * - Readers trust a segment of their own user as far as bounds and keys go; bytes of a value that somebody
 *   scribbled over are noticed only with verify_values. Truncating a segment's file under a running process
 *   kills it with SIGBUS, as with any mapped file.
 * - Two different tags with the same 64-bit hash would invalidate each other; that costs a miss, nothing else.
 * - Tag marks live in a bounded table (a 128th of the memory). When it has dropped one, entries older than
 *   that mark and whose tags it does not know are given up.
 * - An entry larger than a tenth of a stripe's memory is not kept when it is stored for the first time, unless there is
 *   free memory: it is remembered, and kept on its second store. With the default max_value_bytes there are none.
 * - With verify_values 0 and TTL LIBCACHE_FOREVER a hit reads no clock. The default clock ticks every few ms.
 * - Do not unload the library (dlclose) with handles open; it is linked so that unloading does nothing.
 */

#ifdef __cplusplus
}
#endif
#endif
