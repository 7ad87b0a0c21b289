/* The scripts, and running them by their hash. SPDX-License-Identifier: MIT */
#ifndef L2_SCRIPTS_H
#define L2_SCRIPTS_H
#include "l2/transport.h"

enum script { SCRIPT_HELLO, SCRIPT_INVALIDATE, SCRIPT_SET, SCRIPT_FILL, SCRIPT_TOUCH, SCRIPT_INCREMENT, SCRIPT_REPLACE, SCRIPT_PRUNE,
              SCRIPT_LEASE, SCRIPT_LOCK, SCRIPT_RATE, SCRIPTS };

/* A call of a script: argv[0..2] is left free for the command; keys follow, then arguments. */
struct script_call {
    enum script script;
    size_t n_keys, argc;   /* argc counts the first three */
    libcache_slice *argv;
};

/* Adds the call: by its hash, or with the whole text. OK or ENOMEM. */
int script_add(struct request *request, const struct script_call *call, int whole);

#ifdef LIBCACHE_HOOKS
extern const char *(*script_hook)(const char *text); /* gives the text that is sent instead, with a rule broken, or NULL */
#endif

/* The answers; `again` holds the memory of those that needed the text. */
struct script_answers {
    struct replies first, again;
};

void script_answers_init(struct script_answers *answers, const libcache_allocator *allocator);
void script_answers_free(struct script_answers *answers);

/*
 * Runs n calls in one exchange; those that the server did not know are sent again with their text, after the others were done: where
 * their order matters, whole 1 sends the texts at once. OK: answers->first.item has n answers. Else as transport_exchange.
 */
int script_run(struct transport *transport, const struct script_call *calls, size_t n, int whole, struct script_answers *answers,
               uint64_t deadline);

#endif
