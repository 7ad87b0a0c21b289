/* Keys, tags and values: everything about them follows from a number. SPDX-License-Identifier: MIT */
#include "coherence/coherence.h"

#include <stdio.h>
#include <string.h>

uint64_t dice_roll(uint64_t *dice)
{
    uint64_t z = *dice += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t dice_below(uint64_t *dice, uint64_t n)
{
    return dice_roll(dice) % n;
}

int dice_chance(uint64_t *dice, unsigned percent)
{
    return dice_below(dice, 100) < percent;
}

int row_is_missing(uint64_t version)
{
    return version % 16 == 0;
}

int key_is_set(unsigned key)
{
    return key % 4 == 3;
}

unsigned key_space(unsigned key)
{
    return key / 4 % SPACES;
}

int key_is_quiet(unsigned key)
{
    return key_space(key) == SPACE_AGING && key >= HOT_KEYS;
}

unsigned key_tags(unsigned tags[2], unsigned key)
{
    if (key_is_quiet(key)) {
        tags[0] = GROUPS + PAIRS + key;
        return 1;
    }
    tags[0] = key * 7 % GROUPS;
    tags[1] = GROUPS + key / 3 % PAIRS;
    return key % 3 == 0 ? 2 : 1;
}

int key_has_tag(unsigned key, unsigned tag)
{
    unsigned tags[2], n = key_tags(tags, key);
    return tags[0] == tag || (n == 2 && tags[1] == tag);
}

size_t key_text(char text[32], unsigned key)
{
    return (size_t)snprintf(text, 32, "row %u of the table", key);
}

size_t tag_text(char text[32], unsigned tag)
{
    return (size_t)(tag < GROUPS           ? snprintf(text, 32, "group:%u", tag)
                    : tag < GROUPS + PAIRS ? snprintf(text, 32, "pair:%u", tag - GROUPS)
                                           : snprintf(text, 32, "own:%u", tag - GROUPS - PAIRS));
}

static uint64_t sum_of(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t sum = UINT64_C(0xcbf29ce484222325) + size;

    for (size_t i = sizeof(uint64_t); i < size; i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    return sum;
}

size_t payload_finish(void *bytes, const struct payload *head)
{
    struct payload *p = bytes;
    uint64_t dice = head->key * UINT64_C(0x632be59bd9b4e019) + head->version;
    size_t room = VALUE_BYTES_MAX - sizeof *p;

    *p = *head;
    p->size = (uint32_t)(sizeof *p + dice_below(&dice, dice_chance(&dice, 5) ? room : room / 10));
    memset(p + 1, (int)(dice_roll(&dice) & 0xff), p->size - sizeof *p);
    p->check = sum_of(bytes, p->size);
    return p->size;
}

const char *payload_check(const libcache_value *value, unsigned key, struct payload *head)
{
    if (value->size < sizeof *head)
        return "it is too short";
    memcpy(head, value->data, sizeof *head);
    if (head->size != value->size || head->check != sum_of(value->data, value->size))
        return "it is torn";
    if (head->key != key)
        return "it is of another key";
    if (value->codec != (uint8_t)head->version || value->flags != (uint32_t)(head->version ^ key))
        return "codec or flags are of another value";
    if (row_is_missing(head->version))
        return "the row was missing then";
    return NULL;
}

const char *payload_of_missing(const libcache_value *value, unsigned key, struct payload *head)
{
    memset(head, 0, sizeof *head);
    head->key = key;
    head->version = value->flags ^ key;
    if (value->codec != (uint8_t)head->version)
        return "codec or flags are of another value";
    return row_is_missing(head->version) ? NULL : "the row was not missing then";
}
