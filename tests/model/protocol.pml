/*
 * How two tiers stay coherent, for spin to search. SPDX-License-Identifier: MIT
 *
 * This is the protocol of positions, stamps and marks (docs/concepts.md) between hosts that share a Redis, reduced to what
 * can go wrong: one key with one tag, versions of its value in a database, and everybody who reads, loads, copies,
 * invalidates, forgets or is late. spin tries every order of their steps. run.sh says for which numbers of them, and takes
 * out one rule after the other to see that spin finds the old value that the rule keeps away.
 *
 *      database            redis                               host (one of several)
 *      +---------+         +---------------------------+       +-----------------------------+
 *      | version |         | epoch    counter          |       | epoch   latest   applied    |
 *      +---------+         | tag_mark key_slot         |       | tag_mark (generation)       |
 *        |     ^           | log: by tag or key, ...   | ----> | reply: what the listener    |
 *        |     |           | entry (L2)                |       |        read, not yet applied|
 *        |     writer ---> | version stamp epoch       |       | entry (L1) version stamp    |
 *        v                 +---------------------------+       +-----------------------------+
 *      loader ------------------^ fill      |  copier --- copy ---------^      ^
 *         +-----------------------------------------------------------fill-----+
 *
 * What is a step. A script in Redis is one step, for Redis runs it alone. A change of a host is one step, for it happens
 * under the lock of the key's stripe. Between the steps of anybody, everybody else may take any number of steps: a loader
 * may sleep for as long as it likes, a log may lag, a reply may be on its way while the world changes.
 *
 * The words
 *   position    The number of an invalidation: redis.counter counts them, the log has them in order, without gaps.
 *   mark        The position of the last invalidation of a name. The tag has one in Redis and one on each host.
 *   key slot    Redis keeps the position of the last invalidation per slot of keys. Hosts keep none.
 *   stamp       The highest position known to be issued when the load of an entry began.
 *   epoch       Which history positions belong to. A Redis that lost its metadata begins another. Real epochs are random
 *               numbers, so nothing here asks which of two is the later one, only whether they are the same.
 *   generation  A counter on the host, per slot of keys: invalidations of the key and changes of the epoch raise it. Only
 *               one question is ever asked of it, "is it what it was when I began?", so the model keeps the answer, a bit
 *               with each load and copy under way, and no counter that would grow without end.
 *   floor       Not part of the protocol: what the properties need. The highest version whose invalidation was applied
 *               here; also, from a change of the epoch on, all that were given a position in a lost epoch.
 *
 * The steps, and the rule that makes each safe
 *   A writer changes the database, then runs the script that counts, marks and logs (by key it also deletes the entry), then
 *     applies the invalidation on its own host, then returns.
 *   A loader takes its stamp, its epoch and the generation, and only then reads the database: whatever it misses has a
 *     position above its stamp. The stamp is `latest` of its host, or the counter that came with the miss in L2. It stores
 *     in L2 if the key slot is not above its stamp, the epoch is its own, and nothing newer is there (key-slot check, epoch);
 *     in L1 if the generation is the same, the epoch is its own, and the mark is not above its stamp. In any order, again
 *     after a reply that was lost, or not at all.
 *   A copier reads the entry from L2, or takes one from L1 that its host cannot vouch for. A copy keeps the stamp it found. A
 *     script that finds, in one step, the epoch unchanged and the tag's mark not above that stamp verifies it and gives it the
 *     counter as its stamp; one from L1 must be verified. It is served if the epoch is the host's and the mark is not above
 *     its stamp, and stored in L1 if moreover the generation is the same.
 *   A listener reads the next entry of the log, or, if that was trimmed or belongs to another epoch, epoch, counter and
 *     marks in one script; later it applies what it read. In the second case it drops what L1 has with the marks at hand.
 *   A reader is given what L1 has if the mark is not above its stamp.
 *   L1 and L2 evict at any time. Redis loses its metadata and its log at once, with or without the entry.
 *
 * Replies that arrive late. A host learns of another epoch from a reply, and epochs have no order: a reply that was on its way
 * when the host moved on may name the epoch the host has just left. Following it would put back marks of 0 and let in what
 * the lost history left behind. So a host follows a reply to another epoch only if it was asked for after the host took
 * the epoch it has (Redis never returns to an epoch, so what it answers then is later); the listener throws such a reply
 * away, a writer asks again. Mutation EPOCHBACK shows what happens otherwise.
 *
 * What was verified. The counter as a new stamp vouches for the tag, not for the key: nobody asked for its slot. An invalidation
 * of the key may already be counted in it whose turn in the log is still to come. So that must drop the entry whatever its
 * stamp. A host that would rather keep what is stamped at or above the invalidation's position (its own new value, when the log
 * brings back its own change; KEYSTAMP) must stamp differently (BEGUN): with a position from before the copy was read, the
 * `latest` before L2 was asked, or `applied` for what was taken from L1. Everything up to there was done to the key before,
 * and the tag's mark, verified later, holds for it too. KEYSTAMP without BEGUN is a mutation; with it, an instance.
 *
 * The properties
 *   G1  An L1 read on a writer's own host, after it returned, is not older than its version: its application raised the floor.
 *   G2  An L1 read on a host that applied an invalidation from the log is not older than that. On a host that is caught up
 *       (its epoch is that of Redis, and all of the log is applied) it is not older than any invalidation at all.
 *   G3  The same, whichever way the value came, loads and copies of any length; also for the value that a copier serves,
 *       against the floor that stood when it read it.
 *   G4  All of that when entries, parts of the log, or all of Redis are lost.
 *
 * How few are enough
 *   Nothing that a host keeps in L1 reaches Redis or another host, so one host is modelled in detail (HOSTS 1) and the rest of
 *     the world is "elsewhere": writers there do their part in Redis, loaders there have any stamp up to the counter (their
 *     log may lag by any amount) and store in L2. With a stamp of a lost epoch they could store nothing. As everything may
 *     happen on any host, what holds for this one holds for all. HOSTS 2 has two in detail.
 *   Writer n is the one whose change of the database comes n-th. It makes version n + 1.
 *   Taking the generation and asking Redis is one step: who takes it earlier can only be refused more.
 *   A copy whose generation is gone can only be served. If it is not older than the floor, that is harmless: it is forgotten.
 *   A bounded table of marks drops some, and its horizon rises: to the model that is a mark that is too high. It only refuses
 *     more, and copiers take entries from L1 to verify whether or not they are valid.
 *
 * Rules that are not here to be safe. "Nothing newer is there", when storing in L2, keeps what is more useful: an eviction could take
 * that away at any time. Comparing the mark when storing in L1 saves room: readers compare it. Of the two things that
 * keep fills of a lost epoch out of L1, the epoch that loads compare and the generation that its change raises, either is enough.
 *
 * Left out: an explicit `set`; namespaces and "everything" (they are marks like that of the tag, without the bounded table); an
 * invalidation that cannot reach Redis and is replayed later; a failover to a replica that is behind, in the same epoch;
 * data and metadata on different nodes; time, and with it the bound on the lag (G2's max_staleness); crashes (G5).
 */

/* How much of everything. */
#ifndef HOSTS
#define HOSTS 1
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef LOADERS
#define LOADERS 1
#endif
#ifndef LOSSES                  /* of the metadata in Redis */
#define LOSSES 0
#endif
#ifndef TRIMS                   /* 1: what a listener wants to read may be gone from the log */
#define TRIMS 0
#endif
#ifndef HEARS                   /* 1: hosts hear of positions from any reply, not only from the log and their own changes */
#define HEARS 1
#endif

#define ELSEWHERE HOSTS
#define MAX(one, other) ((one) > (other) -> (one) : (other))
#define HOME(who) host[who.host]

/* The rules that a mutation can take out. */
#ifdef NOKPOS
#define KEY_SLOT_ALLOWS(entry_) true
#else
#define KEY_SLOT_ALLOWS(entry_) (redis.key_slot <= entry_.stamp)
#endif

#ifdef NOMARK
#define MARK_ALLOWS(mark_, entry_) true
#else
#define MARK_ALLOWS(mark_, entry_) ((mark_) <= entry_.stamp)
#endif

#ifdef NOEPOCH
#define SAME_EPOCH(one, other) true
#else
#define SAME_EPOCH(one, other) ((one) == (other))
#endif

/* The other way to stamp what was verified, see the top. */
#ifdef BEGUN
#define VERIFIED_STAMP(copy_) MAX(copy_.entry.stamp, copy_.begun)
#else
#define VERIFIED_STAMP(copy_) redis.counter
#endif

/* An entry of a lost epoch is not newer than anything. */
#define NOTHING_NEWER(entry_) \
    (!redis.entry.held || redis.entry.epoch != entry_.epoch || redis.entry.stamp <= entry_.stamp)

/* Two bits count to 3: that many versions, positions and epochs. */
typedef Entry { bit held; unsigned version : 2; unsigned stamp : 2; unsigned epoch : 2 };
typedef Logged { bit by_tag; unsigned version : 2 };

typedef Redis {
    unsigned epoch : 2;
    unsigned counter : 2;
    unsigned tag_mark : 2;
    unsigned key_slot : 2;
    Entry entry;
    Logged log[WRITERS]         /* log[p - 1] has position p */
};

typedef Host {
    unsigned epoch : 2;
    unsigned latest : 2;        /* the highest position known here */
    unsigned applied : 2;       /* the log is applied up to here */
    unsigned tag_mark : 2;
    unsigned floor : 2;
    Entry entry
};

typedef Writer { unsigned host : 2; bit asked_since };      /* since the host took the epoch it has */
typedef Load { unsigned host : 2; bit same_generation; Entry entry };
typedef Copy {
    bit same_generation;
    bit unverified;
    bit old;                    /* below the floor when it was read */
    unsigned begun : 2;         /* BEGUN: the key's invalidations up to here came before it was read */
    Entry entry
};
typedef Reply { bit held; bit is_marks; unsigned epoch : 2; unsigned position : 2; unsigned tag_mark : 2; Logged logged };

byte database;
Redis redis;
Host host[HOSTS];
Writer writer[WRITERS];
Load load[LOADERS];
Copy copy[HOSTS];
Reply reply[HOSTS];

byte invalidated;               /* the highest version that was given a position */
byte lost[LOSSES + 1];          /* what it was when this epoch began */
byte i;                         /* scratch: 0 between steps */

/* What is not in use is 0, so that states that do not differ look the same. */
inline drop(it) { it.held = 0; it.version = 0; it.stamp = 0; it.epoch = 0 }
inline drop_load(it) { it.host = 0; it.same_generation = 0; drop(it.entry) }
inline drop_copy(it) { it.same_generation = 0; it.unverified = 0; it.old = 0; it.begun = 0; drop(it.entry) }
inline drop_logged(it) { it.by_tag = 0; it.version = 0 }
inline drop_reply(it) {
    it.held = 0; it.is_marks = 0; it.epoch = 0; it.position = 0; it.tag_mark = 0; drop_logged(it.logged)
}

inline put(to, from) { to.held = 1; to.version = from.version; to.stamp = from.stamp; to.epoch = from.epoch }

/* Loads and copies under way on this host may not be stored in its L1 any more. */
inline bump_generation(on) {
#ifdef NOGEN
    skip
#else
    if
    :: copy[on].old -> copy[on].same_generation = 0
    :: else -> drop_copy(copy[on])
    fi;
    do
    :: i < LOADERS ->
        if
        :: load[i].host == on -> load[i].same_generation = 0; load[i].host = ELSEWHERE
        :: else
        fi;
        i++
    :: else -> i = 0; break
    od
#endif
}

inline drop_l1(on) { drop(host[on].entry); bump_generation(on) }

/* Nothing from before is vouched for. */
inline move_to_epoch(on, to_epoch) {
    host[on].epoch = to_epoch;
    host[on].latest = 0; host[on].applied = 0; host[on].tag_mark = 0;
    host[on].floor = MAX(host[on].floor, lost[host[on].epoch]);
    drop_l1(on);
#ifndef EPOCHBACK
    do
    :: i < WRITERS -> writer[i].asked_since = (writer[i].host == on -> 0 : writer[i].asked_since); i++
    :: else -> i = 0; break
    od
#endif
}

inline apply(on, at, of_tag, of_version) {
    host[on].latest = MAX(host[on].latest, at);
    host[on].floor = MAX(host[on].floor, of_version);
    if
    :: of_tag -> host[on].tag_mark = MAX(host[on].tag_mark, at)
#ifdef KEYSTAMP
    :: !of_tag && host[on].entry.held && host[on].entry.stamp >= at -> bump_generation(on)
#endif
    :: else -> drop_l1(on)
    fi
}

inline writer_returns() { by_tag = 0; epoch = 0; position = 0; writer[me].host = 0; writer[me].asked_since = 0 }

proctype writes(byte me) {
    bit by_tag;
    unsigned epoch : 2;
    unsigned position : 2;

    d_step {
        database == me -> database++;
        printf("writer %d: the database has version %d\n", me, database)
    }
    atomic {
        if
        :: by_tag = 0
        :: by_tag = 1
        fi;
        select(i : 0 .. HOSTS);
        d_step {
            writer[me].host = i; i = 0;
            writer[me].asked_since = 1;
            epoch = redis.epoch;
            redis.counter++;
            position = redis.counter;
            redis.log[position - 1].by_tag = by_tag;
            redis.log[position - 1].version = me + 1;
            invalidated = MAX(invalidated, me + 1);
            if
            :: by_tag ->
                redis.tag_mark = position;
                printf("writer %d: host %d invalidates the tag: position %d of epoch %d\n",
                    me, writer[me].host, position, epoch)
            :: else ->
                redis.key_slot = position;
                drop(redis.entry);
                printf("writer %d: host %d invalidates the key: position %d of epoch %d\n",
                    me, writer[me].host, position, epoch)
            fi
        }
        if
        :: writer[me].host == ELSEWHERE -> writer_returns(); goto end
        :: else
        fi
    }
    do
    :: atomic {
        SAME_EPOCH(epoch, HOME(writer[me]).epoch) || writer[me].asked_since ->
        d_step {
            if
            :: !SAME_EPOCH(epoch, HOME(writer[me]).epoch) ->
                move_to_epoch(writer[me].host, epoch);
#ifndef EPOCHBACK
                drop_reply(reply[writer[me].host])
#endif
            :: else
            fi;
            apply(writer[me].host, position, by_tag, me + 1);
            printf("writer %d: applied on host %d, which is in epoch %d; returns\n",
                me, writer[me].host, HOME(writer[me]).epoch);
            writer_returns()
        }
        goto end
       }
    :: d_step {
        !(SAME_EPOCH(epoch, HOME(writer[me]).epoch) || writer[me].asked_since) ->
        writer[me].asked_since = 1;
        if
        :: epoch != redis.epoch ->      /* its invalidation is of a lost history: there is nothing left to mark */
            epoch = redis.epoch; position = 0; by_tag = 1
        :: else
        fi;
        printf("writer %d: host %d has changed its epoch since, asks again: epoch %d\n", me, writer[me].host, epoch)
       }
    od;
end:
    false
}

proctype loads(byte me) {
end:
    do
    :: atomic {
        select(i : 0 .. HOSTS);
        load[me].host = i;
        if
        :: load[me].host < HOSTS ->
            load[me].same_generation = 1;
            load[me].entry.stamp = HOME(load[me]).latest;
            load[me].entry.epoch = HOME(load[me]).epoch
        :: load[me].host < HOSTS ->
            load[me].same_generation = 1;
            load[me].entry.stamp = redis.counter;
            load[me].entry.epoch = redis.epoch
        :: load[me].host == ELSEWHERE ->
            select(i : 0 .. redis.counter);
            load[me].entry.stamp = i;
            load[me].entry.epoch = redis.epoch
        fi;
        i = 0;
        printf("loader %d: begins on host %d with stamp %d of epoch %d\n",
            me, load[me].host, load[me].entry.stamp, load[me].entry.epoch)
       }
       d_step {
        load[me].entry.held = 1;
        load[me].entry.version = database;
        printf("loader %d: reads version %d in the database\n", me, database)
       }
#ifdef LATESTAMP
       d_step {
        load[me].entry.stamp = redis.counter;
        load[me].entry.epoch = redis.epoch;
        printf("loader %d: takes stamp %d of epoch %d\n", me, load[me].entry.stamp, load[me].entry.epoch)
       }
#endif
       do
       :: d_step {
           SAME_EPOCH(load[me].entry.epoch, redis.epoch) && KEY_SLOT_ALLOWS(load[me].entry) &&
           NOTHING_NEWER(load[me].entry) ->
           put(redis.entry, load[me].entry);
           printf("loader %d: stores version %d in L2\n", me, load[me].entry.version)
          }
       :: d_step {
           load[me].same_generation && SAME_EPOCH(load[me].entry.epoch, HOME(load[me]).epoch) &&
           MARK_ALLOWS(HOME(load[me]).tag_mark, load[me].entry) ->
           put(HOME(load[me]).entry, load[me].entry);
           printf("loader %d: stores version %d in L1 of host %d\n", me, load[me].entry.version, load[me].host)
          }
       :: d_step { drop_load(load[me]); printf("loader %d: returns\n", me) } break
       od
    od
}

inline take(on, from, no_key_until) {
    put(copy[on].entry, from);
#ifdef BEGUN
    copy[on].begun = no_key_until;
#endif
    copy[on].same_generation = 1;
    copy[on].old = (from.version < host[on].floor)
}

proctype reads(byte h) {
end:
    do
    :: d_step {
        host[h].entry.held && MARK_ALLOWS(host[h].tag_mark, host[h].entry) ->
        printf("host %d: serves version %d from L1\n", h, host[h].entry.version);
        assert(host[h].entry.version >= host[h].floor);                             /* G1, G2, G3 */
        assert(host[h].epoch != redis.epoch || host[h].applied != redis.counter ||
            host[h].entry.version >= invalidated)                                   /* G2, G4 */
       }
    :: d_step {
        !copy[h].entry.held && redis.entry.held ->
        take(h, redis.entry, host[h].latest);
#ifdef COPYFRESH
        copy[h].entry.stamp = redis.counter;
#endif
        printf("copier %d: reads version %d with stamp %d of epoch %d in L2\n",
            h, copy[h].entry.version, copy[h].entry.stamp, copy[h].entry.epoch)
       }
    :: d_step {
        !copy[h].entry.held && host[h].entry.held ->
        take(h, host[h].entry, host[h].applied);
        copy[h].unverified = 1;
        printf("copier %d: takes version %d with stamp %d of epoch %d from L1, to verify it\n",
            h, copy[h].entry.version, copy[h].entry.stamp, copy[h].entry.epoch)
       }
    :: d_step {
        copy[h].entry.held && SAME_EPOCH(copy[h].entry.epoch, redis.epoch) &&
        MARK_ALLOWS(redis.tag_mark, copy[h].entry) ->
        copy[h].entry.stamp = VERIFIED_STAMP(copy[h]);
        copy[h].unverified = 0;
        printf("copier %d: verified, the stamp is now %d\n", h, copy[h].entry.stamp)
       }
    :: d_step {
        copy[h].entry.held && !copy[h].unverified && SAME_EPOCH(copy[h].entry.epoch, host[h].epoch) &&
        MARK_ALLOWS(host[h].tag_mark, copy[h].entry) ->
        printf("copier %d: serves version %d\n", h, copy[h].entry.version);
        assert(!copy[h].old);                                                       /* G3 */
        if
        :: copy[h].same_generation ->
            put(host[h].entry, copy[h].entry);
            printf("copier %d: stores it in L1 of host %d\n", h, h)
        :: else
        fi;
        drop_copy(copy[h])
       }
    :: d_step { copy[h].entry.held -> drop_copy(copy[h]); printf("copier %d: gives up\n", h) }
    od
}

proctype listens(byte h) {
end:
    do
    :: d_step {
        !reply[h].held && SAME_EPOCH(host[h].epoch, redis.epoch) && host[h].applied < redis.counter ->
        reply[h].held = 1;
        reply[h].epoch = redis.epoch;
        reply[h].position = host[h].applied + 1;
        reply[h].logged.by_tag = redis.log[host[h].applied].by_tag;
        reply[h].logged.version = redis.log[host[h].applied].version;
        printf("listener %d: reads position %d of epoch %d\n", h, reply[h].position, reply[h].epoch)
       }
    :: d_step {
        !reply[h].held && (!SAME_EPOCH(host[h].epoch, redis.epoch) || (TRIMS && host[h].applied < redis.counter)) ->
        reply[h].held = 1;
        reply[h].is_marks = 1;
        reply[h].epoch = redis.epoch;
        reply[h].position = redis.counter;
        reply[h].tag_mark = redis.tag_mark;
        reply[h].logged.version = invalidated;
        printf("listener %d: reads the marks up to position %d of epoch %d\n", h, reply[h].position, reply[h].epoch)
       }
    :: d_step {
        reply[h].held ->
        if
        :: !SAME_EPOCH(host[h].epoch, reply[h].epoch) -> move_to_epoch(h, reply[h].epoch)
        :: else
        fi;
        host[h].applied = MAX(host[h].applied, reply[h].position);
        if
        :: reply[h].is_marks ->
            host[h].latest = MAX(host[h].latest, reply[h].position);
            host[h].floor = MAX(host[h].floor, reply[h].logged.version);
            host[h].tag_mark = MAX(host[h].tag_mark, reply[h].tag_mark);
#ifndef NODROP
            drop_l1(h)
#endif
        :: else -> apply(h, reply[h].position, reply[h].logged.by_tag, reply[h].logged.version)
        fi;
        printf("listener %d: has applied up to position %d of epoch %d\n", h, host[h].applied, host[h].epoch);
        drop_reply(reply[h])
       }
    :: d_step {
        HEARS && host[h].epoch == redis.epoch && host[h].latest < redis.counter ->
        host[h].latest++;
        printf("host %d: hears of position %d of epoch %d\n", h, host[h].latest, host[h].epoch)
       }
    od
}

proctype forgets() {
end:
    do
    :: d_step { redis.entry.held -> drop(redis.entry); printf("redis: evicts the entry\n") }
    :: d_step { host[0].entry.held -> drop(host[0].entry); printf("host 0: evicts the entry\n") }
#if HOSTS > 1
    :: d_step { host[1].entry.held -> drop(host[1].entry); printf("host 1: evicts the entry\n") }
#endif
#if LOSSES
    :: atomic {
        redis.epoch < LOSSES ->
        d_step {
            redis.epoch++;
            redis.counter = 0; redis.tag_mark = 0; redis.key_slot = 0;
            do
            :: i < WRITERS -> drop_logged(redis.log[i]); i++
            :: else -> i = 0; break
            od;
            lost[redis.epoch] = invalidated
        }
        if
        :: printf("redis: loses its metadata\n")
        :: drop(redis.entry); printf("redis: loses everything\n")
        fi
       }
#endif
    od
}

init {
    atomic {
        do :: i < WRITERS -> run writes(i); i++ :: else -> i = 0; break od;
        do :: i < LOADERS -> run loads(i); i++ :: else -> i = 0; break od;
        do :: i < HOSTS -> run reads(i); run listens(i); i++ :: else -> i = 0; break od;
        run forgets()
    }
}
