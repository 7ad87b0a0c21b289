/* Commands and answers as bytes (lib/l2/resp.c), on whatever hiredis is installed. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "l2/resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 20 };

static struct counted_memory memory;
static struct resp_reader *reader;
static struct replies replies;

static void begin_with(size_t max_bytes)
{
    counted_memory_init(&memory);
    reader = resp_reader_new(&memory.allocator, max_bytes);
    ck_assert_ptr_nonnull(reader);
    replies_init(&replies, &memory.allocator);
}

static void begin(void)
{
    begin_with(MAX_BYTES);
}

static void end(void)
{
    replies_free(&replies);
    resp_reader_free(reader);
    ck_assert_int_eq(memory.live, 0);
}

/* Feeds it in pieces of `step` and reads after each. What the last reading said. */
static int feed(const char *bytes, size_t size, size_t step)
{
    int result = LIBCACHE_MISS;

    for (size_t at = 0; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        /* In a block of exactly its size, so that a sanitizer sees what is read beyond it. */
        char *piece = malloc(n);
        memcpy(piece, bytes + at, n);
        result = resp_reader_feed(reader, piece, n);
        free(piece);
        if (result != LIBCACHE_OK)
            return result;
        while ((result = resp_reader_next(reader, &replies)) == LIBCACHE_OK)
            ;
        if (result != LIBCACHE_MISS)
            return result;
    }
    return result;
}

static int read_text(const char *bytes)
{
    int result;

    begin();
    result = feed(bytes, strlen(bytes), strlen(bytes));
    end();
    return result;
}

/* ---- Commands ----------------------------------------------------------------------------------------------- */

START_TEST(commands_hold_any_bytes)
{
    static const char wanted[] = "*3\r\n$3\r\nSET\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n";
    const libcache_slice set[] = { LIBCACHE_STR("SET"), { "a\0\r\n", 4 }, { NULL, 0 } };
    const libcache_slice ping[] = { LIBCACHE_STR("PING") };
    struct request request;

    counted_memory_init(&memory);
    request_init(&request, &memory.allocator);
    for (int i = 0; i < 3; i++) {
        ck_result(request_add(&request, 3, set), LIBCACHE_OK);
        ck_result(request_add(&request, 1, ping), LIBCACHE_OK);
        ck_assert_uint_eq(request.commands, 2);
        ck_assert_uint_eq(request.size, sizeof wanted - 1);
        ck_assert_mem_eq(request.bytes, wanted, request.size);
        request_clear(&request);
    }
    request_free(&request);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

START_TEST(commands_of_many_words)
{
    enum { WORDS = 5000 };
    static libcache_slice words[WORDS];
    struct request request;

    counted_memory_init(&memory);
    request_init(&request, &memory.allocator);
    for (int i = 0; i < WORDS; i++)
        words[i] = (libcache_slice)LIBCACHE_STR("word");
    ck_result(request_add(&request, WORDS, words), LIBCACHE_OK);
    ck_assert_uint_eq(request.size, strlen("*5000\r\n") + WORDS * strlen("$4\r\nword\r\n"));
    request_free(&request);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

START_TEST(without_memory_a_request_stays_as_it_was)
{
    static const char long_text[1000];
    const libcache_slice argv[] = { LIBCACHE_STR("ECHO"), { long_text, sizeof long_text } };
    static libcache_slice words[40];
    struct request request;

    counted_memory_init(&memory);
    request_init(&request, &memory.allocator);
    ck_result(request_add(&request, 1, argv), LIBCACHE_OK);
    memory.fail_at = 1;
    ck_result(request_add(&request, 2, argv), LIBCACHE_ENOMEM);
    memory.fail_at = 1;
    ck_result(request_add(&request, 40, words), LIBCACHE_ENOMEM);
    ck_assert_uint_eq(request.commands, 1);
    ck_assert_uint_eq(request.size, strlen("*1\r\n$4\r\nECHO\r\n"));
    request_free(&request);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

/* ---- Answers ------------------------------------------------------------------------------------------------- */

static const char all_kinds[] = "$5\r\nhe\0lo\r\n+OK\r\n-ERR no\r\n:-42\r\n$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n"
                                "*3\r\n$1\r\na\r\n*2\r\n:1\r\n*1\r\n*1\r\n+deep\r\n$-1\r\n+\r\n";

static void ck_all_kinds(void)
{
    const struct reply *item = replies.item;

    ck_assert_uint_eq(replies.n, 10);
    ck_assert_int_eq(item[0].kind, REPLY_STRING);
    ck_assert_uint_eq(item[0].size, 5);
    ck_assert_mem_eq(item[0].text, "he\0lo", 6); /* with the zero behind it */
    ck_assert_int_eq(item[1].kind, REPLY_STATUS);
    ck_assert_str_eq(item[1].text, "OK");
    ck_assert_int_eq(item[2].kind, REPLY_ERROR);
    ck_assert_str_eq(item[2].text, "ERR no");
    ck_assert_int_eq(item[3].kind, REPLY_INTEGER);
    ck_assert_int_eq(item[3].integer, -42);
    ck_assert_int_eq(item[4].kind, REPLY_NIL);
    ck_assert_int_eq(item[5].kind, REPLY_NIL);
    ck_assert_int_eq(item[6].kind, REPLY_STRING);
    ck_assert_uint_eq(item[6].size, 0);
    ck_assert_str_eq(item[6].text, "");
    ck_assert_int_eq(item[7].kind, REPLY_ARRAY);
    ck_assert_uint_eq(item[7].size, 0);
    ck_assert_int_eq(item[8].kind, REPLY_ARRAY);
    ck_assert_uint_eq(item[8].size, 3);
    ck_assert_str_eq(item[8].items[0].text, "a");
    ck_assert_int_eq(item[8].items[1].items[0].integer, 1);
    ck_assert_str_eq(item[8].items[1].items[1].items[0].items[0].text, "deep");
    ck_assert_int_eq(item[8].items[2].kind, REPLY_NIL);
    ck_assert_int_eq(item[9].kind, REPLY_STATUS);
}

START_TEST(every_kind_of_answer_in_pieces_of_every_size)
{
    for (size_t step = 1; step < sizeof all_kinds; step++) {
        begin();
        ck_result(feed(all_kinds, sizeof all_kinds - 1, step), LIBCACHE_MISS);
        ck_all_kinds();
        ck_assert_int_eq(resp_reader_empty(reader), 1);
        end();
    }
}
END_TEST

START_TEST(an_answer_cut_at_any_byte_is_wanted_more_of)
{
    for (size_t size = 1; size < sizeof all_kinds - 1; size++) {
        begin();
        ck_result(feed(all_kinds, size, size), LIBCACHE_MISS);
        ck_assert_uint_lt(replies.n, 10);
        end();
    }
}
END_TEST

START_TEST(a_reader_with_bytes_left_is_not_empty)
{
    begin();
    ck_assert_int_eq(resp_reader_empty(reader), 1);
    ck_result(feed("+OK\r\n", 5, 5), LIBCACHE_MISS);
    ck_assert_int_eq(resp_reader_empty(reader), 1);
    ck_result(feed("*", 1, 1), LIBCACHE_MISS); /* hiredis has taken the byte */
    ck_assert_int_eq(resp_reader_empty(reader), 0);
    end();
    begin();
    ck_result(resp_reader_feed(reader, "+OK\r\n+", 6), LIBCACHE_OK);
    ck_result(resp_reader_next(reader, &replies), LIBCACHE_OK);
    ck_assert_int_eq(resp_reader_empty(reader), 0);
    end();
}
END_TEST

START_TEST(a_bulk_string_must_be_followed_by_crlf)
{
    ck_result(read_text("$3\r\nabc\r\n"), LIBCACHE_MISS);
    ck_result(read_text("$3\r\nabcXX"), LIBCACHE_EPROTOCOL);
    ck_result(read_text("$3\r\nabc\rX"), LIBCACHE_EPROTOCOL);
    ck_result(read_text("$3\r\nabcX\n"), LIBCACHE_EPROTOCOL);
    ck_result(read_text("$0\r\n+OK\r\n"), LIBCACHE_EPROTOCOL);
    ck_result(read_text("*1\r\n$3\r\nabcd\r\n"), LIBCACHE_EPROTOCOL);
}
END_TEST

START_TEST(types_of_resp3_are_refused)
{
    static const char *const texts[] = { "_\r\n",
                                         "#t\r\n",
                                         ",1.5\r\n",
                                         "(123\r\n",
                                         "%1\r\n+a\r\n+b\r\n",
                                         "~1\r\n+a\r\n",
                                         ">2\r\n+a\r\n+b\r\n",
                                         "=7\r\ntxt:abc\r\n",
                                         "|1\r\n+a\r\n+b\r\n+c\r\n",
                                         "!3\r\nERR\r\n",
                                         "*1\r\n_\r\n",
                                         "*1\r\n#t\r\n",
                                         "%0\r\n",
                                         "~0\r\n",
                                         ">0\r\n" };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(read_text(texts[i]) == LIBCACHE_EPROTOCOL, "%s is taken", texts[i]);
}
END_TEST

START_TEST(garbage_is_refused)
{
    static const char *const texts[] = { "HTTP/1.1 400 Bad Request\r\n",
                                         "\r\n",
                                         "x",
                                         ":\r\n",
                                         ":1x\r\n",
                                         "$x\r\n",
                                         "$-2\r\n",
                                         "*-2\r\n",
                                         "*x\r\n",
                                         "$+1\r\na\r\n",
                                         ":99999999999999999999\r\n",
                                         "\x16\x03\x01" };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(read_text(texts[i]) == LIBCACHE_EPROTOCOL, "%s is taken", texts[i]);
}
END_TEST

START_TEST(huge_announcements_are_refused_at_their_header)
{
    static const char *const texts[] = {
        "$1048577",
        "$9223372036854775807",
        "$99999999999999999999999",
        "$9223372036854775807\r\n",
        "$1048577\r\n",
        "$18446744073709551615\r\nx",
        "*2\r\n+OK\r\n$1048577\r\n",
        "*1048577\r\n",
        "*9223372036854775807\r\n",
        "*2147483647\r\n",
        "*400000\r\n",
        "*4294967297\r\n",
        "*1\r\n*400000\r\n",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(read_text(texts[i]) == LIBCACHE_EPROTOCOL, "%s is taken", texts[i]);
    ck_result(read_text("$1048576\r\n"), LIBCACHE_MISS);
}
END_TEST

START_TEST(max_bytes_counts_the_whole_answer)
{
    begin_with(10);
    ck_result(feed("*2\r\n$5\r\n12345\r\n$5\r\n12345\r\n", 26, 26), LIBCACHE_MISS);
    ck_result(feed("$10\r\n1234567890\r\n", 17, 1), LIBCACHE_MISS); /* the next answer has its own ten */
    ck_assert_uint_eq(replies.n, 2);
    end();
    begin_with(10);
    ck_result(feed("*2\r\n$5\r\n12345\r\n$6\r\n123456\r\n", 27, 27), LIBCACHE_EPROTOCOL);
    end();
    begin_with(10);
    ck_result(feed("*2\r\n$5\r\n12345\r\n$6\r\n", 19, 19), LIBCACHE_EPROTOCOL);
    end();
    begin_with(10);
    ck_result(feed("+12345678901\r\n", 14, 14), LIBCACHE_EPROTOCOL);
    end();
}
END_TEST

START_TEST(lines_without_an_end_are_not_read_for_ever)
{
    static char line[100000];

    memset(line, 'x', sizeof line);
    line[0] = '+';
    begin();
    ck_result(feed(line, sizeof line, 4096), LIBCACHE_EPROTOCOL);
    end();
    memset(line, '0', sizeof line);
    line[0] = '$';
    begin();
    ck_result(feed(line, sizeof line, 7), LIBCACHE_EPROTOCOL);
    end();
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
    static char deep[400001];

    for (int i = 0; i < 100000; i++)
        memcpy(deep + 4 * i, "*1\r\n", 4);
    ck_result(read_text(deep), LIBCACHE_EPROTOCOL);
    memcpy(deep + 4 * REPLY_DEPTH_MAX, ":1\r\n", 5);
    ck_result(read_text(deep), LIBCACHE_MISS);
    memcpy(deep + 4 * REPLY_DEPTH_MAX, "*1\r\n:1\r\n", 9);
    ck_result(read_text(deep), LIBCACHE_EPROTOCOL);
}
END_TEST

START_TEST(items_are_counted_over_all_arrays_of_an_answer)
{
    char text[100];

    begin_with(SIZE_MAX / 4);
    snprintf(text, sizeof text, "*%u\r\n", REPLY_ITEMS_MAX);
    ck_result(feed(text, strlen(text), strlen(text)), LIBCACHE_MISS);
    end();
    begin_with(SIZE_MAX / 4);
    snprintf(text, sizeof text, "*%u\r\n*1\r\n", REPLY_ITEMS_MAX);
    ck_result(feed(text, strlen(text), strlen(text)), LIBCACHE_EPROTOCOL);
    end();
    begin_with(SIZE_MAX / 4);
    snprintf(text, sizeof text, "*%u\r\n", REPLY_ITEMS_MAX + 1);
    ck_result(feed(text, strlen(text), strlen(text)), LIBCACHE_EPROTOCOL);
    end();
}
END_TEST

START_TEST(large_answers_and_many_answers)
{
    enum { SIZE = 900000, MANY = 5000 };
    char *large = malloc(SIZE + 100);
    size_t n = (size_t)sprintf(large, "$%d\r\n", SIZE);

    memset(large + n, 'v', SIZE);
    memcpy(large + n + SIZE, "\r\n", 2);
    begin();
    for (int i = 0; i < 3; i++)
        ck_result(feed(large, n + SIZE + 2, 16384), LIBCACHE_MISS);
    ck_assert_uint_eq(replies.n, 3);
    ck_assert_uint_eq(replies.item[2].size, SIZE);
    for (int i = 0; i < MANY; i++) {
        char text[50];
        int size = sprintf(text, "$%d\r\n%0*d\r\n", 10 + i % 10, 10 + i % 10, i);
        ck_result(feed(text, (size_t)size, (size_t)size), LIBCACHE_MISS);
    }
    ck_assert_uint_eq(replies.n, MANY + 3);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(atoi(replies.item[i + 3].text), i);
    end();
    free(large);
}
END_TEST

START_TEST(answers_fail_cleanly_at_every_allocation)
{
    for (uint64_t fail_at = 1;; fail_at++) {
        int result = LIBCACHE_ENOMEM;
        uint64_t left;
        counted_memory_init(&memory);
        memory.fail_at = fail_at;
        reader = resp_reader_new(&memory.allocator, MAX_BYTES);
        replies_init(&replies, &memory.allocator);
        if (reader)
            result = feed(all_kinds, sizeof all_kinds - 1, 5);
        left = memory.fail_at;
        memory.fail_at = 0;
        end();
        if (left) {
            ck_result(result, LIBCACHE_MISS);
            ck_assert_uint_gt(fail_at, 1);
            break;
        }
        ck_result(result, LIBCACHE_ENOMEM);
    }
}
END_TEST

START_TEST(replies_are_usable_again)
{
    begin();
    for (int i = 0; i < 10; i++) {
        ck_result(feed(all_kinds, sizeof all_kinds - 1, 3), LIBCACHE_MISS);
        ck_all_kinds();
        replies_free(&replies);
        ck_assert_uint_eq(replies.n, 0);
        ck_assert_ptr_null(replies.item);
    }
    end();
}
END_TEST

/* ---- What errors mean ------------------------------------------------------------------------------------------ */

START_TEST(errors_mean_what_their_first_word_says)
{
    static const struct {
        const char *text;
        int result;
    } errors[] = {
        { "LOADING Redis is loading the dataset in memory", LIBCACHE_EUNAVAILABLE },
        { "MASTERDOWN Link with MASTER is down", LIBCACHE_EUNAVAILABLE },
        { "BUSY Redis is busy running a script", LIBCACHE_EUNAVAILABLE },
        { "BUSYGROUP Consumer Group name already exists", LIBCACHE_EREMOTE },
        { "READONLY You can't write against a read only replica.", LIBCACHE_EUNAVAILABLE },
        { "TRYAGAIN Multiple keys request during rehashing of slot", LIBCACHE_EUNAVAILABLE },
        { "CLUSTERDOWN The cluster is down", LIBCACHE_EUNAVAILABLE },
        { "ERR max number of clients reached", LIBCACHE_EUNAVAILABLE },
        { "ERR max number of clients + cluster connections reached", LIBCACHE_EUNAVAILABLE },
        { "NOAUTH Authentication required.", LIBCACHE_EDENIED },
        { "WRONGPASS invalid username-password pair or user is disabled.", LIBCACHE_EDENIED },
        { "NOPERM this user has no permissions", LIBCACHE_EDENIED },
        { "ERR invalid password", LIBCACHE_EDENIED },
        { "ERR AUTH <password> called without any password configured", LIBCACHE_EDENIED },
        { "ERR Client sent AUTH, but no password is set", LIBCACHE_EDENIED },
        { "MOVED 3999 127.0.0.1:6381", LIBCACHE_EUNSUPPORTED },
        { "ASK 3999 127.0.0.1:6381", LIBCACHE_EUNSUPPORTED },
        { "CROSSSLOT Keys in request don't hash to the same slot", LIBCACHE_EUNSUPPORTED },
        { "OOM command not allowed when used memory > 'maxmemory'.", LIBCACHE_EREMOTE },
        { "MISCONF Redis is configured to save RDB snapshots", LIBCACHE_EREMOTE },
        { "NOREPLICAS Not enough good replicas to write.", LIBCACHE_EREMOTE },
        { "NOSCRIPT No matching script.", LIBCACHE_EREMOTE },
        { "WRONGTYPE Operation against a key", LIBCACHE_EREMOTE },
        { "ERR unknown command", LIBCACHE_EREMOTE },
        { "LOADINGX", LIBCACHE_EREMOTE },
        { "LOADING", LIBCACHE_EUNAVAILABLE },
        { "", LIBCACHE_EREMOTE },
        { "LOAD", LIBCACHE_EREMOTE },
    };

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct reply reply = { REPLY_ERROR, 0, errors[i].text, strlen(errors[i].text), NULL };
        ck_assert_msg(reply_result(&reply) == errors[i].result, "%s gives %s", errors[i].text,
                      result_name(reply_result(&reply)));
        reply.kind = REPLY_STRING; /* a value may say anything */
        ck_result(reply_result(&reply), LIBCACHE_OK);
        ck_assert_int_eq(reply_is_error(&reply, "LOADING"), 0);
        ck_assert_int_eq(reply_is_refusal(&reply), 0);
    }
}
END_TEST

START_TEST(an_error_is_known_by_its_word)
{
    struct reply reply = { REPLY_ERROR, 0, "NOSCRIPT No matching script.", 28, NULL };

    ck_assert_int_eq(reply_is_error(&reply, "NOSCRIPT"), 1);
    ck_assert_int_eq(reply_is_error(&reply, "NOSCRIP"), 0);
    ck_assert_int_eq(reply_is_error(&reply, "NOSCRIPTS"), 0);
    ck_assert_int_eq(reply_is_error(&reply, "ERR"), 0);
    reply.size = 8;
    ck_assert_int_eq(reply_is_error(&reply, "NOSCRIPT"), 1);
}
END_TEST

int main(void)
{
    return RUN_TESTS("l2_resp", commands_hold_any_bytes, commands_of_many_words,
                     without_memory_a_request_stays_as_it_was, every_kind_of_answer_in_pieces_of_every_size,
                     an_answer_cut_at_any_byte_is_wanted_more_of, a_reader_with_bytes_left_is_not_empty,
                     a_bulk_string_must_be_followed_by_crlf, types_of_resp3_are_refused, garbage_is_refused,
                     huge_announcements_are_refused_at_their_header, max_bytes_counts_the_whole_answer,
                     lines_without_an_end_are_not_read_for_ever, deep_nesting_is_refused,
                     items_are_counted_over_all_arrays_of_an_answer, large_answers_and_many_answers,
                     answers_fail_cleanly_at_every_allocation, replies_are_usable_again,
                     errors_mean_what_their_first_word_says, an_error_is_known_by_its_word);
}
