/* The quick hit (lib/l1/hit.h) over a region that somebody scribbles over: it stays inside. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "cache.h"
#include "l1/hit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A copy of a stripe's region, behind it a page that nobody may read, and all slots alive. */
struct stand {
    struct rig rig;
    struct shard sh;
    struct quick quick;
    struct l1_view view;
    uint64_t tail[2];
    unsigned char *map;
    size_t map_bytes, page;
};

static void stand_up(struct stand *t)
{
    struct shard *from;
    size_t bytes;

    rig_prepare(&t->rig);
    t->rig.options.memory_bytes = 384 << 10;
    t->rig.options.stripes = 1;
    t->rig.options.max_namespaces = 4;
    rig_open(&t->rig);
    from = &t->rig.cache->l1.shards[0];
    t->page = (size_t)sysconf(_SC_PAGESIZE);
    bytes = (from->region_bytes + t->page - 1) / t->page * t->page;
    t->map_bytes = bytes + t->page;
    t->map = mmap(NULL, t->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(t->map, MAP_FAILED);
    ck_assert_int_eq(mprotect(t->map + bytes, t->page, PROT_NONE), 0);
    t->sh = *from;
    t->sh.region = t->map + bytes - from->region_bytes;
    t->tail[SMALL] = t->tail[MAIN] = 8;
    t->quick = t->rig.cache->l1.quick[0];
    t->quick.first_bucket = index_bucket(&t->sh, 0);
    t->quick.last = t->sh.region + (t->quick.last - t->quick.region);
    t->quick.region = t->sh.region;
    t->quick.tail = t->tail;
    t->view = t->rig.ns->view;
    t->view.quick = &t->quick;
}

static void stand_down(struct stand *t)
{
    munmap(t->map, t->map_bytes);
    rig_down(&t->rig);
}

/* What an entry's first words may be, of a key of that size in the namespace, so that they are believed as far as can be. */
static void write_head(const struct stand *t, struct dice *dice, unsigned char *p, size_t room, size_t key_size)
{
    static const uint32_t sizes[] = { 0, 1, 64, 100, 127, 128, 129, 1000, 100000, ENTRY_VALUE_MAX };
    uint32_t size = dice_chance(dice, 50) ? (uint32_t)dice_below(dice, 300) : sizes[dice_below(dice, 10)];
    int extra = dice_chance(dice, 50);
    uint64_t word[4] = { entry_what(size, (uint32_t)key_size, 0, t->view.ns, extra ? ENTRY_EXTRA : 0), 0, UINT64_MAX << 16,
                         dice_below(dice, 256) << 32 };

    memcpy(p, word, room < sizeof word ? room : sizeof word);
}

START_TEST(a_quick_hit_stays_in_its_region_whatever_is_there)
{
    static unsigned char memory[1 << 20];
    struct dice dice = dice_of(1);
    struct stand t;
    unsigned long hits = 0, rounds = scaled(300000);

    stand_up(&t);
    for (unsigned long round = rounds; round; round--) {
        unsigned char key[LIBCACHE_KEY_MAX];
        int lean = dice_chance(&dice, 50);
        size_t key_size = 1 + (size_t)dice_below(&dice, lean ? LEAN_KEY_MAX : dice_chance(&dice, 50) ? 100 : sizeof key);
        /* anywhere, beyond the region included, but mostly near its end */
        uint64_t place = dice_chance(&dice, 30) ? dice_roll(&dice) : t.sh.region_bytes - dice_below(&dice, dice_chance(&dice, 50) ? 200 : 1600);
        uint64_t offset = (place & t.sh.lap_mask & ~UINT64_C(7)) | UINT64_C(1) << t.sh.lap_shift, hash = dice_roll(&dice);
        libcache_value value = { .data = memory, .capacity = sizeof memory };
        uint64_t slot = slot_make(hash, dice_chance(&dice, 50) ? SMALL : MAIN, offset);
        struct bucket *b = index_bucket(&t.sh, 0);
        int result;
        memset(key, 0, key_size);
        memset(t.sh.region + t.sh.region_bytes - 8192, 0, 8192);
        place = offset & t.sh.lap_mask;
        if (place < t.sh.region_bytes)
            write_head(&t, &dice, t.sh.region + place, t.sh.region_bytes - place, key_size);
        t.quick.mask = t.quick.half = 0; /* one bucket, the last of the region */
        if (dice_chance(&dice, 50))
            b->slot[dice_below(&dice, BUCKET_SLOTS)] = slot;
        else
            *hint_of(t.view.hints, t.view.hint_mask, hash) = slot;
        result = l1_get(&t.view, key, key_size, hash, &value, lean);
        hits += result == LIBCACHE_HIT;
        ck_assert_msg(result == LIBCACHE_HIT || result == L1_ASK || result == L1_ASK_FULL || result == L1_ASK_ROOM || result == LIBCACHE_MISS, "%d", result);
    }
    ck_assert_uint_gt(hits, rounds / 100); /* some are believed */
    stand_down(&t);
}
END_TEST

int main(void)
{
    return RUN_TESTS("l1_hit", a_quick_hit_stays_in_its_region_whatever_is_there);
}
