/*
 * G5: any process may be SIGKILLed at any instruction; the others go on at once and are never given anything wrong.
 * SPDX-License-Identifier: MIT
 *
 * A few children use one small cache as hard as they can: evictions, wraps, splits and invalidations all the time. Each
 * kills itself at a point inside some multi-word change; the parent kills more of them at arbitrary instructions, and
 * replaces the dead. Every value says which key and which version it is, and has a checksum over all of it; the table
 * `score`, which all share, knows which versions may still be seen:
 *
 *   issued   a version's number is given out before its set begins          seen version <= issued
 *   done     the latest version whose set had returned, or that was seen
 *   lowest   raised when a set, delete or invalidation has returned          seen version >= lowest
 *
 * A version's writer owns its key as long as it writes, so that "later" means something. What a killed writer was about to
 * write may or may not be seen.
 */
#include "support/support.h"

#include "base/hash.h"
#include "cache.h"
#include "l1/hook.h"
#include "l1/index.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 2048, TAGS = 32, NUMBERS = 8, CHILDREN = 6, KILLS_A_ROUND = 200, HUNG_MS = 20000 };

struct score {
    uint64_t issued[KEYS], done[KEYS], lowest[KEYS];
    uint64_t loading[KEYS]; /* version of a load that has taken its stamp */
    uint64_t counted[NUMBERS];
    int owner[KEYS];        /* place of the child that writes it, from 1; 0: nobody */
    uint64_t died_at[HOOK_POINTS], reads, hits;
    int stop;
    char wrong[400];        /* by the first who finds something wrong */
    int wrong_taken;
};

static struct score *score;

static void wrong(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void wrong(const char *format, ...)
{
    va_list args;

    if (!__atomic_exchange_n(&score->wrong_taken, 1, __ATOMIC_ACQ_REL)) {
        va_start(args, format);
        vsnprintf(score->wrong, sizeof score->wrong, format, args);
        va_end(args);
    }
    _exit(1);
}

static void raise_to(uint64_t *word, uint64_t least)
{
    uint64_t now = load_relaxed(word);
    while (now < least && !__atomic_compare_exchange_n(word, &now, least, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        ;
}

/* ---- Values that speak for themselves --------------------------------------------------------------------------------- */

struct speech {
    uint64_t sum; /* of all that follows */
    uint64_t key, version, size;
};

enum { VALUE_MAX = 6000 };

static size_t value_make(unsigned char *value, uint64_t key, uint64_t version, size_t size)
{
    struct speech head = { 0, key, version, size };

    for (size_t i = sizeof head; i < size; i++)
        value[i] = (unsigned char)(version * 31 + i);
    memcpy(value, &head, sizeof head);
    head.sum = hash_bytes(value + 8, size - 8, 1);
    memcpy(value, &head.sum, 8);
    return size;
}

static int key_text(char *text, uint64_t key)
{
    return snprintf(text, 40, "key-%llu%.*s", (unsigned long long)key, (int)(key % 13), "................");
}

static void value_check(const libcache_value *value, uint64_t key, uint64_t lowest)
{
    struct speech head;
    uint64_t issued = load_acquire(&score->issued[key]);

    if (value->size < sizeof head)
        wrong("key %llu: only %zu bytes", (unsigned long long)key, value->size);
    memcpy(&head, value->data, sizeof head);
    if (head.size != value->size || hash_bytes((unsigned char *)value->data + 8, value->size - 8, 1) != head.sum)
        wrong("key %llu: torn: checksum, size %zu", (unsigned long long)key, value->size);
    if (head.key != key || value->flags != (uint32_t)key)
        wrong("key %llu: value of key %llu", (unsigned long long)key, (unsigned long long)head.key);
    if (head.version > issued)
        wrong("key %llu: version %llu of %llu", (unsigned long long)key, (unsigned long long)head.version,
              (unsigned long long)issued);
    if (head.version < lowest)
        wrong("key %llu: version %llu, but %llu is the oldest that may still be seen", (unsigned long long)key,
              (unsigned long long)head.version, (unsigned long long)lowest);
    raise_to(&score->done[key], head.version);
    raise_to(&score->lowest[key], head.version);
    __atomic_add_fetch(&score->hits, 1, __ATOMIC_RELAXED);
}

/* ---- What children do ------------------------------------------------------------------------------------------------------ */

struct player {
    libcache *cache;
    libcache_ns *ns;
    struct dice dice;
    int place;
    libcache_value value;
};

static uint64_t pick_key(struct player *p)
{
    return dice_chance(&p->dice, 40) ? dice_below(&p->dice, 40) : dice_below(&p->dice, KEYS);
}

static void read_key(struct player *p, uint64_t key)
{
    char text[40];
    int size = key_text(text, key), result;
    uint64_t lowest = load_acquire(&score->lowest[key]);

    result = libcache_get(p->ns, text, (size_t)size, &p->value, 0);
    if (result == LIBCACHE_HIT)
        value_check(&p->value, key, lowest);
    else if (result != LIBCACHE_MISS)
        wrong("get gives %s", result_name(result));
    __atomic_add_fetch(&score->reads, 1, __ATOMIC_RELAXED);
}

static void read_many(struct player *p)
{
    enum { N = 8 };
    libcache_value values[N];
    libcache_slice slices[N];
    uint64_t keys[N], lowest[N];
    int results[N];
    char text[N][40];

    memset(values, 0, sizeof values);
    for (int i = 0; i < N; i++) {
        keys[i] = pick_key(p);
        slices[i] = (libcache_slice){ text[i], (size_t)key_text(text[i], keys[i]) };
        lowest[i] = load_acquire(&score->lowest[keys[i]]);
    }
    if (libcache_get_many(p->ns, slices, N, values, results, NULL, 0) != LIBCACHE_OK)
        wrong("get_many fails");
    for (int i = 0; i < N; i++) {
        if (results[i] == LIBCACHE_HIT)
            value_check(&values[i], keys[i], lowest[i]);
        libcache_release_value(&values[i]);
    }
}

static int own(struct player *p, uint64_t key)
{
    int nobody = 0;
    return __atomic_compare_exchange_n(&score->owner[key], &nobody, p->place, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void ck_write(int result, int also)
{
    if (result != LIBCACHE_OK && result != also)
        wrong("a write gives %s", result_name(result));
}

static void write_key(struct player *p, uint64_t key, int load)
{
    static unsigned char bytes[VALUE_MAX];
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;
    char text[40], tag[16];
    libcache_slice tags[1] = { { tag, 0 } };
    size_t size = sizeof(struct speech) + dice_below(&p->dice, dice_chance(&p->dice, 5) ? VALUE_MAX - 100 : 500);
    int n = key_text(text, key), result;
    uint64_t version;

    if (!own(p, key))
        return;
    version = __atomic_add_fetch(&score->issued[key], 1, __ATOMIC_ACQ_REL);
    tags[0].size = (size_t)snprintf(tag, sizeof tag, "tag %llu", (unsigned long long)(key % TAGS));
    options.tags = tags;
    options.n_tags = 1;
    options.user_flags = (uint32_t)key;
    options.ttl_ms = dice_chance(&p->dice, 10) ? 1 + dice_below(&p->dice, 20) : 0;
    if (load) {
        if (libcache_take_stamp(p->ns, text, (size_t)n, &stamp) != LIBCACHE_OK)
            wrong("take_stamp fails");
        store_release(&score->loading[key], version);
        options.stamp = &stamp;
    }
    size = value_make(bytes, key, version, size);
    result = dice_chance(&p->dice, 5) ? libcache_add(p->ns, text, (size_t)n, bytes, size, &options)
                                      : libcache_set(p->ns, text, (size_t)n, bytes, size, &options);
    ck_write(result, result == LIBCACHE_EXISTS ? LIBCACHE_EXISTS : load ? LIBCACHE_FENCED : LIBCACHE_OK);
    if (result == LIBCACHE_OK) {
        raise_to(&score->done[key], version);
        raise_to(&score->lowest[key], version);
    }
    store_release(&score->owner[key], 0);
}

static void delete_key(struct player *p, uint64_t key)
{
    char text[40];
    int n = key_text(text, key);
    uint64_t version;

    if (!own(p, key))
        return;
    version = __atomic_add_fetch(&score->issued[key], 1, __ATOMIC_ACQ_REL);
    ck_write(libcache_delete(p->ns, text, (size_t)n, 0), LIBCACHE_MISS);
    raise_to(&score->lowest[key], version);
    store_release(&score->owner[key], 0);
}

/* What was done, and what was being loaded, before an invalidation may not be seen after it. */
static void invalidate(struct player *p)
{
    uint64_t lowest[KEYS];
    unsigned what = (unsigned)dice_below(&p->dice, 100);
    uint64_t step = what < 2 ? 1 : TAGS, first = step == 1 ? 0 : dice_below(&p->dice, TAGS);
    char tag[16];
    libcache_slice tags[1] = { { tag, 0 } };

    tags[0].size = (size_t)snprintf(tag, sizeof tag, "tag %llu", (unsigned long long)first);
    for (uint64_t key = first; key < KEYS; key += step) {
        uint64_t loading = load_acquire(&score->loading[key]), done = load_acquire(&score->done[key]);
        lowest[key] = (loading > done ? loading : done) + 1;
    }
    ck_write(what == 0 ? libcache_invalidate_all(p->cache, 0) : what == 1 ? libcache_invalidate_namespace(p->ns, 0)
             : libcache_invalidate_tags(p->cache, tags, 1, 0), LIBCACHE_OK);
    for (uint64_t key = first; key < KEYS; key += step)
        raise_to(&score->lowest[key], lowest[key]);
}

/* Other tags fill the table of marks, so that marks are replaced. */
static void invalidate_other(struct player *p)
{
    char tag[32];
    libcache_slice tags[1] = { { tag, 0 } };

    tags[0].size = (size_t)snprintf(tag, sizeof tag, "other %llu", (unsigned long long)dice_below(&p->dice, 3000));
    ck_write(libcache_invalidate_tags(p->cache, tags, 1, 0), LIBCACHE_OK);
}

static void count_up(struct player *p)
{
    uint64_t which = dice_below(&p->dice, NUMBERS);
    char text[40];
    int n = snprintf(text, sizeof text, "number %llu", (unsigned long long)which), result;
    int64_t number = 0;

    if (dice_chance(&p->dice, 5)) {
        ck_write(libcache_delete(p->ns, text, (size_t)n, 0), LIBCACHE_MISS);
        return;
    }
    if (dice_chance(&p->dice, 50)) {
        __atomic_add_fetch(&score->counted[which], 1, __ATOMIC_ACQ_REL);
        ck_write(libcache_increment(p->ns, text, (size_t)n, 1, NULL, &number), LIBCACHE_OK);
    } else {
        result = libcache_get(p->ns, text, (size_t)n, &p->value, 0);
        if (result != LIBCACHE_HIT)
            return;
        for (size_t i = 0; i < p->value.size; i++)
            number = number * 10 + ((char *)p->value.data)[i] - '0';
    }
    if (number < 1 || (uint64_t)number > load_acquire(&score->counted[which]))
        wrong("number %llu is %lld after %llu increments", (unsigned long long)which, (long long)number,
              (unsigned long long)load_acquire(&score->counted[which]));
}

static void iterate(struct player *p)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    int result = LIBCACHE_HIT;

    for (int i = 0; i < 50 && result == LIBCACHE_HIT; i++) {
        result = libcache_iterate(p->cache, &cursor, &entry);
        if (result == LIBCACHE_HIT && memcmp(entry.key.data, "key-", 4) != 0 && memcmp(entry.key.data, "numb", 4) != 0)
            wrong("iteration gives the key \"%.*s\"", (int)entry.key.size, (char *)entry.key.data);
    }
    if (result < 0)
        wrong("iterate gives %s", result_name(result));
}

static void touch(struct player *p, uint64_t key)
{
    char text[40];
    int n = key_text(text, key);
    uint64_t left;

    ck_write(libcache_touch(p->ns, text, (size_t)n, 1 + dice_below(&p->dice, 5000), 0), LIBCACHE_MISS);
    ck_write(libcache_ttl_left(p->ns, text, (size_t)n, &left, 0), LIBCACHE_MISS);
}

static void play(struct player *p)
{
    uint64_t key = pick_key(p), roll = dice_below(&p->dice, 1000);

    if (roll < 400)
        read_key(p, key);
    else if (roll < 740)
        write_key(p, key, 0);
    else if (roll < 790)
        write_key(p, key, 1);
    else if (roll < 840)
        delete_key(p, key);
    else if (roll < 900)
        count_up(p);
    else if (roll < 930)
        touch(p, key);
    else if (roll < 960)
        read_many(p);
    else if (roll < 963)
        invalidate(p);
    else if (roll < 985)
        invalidate_other(p);
    else if (roll < 995)
        iterate(p);
    else
        ck_write(libcache_sweep(p->cache, 100, NULL), LIBCACHE_OK);
}

/* ---- Dying -------------------------------------------------------------------------------------------------------------------- */

static enum hook_point last_point; /* where this child will die: at the countdown-th time it comes there */
static uint64_t countdown;

static void die_here(enum hook_point point)
{
    if (point != last_point || --countdown)
        return;
    __atomic_add_fetch(&score->died_at[point], 1, __ATOMIC_RELAXED);
    kill(getpid(), SIGKILL);
}

static void child_main(const libcache_options *options, libcache *cache, int place, uint64_t number)
{
    struct player p = { .cache = cache, .dice = dice_of(1000 + number), .place = place };
    uint64_t roll = dice_below(&p.dice, 100);

    last_point = roll < 15 ? HOOK_POINTS : (enum hook_point)dice_below(&p.dice, HOOK_POINTS);
    for (int i = 0; roll >= 50 && i < HOOK_POINTS; i++) /* where the fewest have died yet */
        if (load_relaxed(&score->died_at[i]) < load_relaxed(&score->died_at[last_point]))
            last_point = (enum hook_point)i;
    countdown = 1 + dice_below(&p.dice, UINT64_C(1) << dice_below(&p.dice, 8));
    if (last_point == HOOK_RESET || last_point == HOOK_SPACE_NAMED)
        countdown = 1;
    hook_function = die_here;
    if (!cache && libcache_open(&p.cache, options, NULL) != LIBCACHE_OK)
        wrong("open fails in a child");
    if (libcache_open_namespace(&p.ns, p.cache, "storm", NULL, NULL) != LIBCACHE_OK)
        wrong("open_namespace fails in a child");
    if (last_point == HOOK_SPACE_NAMED)
        libcache_open_namespace(&p.ns, p.cache, "doomed", NULL, NULL);
    for (int i = 0; i < 30000 && !load_relaxed(&score->stop); i++)
        play(&p);
    _exit(0); /* without closing: dead is dead */
}

/* ---- The parent ---------------------------------------------------------------------------------------------------------------- */

struct storm {
    pid_t child[CHILDREN];
    uint64_t born;
    unsigned long killed;
    struct dice dice;
};

static void bury(struct storm *storm, pid_t pid, int status)
{
    for (int i = 0; i < CHILDREN; i++)
        if (storm->child[i] == pid) {
            storm->child[i] = 0;
            for (int key = 0; key < KEYS; key++)
                if (score->owner[key] == i + 1)
                    store_release(&score->owner[key], 0);
        }
    storm->killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    ck_assert_msg(!score->wrong_taken, "%s", score->wrong);
    ck_assert_msg((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || (WIFEXITED(status) && WEXITSTATUS(status) == 0),
                  "a child ended with status %x", (unsigned)status);
}

static void bury_the_dead(struct storm *storm)
{
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        bury(storm, pid, status);
}

/* Tells the living to end, and sees that they do. */
static void end_round(struct storm *storm)
{
    uint64_t begun = real_ms();

    store_release(&score->stop, 1);
    for (int alive = 1; alive;) {
        alive = 0;
        bury_the_dead(storm);
        for (int i = 0; i < CHILDREN; i++)
            alive += storm->child[i] != 0;
        ck_assert_msg(real_ms() - begun < HUNG_MS, "%d children hang", alive);
        if (alive)
            usleep(1000);
    }
    store_release(&score->stop, 0);
}

static void run_round(struct storm *storm, const libcache_options *options, libcache *cache, unsigned long kills)
{
    unsigned long until = storm->killed + kills;

    while (storm->killed < until) {
        for (int i = 0; i < CHILDREN; i++)
            if (!storm->child[i]) {
                storm->child[i] = fork();
                ck_assert_int_ge(storm->child[i], 0);
                if (storm->child[i] == 0)
                    child_main(options, cache, i + 1, storm->born);
                storm->born++;
            }
        usleep((useconds_t)dice_below(&storm->dice, 1500));
        bury_the_dead(storm);
        if (dice_chance(&storm->dice, 40)) {
            pid_t pid = storm->child[dice_below(&storm->dice, CHILDREN)];
            if (pid)
                kill(pid, SIGKILL);
        }
    }
    end_round(storm);
}

/* What the dead have left is whole, and all of it can be used. */
static void check_after(libcache *cache, libcache_stats *stats, struct dice *dice)
{
    struct player p = { .cache = cache, .dice = *dice, .place = CHILDREN + 1 };
    libcache_ns *doomed;
    const char *what = NULL;
    uint32_t ok = 0;

    ck_assert_msg(l1_check(&cache->l1, &what), "an invariant does not hold: %s", what);
    ck_result(libcache_open_namespace(&p.ns, cache, "storm", NULL, NULL), LIBCACHE_OK);
    ck_result(libcache_open_namespace(&doomed, cache, "doomed", NULL, NULL), LIBCACHE_OK);
    for (uint64_t key = 0; key < KEYS; key++)
        read_key(&p, key);
    ck_result(invalidate_tag(cache, "any"), LIBCACHE_OK);
    for (int i = 0; ok < cache->l1.stripes && i < 10000; i++) {
        char key[40];
        int size = snprintf(key, sizeof key, "usable %d", i);
        struct l1_key k = l1_key_of(&cache->l1, doomed->id, key, (size_t)size);
        if (stripe_number(&cache->l1, k.hash) != ok)
            continue;
        ck_result(put(doomed, key, key), LIBCACHE_OK);
        ck_value(doomed, key, key);
        ck_result(libcache_delete(doomed, key, (size_t)size, 0), LIBCACHE_OK);
        ok++;
    }
    ck_assert_uint_eq(ok, cache->l1.stripes);
    for (int i = 0; i < 3000; i++) /* the lowest versions are still known, so this is checked as before */
        play(&p);
    ck_assert_msg(l1_check(&cache->l1, &what), "an invariant does not hold after going on: %s", what);
    ck_result(libcache_read_stats(cache, stats), LIBCACHE_OK);
    libcache_release_value(&p.value);
}

static libcache_options options_of_round(struct dice *dice, const char *name)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    options.segment = name ? LIBCACHE_NAMED : LIBCACHE_SHARED;
    options.name = name;
    options.memory_bytes = (384 << 10) + dice_below(dice, 5) * (128 << 10);
    options.stripes = 1u << dice_below(dice, 3);
    options.max_value_bytes = VALUE_MAX;
    options.max_namespaces = 4;
    options.verify_values = (int)dice_below(dice, 2);
    options.lock_wait_ms = HUNG_MS;
    return options;
}

static const char *const point_names[HOOK_POINTS] = {
    [HOOK_LOCKED] = "locked", [HOOK_BYTES_WRITTEN] = "bytes written", [HOOK_HEAD_ADVANCED] = "head advanced",
    [HOOK_PUBLISHED] = "published", [HOOK_WRAPPING] = "wrapping", [HOOK_BURIED] = "buried", [HOOK_TAIL] = "tail", [HOOK_SURVIVOR] = "survivor",
    [HOOK_SPLIT_MARKED] = "split marked", [HOOK_SPLIT_COPIED] = "split copied", [HOOK_SPLIT_PUBLISHED] = "split published",
    [HOOK_DELETED] = "deleted", [HOOK_RESET] = "reset", [HOOK_POSITION] = "position", [HOOK_MARK_CLEARED] = "mark cleared",
    [HOOK_SPACE_NAMED] = "space named", [HOOK_READ_HINT] = "read hint", [HOOK_READ_BUCKET] = "read bucket", [HOOK_READ_SLOT] = "read slot", [HOOK_READ_COPIED] = "read copied",
};

/* kind NAMED: the children open the segment themselves, in every other round while nobody else has it open. */
static void storm(int kind, unsigned long kills)
{
    const char *name = kind == LIBCACHE_NAMED ? segment_name("storm") : NULL;
    struct storm s = { .dice = dice_of(7 + (uint64_t)kind) };
    uint64_t owner_deaths = 0, resets = 0, evictions = 0, at_points = 0;

    score = mmap(NULL, sizeof *score, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(score, MAP_FAILED);
    for (int round = 0; s.killed < kills; round++) {
        libcache_options options = options_of_round(&s.dice, name);
        libcache_stats stats = LIBCACHE_STATS_INIT;
        libcache *cache = NULL;
        unsigned long share = kills - s.killed < KILLS_A_ROUND ? kills - s.killed : KILLS_A_ROUND;
        if (!name || round % 2)
            ck_result(libcache_open(&cache, &options, NULL), LIBCACHE_OK);
        run_round(&s, &options, name ? NULL : cache, share);
        if (!cache)
            ck_result(libcache_open(&cache, &options, NULL), LIBCACHE_OK);
        check_after(cache, &stats, &s.dice);
        owner_deaths += stats.owner_deaths;
        resets += stats.resets;
        evictions += stats.evictions;
        libcache_close(cache);
        if (name)
            ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
        memset(score->done, 0, sizeof score->done); /* another cache: versions go on, the rest begins anew */
    }
    printf("storm: %lu killed, %llu reads, %llu hits, %llu evictions, %llu owner deaths, %llu resets; at", s.killed,
           (unsigned long long)score->reads, (unsigned long long)score->hits, (unsigned long long)evictions,
           (unsigned long long)owner_deaths, (unsigned long long)resets);
    for (int i = 0; i < HOOK_POINTS; i++) {
        printf(" %s %llu,", point_names[i], (unsigned long long)score->died_at[i]);
        at_points += score->died_at[i];
    }
    printf(" at any other instruction %llu\n", (unsigned long long)(s.killed - at_points));
    ck_assert_uint_gt(score->hits, 0);
    for (int i = 0; kills >= 500 && i < HOOK_POINTS; i++)
        ck_assert_msg(score->died_at[i] >= 3, "only %llu have died at \"%s\"", (unsigned long long)score->died_at[i],
                      point_names[i]);
    if (kills >= 500) {
        ck_assert_uint_gt(owner_deaths, 0);
        ck_assert_uint_gt(resets, 0);
        ck_assert_uint_gt(evictions, 0);
    }
    munmap(score, sizeof *score);
}

START_TEST(nobody_is_given_anything_wrong_while_users_of_a_shared_cache_are_killed)
{
    storm(LIBCACHE_SHARED, scaled(3000));
}
END_TEST

START_TEST(nobody_is_given_anything_wrong_while_users_of_a_named_cache_are_killed)
{
    storm(LIBCACHE_NAMED, scaled(2000));
}
END_TEST

int main(void)
{
    return RUN_TESTS("kill_storm", nobody_is_given_anything_wrong_while_users_of_a_shared_cache_are_killed,
                     nobody_is_given_anything_wrong_while_users_of_a_named_cache_are_killed);
}
