/*
 * What the compiler and the processor give us, in one place: atomics, prefetch, and copies of memory that another
 * thread or process may be overwriting meanwhile. SPDX-License-Identifier: MIT
 *
 * Copies that race. A reader copies an entry out of the log while a writer may be reusing those bytes. It looks at a
 * sequence word (the ring's tail) after the copy and throws the copy away if the bytes may have changed: a seqlock. C11
 * calls a plain memcpy there a data race, whatever is done with the result. So:
 *   - words that decide something (slots, tails, headers) are always read by relaxed or acquire atomics;
 *   - bulk bytes are copied by shared_copy_*: under ThreadSanitizer, and in the portable build, word by word with relaxed
 *     atomics, which is defined behaviour; else by memcpy, of which we need only what every compiler we support gives: it
 *     is a call or a sequence of loads and stores that does not move across the fences around it and never acts on the
 *     value of the bytes. Nothing interprets the copy before it has been validated.
 */
#ifndef BASE_PLATFORM_H
#define BASE_PLATFORM_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define PLATFORM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PLATFORM_TSAN 1
#endif
#endif
#ifndef PLATFORM_TSAN
#define PLATFORM_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define PLATFORM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLATFORM_ASAN 1
#endif
#endif
#ifndef PLATFORM_ASAN
#define PLATFORM_ASAN 0
#endif

#if defined(__SSE2__) && !defined(LIBCACHE_PORTABLE) && !PLATFORM_TSAN
#define PLATFORM_SSE2 1
#include <emmintrin.h>
#else
#define PLATFORM_SSE2 0
#endif

/* More certain than __builtin_expect's 9 in 10: what is kept in registers is decided by it. */
#define likely(x) __builtin_expect_with_probability(!!(x), 1, 0.9999)
#define unlikely(x) __builtin_expect_with_probability(!!(x), 0, 0.9999)
#define force_inline inline __attribute__((always_inline))

#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* ThreadSanitizer does not model fences; there each validating load and each guarding store is an atomic of its own. */
#if PLATFORM_TSAN
#define fence_acquire() ((void)0)
#define fence_release() ((void)0)
#else
#define fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
#endif

/* x is needed here: the compiler may not put its computation off into a branch. */
#define compute_now(x) __asm__("" : "+r"(x))

/* In a branch that is always or never taken: a conditional move of what it decides would wait for both sides. */
#define never_select() __asm__ volatile("")

/* The empty asm: to a compiler, a function that does nothing but this does nothing, and its calls go. */
#define prefetch(p) do { __builtin_prefetch((p), 0, 3); __asm__ volatile(""); } while (0)

/* The same, to be written: no other processor keeps the line. Compilers use the instruction only where they were told of it; elsewhere it does nothing. */
#if PLATFORM_SSE2 && defined(__x86_64__)
#define prefetch_own(p) __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(const void *)(p)))
#else
#define prefetch_own(p) do { __builtin_prefetch((p), 1, 3); __asm__ volatile(""); } while (0)
#endif

/* Says that this is a loop that waits for another processor. */
#if PLATFORM_SSE2
#define cpu_pause() _mm_pause()
#elif defined(__aarch64__) && !defined(LIBCACHE_PORTABLE)
#define cpu_pause() __asm__ volatile("isb") /* `yield` is over at once on most */
#else
#define cpu_pause() __asm__ volatile("")
#endif

#define PLATFORM_LINE 64
#define COPY_PREFETCH_BYTES 2048 /* of a large value, asked for at once; the rest is left to the processor */

static force_inline uint64_t read_word(const void *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Adds to a word that only this thread writes, and others may read. */
static force_inline void add_own(uint64_t *word, uint64_t n)
{
#if PLATFORM_TSAN || defined(LIBCACHE_PORTABLE)
    store_relaxed(word, load_relaxed(word) + n);
#else
    *word += n; /* one instruction, where compilers make three of the atomics */
#endif
}

/* 1: a word that others may change is above x. */
static force_inline int word_above(const uint64_t *word, uint64_t x)
{
#if PLATFORM_SSE2 && defined(__x86_64__)
    int above; /* one instruction, where compilers make two of an atomic load and a comparison */
    __asm__("cmpq %2, %1" : "=@cca"(above) : "m"(*word), "r"(x));
    return above;
#else
    return load_acquire(word) > x;
#endif
}

/* Bytes out of shared memory. `from` is 8-aligned or not; both sides have `size` bytes. */
static inline void shared_copy_out(void *to, const void *from, size_t size)
{
#if PLATFORM_TSAN || defined(LIBCACHE_PORTABLE)
    unsigned char *t = to;
    const unsigned char *f = from;
    for (; size && ((uintptr_t)f & 7); size--)
        *t++ = __atomic_load_n(f++, __ATOMIC_RELAXED);
    for (; size >= 8; size -= 8, t += 8, f += 8) {
        uint64_t word = __atomic_load_n((const uint64_t *)(const void *)f, __ATOMIC_RELAXED);
        memcpy(t, &word, 8);
    }
    for (; size; size--)
        *t++ = __atomic_load_n(f++, __ATOMIC_RELAXED);
#else
    if (size) /* memcpy wants no null pointers, not even for nothing */
        memcpy(to, from, size);
#endif
}

/*
 * Copies of 65 to 128 bytes are most of what a hit of that size does: a processor with AVX does them by half the loads and stores
 * (docs/performance.md). Who builds for all x86-64 asks it once (platform_wide) and hands on the answer.
 */
#if PLATFORM_SSE2 && defined(__x86_64__) && !PLATFORM_ASAN
#define PLATFORM_WIDE 1
#else
#define PLATFORM_WIDE 0
#endif

static inline int platform_wide(void)
{
#if PLATFORM_WIDE
    return __builtin_cpu_supports("avx") != 0;
#else
    return 0;
#endif
}

/* Of 64 to 128 bytes, on such a processor. Leaves no upper half in use: that would slow down what follows. */
static force_inline void copy_wide(unsigned char *to, const unsigned char *from, size_t size)
{
#if PLATFORM_WIDE
    __asm__ volatile("vmovdqu (%[from]), %%ymm0\n\t"
                     "vmovdqu 32(%[from]), %%ymm1\n\t"
                     "vmovdqu -64(%[from],%[size]), %%ymm2\n\t"
                     "vmovdqu -32(%[from],%[size]), %%ymm3\n\t"
                     "vmovdqu %%ymm0, (%[to])\n\t"
                     "vmovdqu %%ymm1, 32(%[to])\n\t"
                     "vmovdqu %%ymm2, -64(%[to],%[size])\n\t"
                     "vmovdqu %%ymm3, -32(%[to],%[size])\n\t"
                     "vzeroupper"
                     :
                     : [to] "r"(to), [from] "r"(from), [size] "r"(size)
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#else
    (void)to, (void)from, (void)size;
#endif
}

/* shared_copy_out for at most 128 bytes, without a loop or a call. */
static force_inline void shared_copy_short(void *to, const void *from, size_t size, int wide)
{
#if PLATFORM_TSAN || defined(LIBCACHE_PORTABLE)
    (void)wide;
    shared_copy_out(to, from, size);
#else
    unsigned char *t = to;
    const unsigned char *f = from;

    if (PLATFORM_WIDE && size > 64 && likely(wide)) {
        copy_wide(t, f, size);
    } else if (size > 64) {
        __builtin_memcpy(t, f, 64);
        __builtin_memcpy(t + size - 64, f + size - 64, 64);
    } else if (size > 32) {
        __builtin_memcpy(t, f, 32);
        __builtin_memcpy(t + size - 32, f + size - 32, 32);
    } else if (size >= 16) {
        __builtin_memcpy(t, f, 16);
        __builtin_memcpy(t + size - 16, f + size - 16, 16);
    } else if (size >= 8) {
        __builtin_memcpy(t, f, 8);
        __builtin_memcpy(t + size - 8, f + size - 8, 8);
    } else if (size >= 4) {
        __builtin_memcpy(t, f, 4);
        __builtin_memcpy(t + size - 4, f + size - 4, 4);
    } else if (size) {
        t[0] = f[0];
        t[size / 2] = f[size / 2];
        t[size - 1] = f[size - 1];
    }
#endif
}

/* The same for values of any size: most are short, and a call of memcpy would cost more than the copy. */
static force_inline void shared_copy_value(void *to, const void *from, size_t size, int wide)
{
#if PLATFORM_TSAN || defined(LIBCACHE_PORTABLE)
    (void)wide;
    shared_copy_out(to, from, size);
#else
    if (size > 128) {
        const unsigned char *f = from;
        for (size_t ahead = 64; ahead < size && ahead < COPY_PREFETCH_BYTES; ahead += PLATFORM_LINE)
            prefetch(f + ahead);
        memcpy(to, from, size);
    } else {
        shared_copy_short(to, from, size, wide);
    }
#endif
}

/* Bytes into shared memory. */
static inline void shared_copy_in(void *to, const void *from, size_t size)
{
#if PLATFORM_TSAN || defined(LIBCACHE_PORTABLE)
    unsigned char *t = to;
    const unsigned char *f = from;
    for (; size && ((uintptr_t)t & 7); size--)
        __atomic_store_n(t++, *f++, __ATOMIC_RELAXED);
    for (; size >= 8; size -= 8, t += 8, f += 8)
        __atomic_store_n((uint64_t *)(void *)t, read_word(f), __ATOMIC_RELAXED);
    for (; size; size--)
        __atomic_store_n(t++, *f++, __ATOMIC_RELAXED);
#else
    if (size)
        memcpy(to, from, size);
#endif
}

#if PLATFORM_SSE2
/* The same as shared_equal below, of 16 to 32 bytes: two looks that may overlap. */
static force_inline int shared_equal_middle(const unsigned char *s, const unsigned char *o, size_t size)
{
    const __m128i *first = (const __m128i *)(const void *)s, *last = (const __m128i *)(const void *)(s + size - 16);
    const __m128i *own_first = (const __m128i *)(const void *)o, *own_last = (const __m128i *)(const void *)(o + size - 16);
    __m128i same = _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(first), _mm_loadu_si128(own_first)),
                                 _mm_cmpeq_epi8(_mm_loadu_si128(last), _mm_loadu_si128(own_last)));

    return _mm_movemask_epi8(same) == 0xffff;
}
#endif

/* 1 when the bytes in shared memory equal the caller's. */
static force_inline int shared_equal(const void *shared, const void *own, size_t size)
{
#if PLATFORM_TSAN || defined(LIBCACHE_PORTABLE)
    const unsigned char *s = shared, *o = own;
    for (; size && ((uintptr_t)s & 7); size--)
        if (__atomic_load_n(s++, __ATOMIC_RELAXED) != *o++)
            return 0;
    for (; size >= 8; size -= 8, s += 8, o += 8)
        if (__atomic_load_n((const uint64_t *)(const void *)s, __ATOMIC_RELAXED) != read_word(o))
            return 0;
    for (; size; size--)
        if (__atomic_load_n(s++, __ATOMIC_RELAXED) != *o++)
            return 0;
    return 1;
#else
    const unsigned char *s = shared, *o = own;
    if (size - 16 <= 16) {
#if PLATFORM_SSE2
        return shared_equal_middle(s, o, size);
#else
        return ((read_word(s) ^ read_word(o)) | (read_word(s + 8) ^ read_word(o + 8)) |
                (read_word(s + size - 16) ^ read_word(o + size - 16)) |
                (read_word(s + size - 8) ^ read_word(o + size - 8))) == 0;
#endif
    }
    if (size >= 8) {
        const unsigned char *last = s + size - 8;
        const unsigned char *own_last = o + size - 8;
        for (; s < last; s += 8, o += 8)
            if (read_word(s) != read_word(o))
                return 0;
        return read_word(last) == read_word(own_last);
    }
    return memcmp(s, o, size) == 0;
#endif
}

#endif
