/* SPDX-License-Identifier: MIT */
#include "l1/layout.h"

#include "base/hash.h"
#include "metrics/counters.h"

#define MARKS_SHARE 128       /* of the memory */
#define SMALL_SHARE 10        /* of a region: 10 % for newcomers (S3-FIFO, Yang et al., SOSP 2023) */
#define FLIGHT_SHARE (UINT64_C(64) << 10) /* bytes of memory for which there is a flight: loads that may be under way at once */
#define FLIGHTS_MIN 32u
#define FLIGHTS_MAX 16384u
#define TRACE_SHARE 256 /* of the memory, for records of a trace */
#define TRACE_RECORDS_MIN 64u
#define TRACE_RECORDS_MAX 8192u
#define REGION_MIN_BYTES (UINT64_C(64) << 10)

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

static unsigned log2_up(uint64_t n)
{
    unsigned shift = 0;
    while ((UINT64_C(1) << shift) < n)
        shift++;
    return shift;
}

int layout_compute(struct layout *l)
{
    uint64_t want = l->total_bytes / MARKS_SHARE / sizeof(struct mark_set);

    if (l->total_bytes < SEGMENT_MIN_BYTES || l->total_bytes > SEGMENT_MAX_BYTES || l->stripes < 1 ||
        l->stripes > STRIPES_MAX || (l->stripes & (l->stripes - 1)) || l->spaces < 1 || l->spaces > SPACES_MAX || l->verify > 1 || l->max_value_bytes < 1 || l->upper_bytes > l->total_bytes / 8)
        return 0;
    l->mark_sets = 16;
    while (l->mark_sets * 2 <= want)
        l->mark_sets *= 2;
    l->upper_at = HEAD_BYTES;
    l->flights = l->total_bytes / FLIGHT_SHARE < FLIGHTS_MAX ? (uint32_t)(l->total_bytes / FLIGHT_SHARE) : FLIGHTS_MAX;
    l->flights = l->flights > FLIGHTS_MIN ? l->flights : FLIGHTS_MIN;
    l->flights_at = round_up(l->upper_at + l->upper_bytes, PLATFORM_LINE);
    l->wakers_at = l->flights_at + l->flights * sizeof(struct flight);
    l->spaces_at = round_up(l->wakers_at + WAKER_PLACES * sizeof(struct waker_place), PLATFORM_LINE);
    l->marks_at = round_up(l->spaces_at + (uint64_t)l->spaces * sizeof(struct space), PLATFORM_LINE);
    l->metrics_at = round_up(l->marks_at + l->mark_sets * sizeof(struct mark_set), 2 * PLATFORM_LINE);
    l->metrics_bytes = metrics_area_bytes(l->total_bytes, l->spaces);
    l->trace_at = l->metrics_at + l->metrics_bytes;
    l->trace_records = TRACE_RECORDS_MIN;
    while (l->trace_records < TRACE_RECORDS_MAX && l->trace_records * 2 * sizeof(struct trace_record) <= l->total_bytes / TRACE_SHARE)
        l->trace_records *= 2;
    l->blocks_at = l->trace_at + sizeof(struct trace_area) + l->trace_records * sizeof(struct trace_record);
    l->block_bytes =
        round_up(sizeof(struct stripe) + (uint64_t)l->spaces * sizeof(struct space_use), 2 * PLATFORM_LINE);
    l->regions_at = round_up(l->blocks_at + l->stripes * l->block_bytes, 4096);
    if (l->regions_at + l->stripes * REGION_MIN_BYTES > l->total_bytes)
        return 0;
    l->region_bytes = (l->total_bytes - l->regions_at) / l->stripes / PLATFORM_LINE * PLATFORM_LINE;
    l->small_bytes = l->region_bytes / SMALL_SHARE / PLATFORM_LINE * PLATFORM_LINE;
    l->lap_shift = log2_up(l->region_bytes);
    /* ring_make_room takes half a ring, and the index may claim half of main; 8 KiB hold the longest key and all tags */
    return l->max_value_bytes + 8192 <= (l->region_bytes - l->small_bytes) / 4;
}

uint32_t layout_struct_word(void)
{
    const uint64_t sizes[] = { sizeof(pthread_mutex_t),
                               sizeof(struct segment_head),
                               sizeof(struct space),
                               sizeof(struct mark_set),
                               sizeof(struct bucket),
                               sizeof(struct stripe),
                               sizeof(struct flight),
                               offsetof(struct stripe, ring),
                               offsetof(struct stripe, generation),
                               GENERATIONS,
                               MARK_WAYS,
                               BUCKET_SLOTS,
                               SMALL_SHARE,
                               MARKS_SHARE,
                               sizeof(struct metrics_area),
                               sizeof(struct counter_block),
                               sizeof(struct space_use),
                               sizeof(struct trace_area),
                               sizeof(struct trace_record),
                               COUNTERS };
    return (uint32_t)hash_bytes(sizes, sizeof sizes, SEGMENT_FORMAT);
}
