/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* MADV_WIPEONFORK */
#include "base/wiped.h"

#include <stddef.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

uint64_t *wiped_word(void)
{
    void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, PAGE_BYTES, MADV_WIPEONFORK) == 0)
        return page;
    munmap(page, PAGE_BYTES);
    return NULL;
}

void wiped_word_free(uint64_t *word)
{
    if (word)
        munmap(word, PAGE_BYTES);
}
