/*
 * Keys and requests, made before any clock runs and the same for all engines.
 *
 * Requests are key numbers: keys themselves would have to come out of a 32 MB table, which costs a cache
 * miss that no application has (its key was just read from a request). The timed loops therefore prefetch
 * keys a few requests ahead, for every engine alike.
 */
#include "bench_l1.h"

#include <string.h>

static const double zipf_exponent = 0.99;

void workload_format_key(char key[ENGINE_KEY_BYTES], uint64_t number)
{
    static const char prefix[] = "user_profile:";

    memcpy(key, prefix, sizeof prefix - 1);
    for (size_t i = ENGINE_KEY_BYTES; i-- > sizeof prefix - 1; number /= 10)
        key[i] = (char)('0' + number % 10);
}

void workload_stamp_value(char *value, uint64_t number)
{
    memcpy(value, &number, sizeof number);
}

void workload_check_value(const char *engine, const char *value, uint64_t number)
{
    uint64_t found;

    memcpy(&found, value, sizeof found);
    if (found != number)
        harness_die("%s: WRONG VALUE: key %llu gave the value of %llu", engine, (unsigned long long)number,
                    (unsigned long long)found);
}

/* Which key has which rank. */
static uint32_t *make_permutation(size_t n, uint64_t *random_state)
{
    uint32_t *keys = harness_map(n * sizeof *keys);

    for (size_t i = 0; i < n; i++) {
        size_t other = harness_random(random_state) % (i + 1);

        keys[i] = keys[other];
        keys[other] = (uint32_t)i;
    }
    return keys;
}

void workload_init(workload *load, size_t keys, size_t draws)
{
    uint64_t random_state = 20240607;
    uint32_t *permutation = make_permutation(keys, &random_state);
    harness_zipf zipf;

    load->keys = keys;
    load->draws = draws;
    load->key_bytes = harness_map(keys * WORKLOAD_KEY_STRIDE);
    for (size_t i = 0; i < keys; i++)
        workload_format_key(load->key_bytes + i * WORKLOAD_KEY_STRIDE, i);
    harness_init_zipf(&zipf, keys, zipf_exponent);
    for (unsigned thread = 0; thread < BENCH_THREADS_MAX; thread++) {
        load->requests[thread] = harness_map(draws * sizeof(uint32_t));
        for (size_t i = 0; i < draws; i++)
            load->requests[thread][i] = permutation[harness_draw_zipf(&zipf, &random_state)];
    }
    harness_unmap(permutation, keys * sizeof *permutation);
}

void workload_release(workload *load)
{
    if (load->keys == 0)
        return;
    for (unsigned thread = 0; thread < BENCH_THREADS_MAX; thread++)
        harness_unmap(load->requests[thread], load->draws * sizeof(uint32_t));
    harness_unmap(load->key_bytes, load->keys * WORKLOAD_KEY_STRIDE);
    load->keys = 0;
}
