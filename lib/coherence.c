/*
 * Two numberings, one history. SPDX-License-Identifier: MIT
 *
 * Redis numbers invalidations 1, 2, 3 ... within an epoch. The segment has positions of its own that only ever rise, whatever
 * happens to Redis. The *mirror* says how the two go together:
 *
 *      Redis     ... first      first+1      first+2            applied          latest
 *                      |           |            |                  |                |
 *      segment       base      base+256     base+512   ...       local(applied)   local(latest)    position ->
 *
 *   - Marks and stamps in L1 are the segment's. Between two of Redis's positions there is room for 255 that the host issues
 *     alone, when Redis cannot be reached: an invalidation takes effect here at once and in the right order.
 *   - The log is applied up to `applied`, one by one; `latest` is the highest position that anybody has told us of (our
 *     own changes' answers, greetings), and what new loads are stamped with.
 *   - `first` is where our knowledge of marks begins. An entry found in Redis with an older stamp is not judged here: Redis is asked.
 *
 * When the history is another one (a new epoch, a gap in the log that Redis has forgotten, more than 255 positions issued
 * alone), a new segment epoch begins: base is put above all positions ever issued here, so nothing from before is
 * vouched for, nothing that began before is stored, and the mirror starts anew at what Redis says now. That costs misses.
 *
 * Another history with the same epoch. Redis may come back as an older copy (a failover, a restored snapshot): its
 * counter is lower, and soon counts on, over positions that meant something else here. So each position has a random token, and the
 * log chains them: each record carries the token of the one before. A host remembers the token of `latest` and of `applied`.
 * Every new connection says hello with (epoch, latest, its token); the script compares, and where they contradict, begins a new epoch in
 * Redis itself, which voids what any host may have stored or be loading under the lost positions. Every record that is
 * applied must name the token of the one before.
 *
 * The mirror lies in the segment twice: a writer (under the marks lock) fills the one that does not hold and then counts
 * `sequence` up, which is one store; he may die at any point. Readers copy the one that holds and look at `sequence` again. It is bound to a
 * segment epoch: if a writer died after beginning the epoch and before publishing the mirror, the old mirror no longer
 * means anything, and the next contact makes a new one.
 *
 * Heard. Redis told us, at a time, that there is nothing after `applied`: then everything issued before we asked is applied. An answer
 * that was waited for with BLOCK says so for the end of that time. l1 refuses what is older than that by max_staleness (G2).
 *
 * Lock order: listening or paying, then the marks lock, under which nothing is waited for.
 */
#include "coherence_internal.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/wiped.h"
#include "l1/flights.h"
#include "l1/hook.h"
#include "l1/lock.h"

#include <string.h>
#include <unistd.h>

#define APART 256            /* the segment's positions for one of Redis's */
#define OWED_BYTES 16384u
#define OWED_SMALL_BYTES 2048u
#define MARKS_MAX 1000000u   /* fields of the metadata hash, beyond which marks are forgotten ... */
#define MARKS_KEPT 500000u   /* ... but for the latest so many positions */
#define PAGES_MAX 64         /* read by one poll */

size_t coherence_upper_bytes(uint64_t memory_bytes)
{
    return sizeof(struct upper) + (memory_bytes >= (UINT64_C(4) << 20) ? OWED_BYTES : OWED_SMALL_BYTES);
}

void coherence_prepare(void *upper)
{
    struct upper *u = upper;

    lock_make(&u->listening);
    lock_make(&u->paying);
}

/* ---- The mirror ------------------------------------------------------------------------------------------------- */

void mirror_read(const struct coherence *c, struct mirror *out)
{
    const struct upper *u = c->upper;
    uint64_t before, epoch;

    do {
        const struct mirror *from;
        before = load_acquire(&u->sequence);
        from = &u->mirror[before & 1];
        out->redis_epoch = load_acquire(&from->redis_epoch);
        out->l1_epoch = load_acquire(&from->l1_epoch);
        out->first = load_acquire(&from->first);
        out->base = load_acquire(&from->base);
        out->applied = load_acquire(&from->applied);
        out->applied_token = load_acquire(&from->applied_token);
        out->latest = load_acquire(&from->latest);
        out->latest_token = load_acquire(&from->latest_token);
        fence_acquire();
    } while (load_acquire(&u->sequence) != before);
    epoch = l1_epoch(c->l1);
    if (out->l1_epoch != epoch) {
        memset(out, 0, sizeof *out);
        out->l1_epoch = epoch;
    }
}

/* Under the marks lock. */
static void mirror_write(struct coherence *c, const struct mirror *m)
{
    struct upper *u = c->upper;
    uint64_t sequence = load_relaxed(&u->sequence) + 1;
    struct mirror *to = &u->mirror[sequence & 1];

    store_release(&to->redis_epoch, m->redis_epoch);
    store_release(&to->l1_epoch, m->l1_epoch);
    store_release(&to->first, m->first);
    store_release(&to->base, m->base);
    store_release(&to->applied, m->applied);
    store_release(&to->applied_token, m->applied_token);
    store_release(&to->latest, m->latest);
    store_release(&to->latest_token, m->latest_token);
    hook(HOOK_MIRROR_WRITTEN);
    store_release(&u->sequence, sequence);
}

static uint64_t local_of(const struct mirror *m, uint64_t redis_position)
{
    return m->base + (redis_position - m->first) * APART;
}

/* 1: the host has issued so many positions alone that the next of Redis's has no place of its own. */
static int spilled(const struct coherence *c, const struct mirror *m)
{
    return l1_position(c->l1) >= local_of(m, m->latest + 1);
}

/*
 * The mirror of another history, from what Redis says now; or of the same one, from the latest that we know of it: marks up to
 * there are not known here any more. Under the marks lock.
 */
static void begin_mirror(struct coherence *c, struct mirror *m, const struct history *now)
{
    if (m->redis_epoch != now->epoch || m->latest < now->position) {
        m->latest = now->position;
        m->latest_token = now->token;
    }
    m->redis_epoch = now->epoch;
    m->first = m->applied = m->latest;
    m->applied_token = m->latest_token;
    m->base = l1_begin_epoch(c->l1, APART);
    hook(HOOK_EPOCH_BEGUN);
    m->l1_epoch = l1_epoch(c->l1);
    mirror_write(c, m);
    __atomic_fetch_add(&c->upper->epochs, 1, __ATOMIC_RELAXED);
}

/*
 * Notes that the history has come to `now`; anew: that it is not the one that we knew. OK or EBUSY. `asked`: the segment's epoch
 * when Redis was asked. If another one has begun since, nobody can say which of the two histories is the later one, and this
 * answer is passed over: the next one will tell.
 */
static int note(struct coherence *c, const struct history *now, int anew, uint64_t asked, struct mirror *m)
{
    mirror_read(c, m);
    if (!anew && m->redis_epoch == now->epoch && now->position <= m->latest)
        return LIBCACHE_OK;
    if (l1_lock_marks(c->l1, 0) != LIBCACHE_OK)
        return LIBCACHE_EBUSY;
    mirror_read(c, m);
    if (anew || m->redis_epoch != now->epoch || spilled(c, m)) {
        if (m->l1_epoch == asked)
            begin_mirror(c, m, now);
    } else if (now->position > m->latest) {
        m->latest = now->position;
        m->latest_token = now->token;
        mirror_write(c, m);
        l1_learn(c->l1, local_of(m, m->latest));
    }
    l1_unlock_marks(c->l1);
    return LIBCACHE_OK;
}

static void known(void *arg, struct history *out)
{
    struct mirror m;

    mirror_read(arg, &m);
    *out = (struct history){ m.redis_epoch, m.latest, m.latest_token };
}

static int contact(void *arg, const struct history *now, enum l2_contact how, uint64_t known_epoch)
{
    struct mirror m;

    mirror_read(arg, &m);
    if (m.redis_epoch != known_epoch && m.redis_epoch != now->epoch)
        return LIBCACHE_OK; /* another history has been met since hello was said: passed over, as in note */
    return note(arg, now, m.redis_epoch == known_epoch && !guard(GUARD_GAP, how != L2_GAP), m.l1_epoch, &m);
}

struct asked coherence_ask(const struct coherence *c)
{
    struct mirror m;

    mirror_read(c, &m);
    return (struct asked){ m.l1_epoch, m.redis_epoch, m.latest };
}

int coherence_learn(struct coherence *c, const struct history *now, const struct asked *asked, int issued, libcache_stamp *out)
{
    struct mirror m;

    memset(out, 0, sizeof *out);
    if (issued && now->epoch == asked->redis_epoch && now->position <= asked->position)
        return LIBCACHE_MISS; /* issued again: an older copy, under a connection that lives on. Who reads the log next sees to it */
    if (!now->epoch || note(c, now, 0, asked->epoch, &m) != LIBCACHE_OK || m.redis_epoch != now->epoch ||
        now->position < m.first)
        return LIBCACHE_MISS;
    out->epoch = m.l1_epoch;
    out->position = local_of(&m, now->position);
    return LIBCACHE_HIT;
}

int coherence_to_local(const struct coherence *c, uint64_t redis_epoch, uint64_t redis_position, libcache_stamp *out)
{
    struct mirror m;

    mirror_read(c, &m);
    memset(out, 0, sizeof *out);
    if (!redis_epoch || !guard(GUARD_EPOCH, m.redis_epoch == redis_epoch))
        return LIBCACHE_MISS;
    out->epoch = m.l1_epoch;
    if (redis_position < m.first)
        return LIBCACHE_STALE;
    out->position = local_of(&m, redis_position);
    return LIBCACHE_HIT;
}

int coherence_to_redis(const struct coherence *c, const libcache_stamp *stamp, struct history *out)
{
    struct mirror m;

    mirror_read(c, &m);
    if (!m.redis_epoch || !guard(GUARD_LOAD_EPOCH, stamp->epoch == m.l1_epoch && stamp->position >= m.base))
        return 0;
    out->epoch = m.redis_epoch;
    out->position = m.first + (stamp->position - m.base) / APART;
    if (out->position > m.latest)
        out->position = m.latest;
    out->token = 0;
    return 1;
}

/* ---- Invalidating ---------------------------------------------------------------------------------------------- */

/* Names that are not keys, collected for L1. */
struct collected {
    uint64_t tags[LIBCACHE_TAGS_MAX];
    uint32_t spaces[LIBCACHE_TAGS_MAX];
    struct l1_names names;
};

static int flush_collected(struct coherence *c, struct collected *l, const libcache_stamp *at, int no_wait)
{
    int result = LIBCACHE_OK;

    if (l->names.n_tags || l->names.n_spaces || l->names.all) {
        result = l1_invalidate(c->l1, &l->names, at ? at->epoch : 0, at ? at->position : L1_NEXT, no_wait);
        if (result == LIBCACHE_FENCED) /* another epoch has begun; what began in it is told as well */
            result = l1_invalidate(c->l1, &l->names, 0, L1_NEXT, no_wait);
    }
    l->names.n_tags = l->names.n_spaces = 0;
    l->names.all = 0;
    return result;
}

/* Applies one name. at NULL: with a position of the host's own. */
static int apply_name(struct coherence *c, struct collected *l, const struct name *name, const libcache_stamp *at,
                      size_t *there, int no_wait)
{
    char text[LIBCACHE_NAMESPACE_NAME_MAX + 1];
    uint32_t id = 0;
    struct l1_key key;
    int result;

    if (l->names.n_tags == LIBCACHE_TAGS_MAX || l->names.n_spaces == LIBCACHE_TAGS_MAX) {
        result = flush_collected(c, l, at, no_wait);
        if (result != LIBCACHE_OK)
            return result;
    }
    if (name->kind == NAME_ALL) {
        l->names.all = 1;
        return LIBCACHE_OK;
    }
    if (name->kind == NAME_TAG) {
        l->tags[l->names.n_tags++] = name->tag;
        return LIBCACHE_OK;
    }
    memcpy(text, name->ns.data, name->ns.size);
    text[name->ns.size] = '\0';
    if (!l1_find_space(c->l1, text, name->ns.size, &id))
        return LIBCACHE_OK; /* nobody here has entries of it */
    if (name->kind == NAME_SPACE) {
        l->spaces[l->names.n_spaces++] = id;
        return LIBCACHE_OK;
    }
    key = l1_key_of(c->l1, id, name->key.data, name->key.size);
    if (name->kind == NAME_WAKE) {
        flight_nudge(c->l1, &key);
        return LIBCACHE_OK;
    }
    result = at ? l1_delete_before(c->l1, &key, at->position, no_wait) : l1_delete(c->l1, &key, no_wait);
    if (there && result == LIBCACHE_OK)
        ++*there;
    return result < 0 ? result : LIBCACHE_OK;
}

static void collect_none(struct collected *l)
{
    memset(&l->names, 0, sizeof l->names);
    l->names.tags = l->tags;
    l->names.spaces = l->spaces;
}

static int apply_names(struct coherence *c, const struct name *names, size_t n, const libcache_stamp *at, size_t *there,
                       int no_wait)
{
    struct collected l;
    int first_error = LIBCACHE_OK, result;

    collect_none(&l);
    for (size_t i = 0; i < n; i++) {
        result = apply_name(c, &l, &names[i], at, there, no_wait);
        first_error = first_error == LIBCACHE_OK ? result : first_error;
    }
    result = flush_collected(c, &l, at, no_wait);
    return first_error == LIBCACHE_OK ? result : first_error;
}

int coherence_distrust(struct coherence *c, int no_wait)
{
    int result = l1_lock_marks(c->l1, no_wait);

    if (result != LIBCACHE_OK)
        return result;
    l1_begin_epoch(c->l1, APART);
    l1_unlock_marks(c->l1);
    __atomic_fetch_add(&c->upper->epochs, 1, __ATOMIC_RELAXED);
    return LIBCACHE_OK;
}

int coherence_invalidate(struct coherence *c, const struct name *names, size_t n, size_t *there, int no_wait, uint64_t deadline)
{
    struct asked asked = coherence_ask(c);
    struct history now;
    libcache_stamp at = { 0, 0, 0 };
    size_t gone = 0, here = 0;
    int result, applied;

    coherence_notice_fork(c);
    result = burst_invalidate(&c->burst, c->l2, names, n, &gone, &now, deadline);
    hook(HOOK_ANSWERED);
    if (broken(GUARD_OWN_HOST) && result == LIBCACHE_OK)
        applied = LIBCACHE_OK;
    else if (result == LIBCACHE_OK && coherence_learn(c, &now, &asked, 1, &at) == LIBCACHE_HIT)
        applied = apply_names(c, names, n, &at, &here, no_wait);
    else
        applied = apply_names(c, names, n, NULL, &here, no_wait);
    if (result == LIBCACHE_OK && applied == LIBCACHE_OK && !at.position && !broken(GUARD_OWN_HOST))
        applied = coherence_distrust(c, no_wait);
    if (result != LIBCACHE_OK)
        coherence_owe(c, names, n);
    else if (owed_any(c))
        owed_pay(c, deadline);
    if (there)
        *there = gone > here ? gone : here;
    return result == LIBCACHE_OK ? applied : result;
}

/* ---- The log ------------------------------------------------------------------------------------------------------- */

/* Applies the names of one record at a position of the segment. */
static int apply_record(struct coherence *c, const struct log_record *record, const libcache_stamp *at)
{
    const unsigned char *bytes = record->names;
    size_t size = record->names_size;
    struct collected l;
    struct name name;
    int result = LIBCACHE_OK;

    collect_none(&l);
    while (result == LIBCACHE_OK && name_read(&name, &bytes, &size))
        result = apply_name(c, &l, &name, at, NULL, 0);
    if (result == LIBCACHE_OK && size)
        l.names.all = 1; /* a kind that only a newer build knows: whatever it means, this covers it */
    return result == LIBCACHE_OK ? flush_collected(c, &l, at, 0) : result;
}

/* All up to position is applied; another may have got further. */
static int advance(struct coherence *c, const struct mirror *seen, uint64_t position, uint64_t token)
{
    struct mirror m;

    if (l1_lock_marks(c->l1, 0) != LIBCACHE_OK)
        return LIBCACHE_EBUSY;
    mirror_read(c, &m);
    if (m.l1_epoch == seen->l1_epoch && m.applied < position) {
        m.applied = position;
        m.applied_token = token;
        if (m.latest < position) {
            m.latest = position;
            m.latest_token = token;
            l1_learn(c->l1, local_of(&m, position));
        }
        mirror_write(c, &m);
    }
    l1_unlock_marks(c->l1);
    return LIBCACHE_OK;
}

/* Applies the records that follow each other; stops at a gap. OK (*upto, *token: how far), MISS (a gap), or an error. */
static int apply_records(struct coherence *c, const struct mirror *m, const struct log_page *page, uint64_t *upto, uint64_t *token)
{
    *upto = m->applied;
    *token = m->applied_token;
    for (size_t i = 0; i < page->n; i++) {
        libcache_stamp at = { .epoch = m->l1_epoch };
        struct log_record record;
        int result = l2_log_record(&page->records[i], &record);
        if (result != LIBCACHE_OK)
            return LIBCACHE_MISS; /* what nobody of ours has written: as if it were not there */
        if (!guard(GUARD_GAP, record.position == *upto + 1 && guard(GUARD_TOKEN, record.previous_token == *token)))
            return LIBCACHE_MISS;
        at.position = local_of(m, record.position);
        result = apply_record(c, &record, &at);
        if (result != LIBCACHE_OK)
            return result;
        *upto = record.position;
        *token = record.token;
    }
    __atomic_fetch_add(&c->records, page->n, __ATOMIC_RELAXED);
    return LIBCACHE_OK;
}

int coherence_apply(struct coherence *c, const struct mirror *seen, const struct log_page *page, unsigned asked_for,
                    uint64_t asked_ms, uint64_t heard_ms, uint64_t deadline)
{
    struct mirror m;
    uint64_t upto, token;
    int result;

    hook(HOOK_LOG_READ);
    /* No history, or one that ends before what we knew when we asked: it was lost. Hello sees to it, and says what there is. */
    if (!page->then.epoch || (page->then.epoch == seen->redis_epoch && page->then.position < seen->latest)) {
        result = l2_hello(c->l2, deadline);
        return result == LIBCACHE_OK ? LIBCACHE_MISS : result;
    }
    result = note(c, &page->then, 0, seen->l1_epoch, &m);
    if (result != LIBCACHE_OK)
        return result;
    if (m.l1_epoch != seen->l1_epoch || !seen->redis_epoch)
        return LIBCACHE_MISS; /* begun anew: what was read is of before */
    result = apply_records(c, seen, page, &upto, &token);
    if (result < 0)
        return result;
    /* A gap: records do not follow each other, or there is none where we knew of some before we asked. */
    if (result == LIBCACHE_MISS || (page->n < asked_for && !guard(GUARD_GAP, upto >= seen->latest))) {
        result = note(c, &page->then, 1, seen->l1_epoch, &m);
        return result == LIBCACHE_OK ? LIBCACHE_MISS : result;
    }
    hook(HOOK_LOG_APPLIED);
    if (upto > seen->applied)
        result = advance(c, seen, upto, token);
    if (result != LIBCACHE_OK)
        return result;
    /*
     * All that had been issued when we asked is applied: the records that follow each other are all that there were. No record at
     * all is news only if nothing was issued since, up to the end of the wait; else the next reading shows what became of it.
     */
    if (page->n == asked_for || (page->n == 0 && page->then.position != upto))
        return LIBCACHE_MISS;
    l1_heard(c->l1, page->then.position == upto ? heard_ms : asked_ms);
    return LIBCACHE_OK;
}

void coherence_keep_small(struct coherence *c, const struct log_page *page, uint64_t deadline)
{
    uint64_t cursor = load_relaxed(&c->prune_cursor);

    if (page->marks <= MARKS_MAX && !cursor)
        return;
    l2_prune(c->l2, MARKS_KEPT, &cursor, deadline);
    store_relaxed(&c->prune_cursor, cursor);
}

static int read_page(struct coherence *c, struct request *request, struct replies *replies, uint64_t deadline)
{
    struct mirror m;
    struct log_page page;
    uint64_t asked_ms;
    int result;

    mirror_read(c, &m);
    request_clear(request);
    result = l2_log_request(c->l2, request, m.applied, LOG_PAGE, 0);
    asked_ms = l1_now(c->l1);
    if (result == LIBCACHE_OK)
        result = transport_exchange(l2_transport(c->l2), request, replies, deadline, EXCHANGE_REPEATABLE);
    if (result == LIBCACHE_OK)
        result = l2_log_page(c->l2, replies, l1_now(c->l1), &page);
    if (result == LIBCACHE_OK) {
        coherence_keep_small(c, &page, deadline);
        result = coherence_apply(c, &m, &page, LOG_PAGE, asked_ms, asked_ms, deadline);
    }
    replies_free(replies);
    return result;
}

int coherence_poll(struct coherence *c, uint64_t deadline)
{
    struct request request;
    struct replies replies;
    int result = LIBCACHE_MISS;

    coherence_notice_fork(c);
    request_init(&request, c->allocator);
    replies_init(&replies, c->allocator);
    for (int i = 0; i < PAGES_MAX && result == LIBCACHE_MISS; i++)
        result = read_page(c, &request, &replies, deadline);
    request_free(&request);
    if (result == LIBCACHE_OK)
        owed_pay(c, deadline);
    return result == LIBCACHE_MISS ? LIBCACHE_EBUSY : result;
}

uint64_t coherence_deadline(const struct coherence *c, uint64_t *deadline)
{
    if (!*deadline)
        *deadline = deadline_after_ms(c->timeout_ms);
    return *deadline;
}

/* It is time for somebody to read the log. */
static int is_due(const struct coherence *c, uint64_t now, uint64_t tried)
{
    return now >= l1_last_heard(c->l1) + c->poll_ms && (!tried || now >= tried + c->poll_ms);
}

int coherence_is_due(const struct coherence *c)
{
    return is_due(c, l1_now(c->l1), load_relaxed(&c->upper->tried_ms));
}

void coherence_look(struct coherence *c, uint64_t *deadline)
{
    uint64_t now = l1_now(c->l1), tried = load_relaxed(&c->upper->tried_ms);

    if (!is_due(c, now, tried))
        return;
    if (__atomic_compare_exchange_n(&c->upper->tried_ms, &tried, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        coherence_poll(c, coherence_deadline(c, deadline) - UINT64_C(750000) * c->timeout_ms);
}

/* ---- Opening ----------------------------------------------------------------------------------------------------------- */

struct l2 *coherence_l2(struct coherence *c)
{
    return c->l2;
}

static uint64_t segment_clock(void *arg)
{
    return l1_now(arg);
}

int coherence_open(struct coherence **out, const struct coherence_options *options, libcache_error *error)
{
    struct coherence *c = memory_zero(options->allocator, sizeof *c);
    struct l2_options l2 = options->l2;
    int result;

    if (!c)
        return error_set(error, LIBCACHE_ENOMEM, "no memory for the Redis tier");
    c->l1 = options->l1;
    c->upper = l1_upper(options->l1);
    store_relaxed(&c->upper->owed_room, (uint32_t)(c->l1->layout.upper_bytes - sizeof(struct upper)));
    c->timeout_ms = options->timeout_ms;
    c->poll_ms = options->poll_ms;
    c->threaded = options->threaded;
    c->random = options->l2.transport.random;
    c->random_arg = options->l2.transport.random_arg;
    c->allocator = options->allocator;
    c->pid = (int)getpid();
    c->heard_fd = c->wake_fd = -1;
    c->here = wiped_word();
    burst_init(&c->burst, c->allocator);
    l2.known = known;
    l2.contact = contact;
    l2.arg = c;
    l2.transport.breaker = &c->upper->breaker;
    l2.transport.clock_ms = segment_clock;
    l2.transport.clock_arg = c->l1;
    result = l2_open(&c->l2, &l2, error);
    if (result == LIBCACHE_OK && c->threaded)
        result = listener_start(c, error);
    if (result != LIBCACHE_OK) {
        coherence_close(c);
        return result;
    }
    *out = c;
    return LIBCACHE_OK;
}

void coherence_close(struct coherence *c)
{
    if (!c)
        return;
    coherence_notice_fork(c);
    listener_stop(c);
    l2_close(c->l2);
    wiped_word_free(c->here);
    memory_free(c->allocator, c);
}

void coherence_notice_fork(struct coherence *c)
{
    int self, other;

    if (likely(c->here && load_acquire(c->here)))
        return;
    self = (int)getpid();
    while (load_acquire(&c->pid) != self) {
        other = load_acquire(&c->forking);
        if (other == self || !__atomic_compare_exchange_n(&c->forking, &other, self, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue; /* another thread of this child is at it */
        if (load_acquire(&c->pid) != self) {
            if (c->l1->segment.kind == LIBCACHE_PRIVATE)
                coherence_prepare(c->upper); /* held by threads that are not here */
            burst_init(&c->burst, c->allocator);
            listener_forget(c);
            if (c->threaded)
                listener_start(c, NULL);
            store_release(&c->pid, self);
        }
        store_release(&c->forking, 0);
    }
    if (c->here)
        store_release(c->here, 1);
}

void coherence_stats(const struct coherence *c, struct coherence_stats *out)
{
    struct mirror m;
    uint64_t now = l1_now(c->l1), heard = l1_last_heard(c->l1);

    mirror_read(c, &m);
    out->age_ms = now > heard ? now - heard : 0;
    out->position = m.latest;
    out->applied = m.applied;
    out->epochs = load_relaxed(&c->upper->epochs);
    out->owed = load_relaxed(&c->upper->owed_to) - load_relaxed(&c->upper->owed_from);
    out->records = load_relaxed(&c->records);
    out->breaker_opens = load_relaxed(&c->upper->breaker.opens);
    out->breaker_open = !breaker_closed(&c->upper->breaker);
    out->listening = load_relaxed(&c->listening);
}

void coherence_look_at(struct l1 *l1, struct coherence_stats *out)
{
    const struct coherence c = { .l1 = l1, .upper = l1_upper(l1) };

    coherence_stats(&c, out);
}
