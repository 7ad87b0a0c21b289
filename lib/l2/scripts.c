/*
 * Scripts are sent by their SHA-1; a server that was restarted, or told SCRIPT FLUSH, answers NOSCRIPT, and then the whole text is
 * sent, which it remembers. NOSCRIPT means that nothing was done, so that is no repetition. SPDX-License-Identifier: MIT
 */
#include "l2/scripts.h"

#include <string.h>

static const struct {
    const char *sha, *text;
} scripts[SCRIPTS] = {
#define SCRIPT(name, sha, text) [SCRIPT_##name] = { sha, text },
#define SCRIPT_hello SCRIPT_HELLO
#define SCRIPT_invalidate SCRIPT_INVALIDATE
#define SCRIPT_set SCRIPT_SET
#define SCRIPT_fill SCRIPT_FILL
#define SCRIPT_touch SCRIPT_TOUCH
#define SCRIPT_increment SCRIPT_INCREMENT
#define SCRIPT_replace SCRIPT_REPLACE
#define SCRIPT_prune SCRIPT_PRUNE
#define SCRIPT_lease SCRIPT_LEASE
#define SCRIPT_lock SCRIPT_LOCK
#define SCRIPT_rate SCRIPT_RATE
#include "l2/scripts.inc"
};

#ifdef LIBCACHE_HOOKS
const char *(*script_hook)(const char *text);
#endif

/* The text with a rule broken, or NULL. */
static const char *altered(const char *text)
{
#ifdef LIBCACHE_HOOKS
    return script_hook ? script_hook(text) : NULL;
#else
    (void)text;
    return NULL;
#endif
}

int script_add(struct request *request, const struct script_call *call, int whole)
{
    char count[24];
    size_t n = call->n_keys, digits = 0;
    const char *other = altered(scripts[call->script].text);
    const char *what = other ? other : whole ? scripts[call->script].text : scripts[call->script].sha;

    whole |= other != NULL;
    do
        count[sizeof count - ++digits] = (char)('0' + n % 10);
    while (n /= 10);
    call->argv[0] = (libcache_slice){ whole ? "EVAL" : "EVALSHA", whole ? 4 : 7 };
    call->argv[1] = (libcache_slice){ what, strlen(what) };
    call->argv[2] = (libcache_slice){ count + sizeof count - digits, digits };
    return request_add(request, call->argc, call->argv);
}

void script_answers_init(struct script_answers *answers, const libcache_allocator *allocator)
{
    replies_init(&answers->first, allocator);
    replies_init(&answers->again, allocator);
}

void script_answers_free(struct script_answers *answers)
{
    replies_free(&answers->first);
    replies_free(&answers->again);
}

/* Sends again those of the n calls that the server did not know, and puts their answers into their places. */
static int run_unknown(struct transport *transport, const struct script_call *calls, size_t n,
                       struct script_answers *answers, struct request *request, uint64_t deadline)
{
    struct reply *item = answers->first.item;
    size_t unknown = 0;
    unsigned told = 0; /* scripts whose text is in the request, by bit */
    int result = LIBCACHE_OK;

    request_clear(request);
    for (size_t i = 0; i < n && result == LIBCACHE_OK; i++)
        if (reply_is_error(&item[i], "NOSCRIPT")) {
            result = script_add(request, &calls[i], !(told >> calls[i].script & 1));
            told |= 1u << calls[i].script;
            unknown++;
        }
    if (result != LIBCACHE_OK || !unknown)
        return result;
    result = transport_exchange(transport, request, &answers->again, deadline, 0);
    for (size_t i = 0, next = 0; result == LIBCACHE_OK && i < n; i++)
        if (reply_is_error(&item[i], "NOSCRIPT"))
            item[i] = answers->again.item[next++];
    return result;
}

int script_run(struct transport *transport, const struct script_call *calls, size_t n, int whole, struct script_answers *answers,
               uint64_t deadline)
{
    struct request request;
    unsigned told = whole ? 0 : ~0u;
    int result = LIBCACHE_OK;

    request_init(&request, answers->first.allocator);
    for (size_t i = 0; i < n && result == LIBCACHE_OK; i++) {
        result = script_add(&request, &calls[i], !(told >> calls[i].script & 1));
        told |= 1u << calls[i].script;
    }
    if (result == LIBCACHE_OK)
        result = transport_exchange(transport, &request, &answers->first, deadline, 0);
    if (result == LIBCACHE_OK)
        result = run_unknown(transport, calls, n, answers, &request, deadline);
    request_free(&request);
    return result;
}
