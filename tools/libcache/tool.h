/*
 * What the files of the command-line tool share. The tool uses libcache.h like any other program.
 * SPDX-License-Identifier: MIT
 *
 *   main.c       commands, their options and help      target.c    which segment, which Redis; errors and exit codes
 *   args.c       options and operands                  redis.c     a connection of the tool's own, for doctor
 *   text.c       units, safe text, base64              json.c      the one JSON document that a command prints
 *   screen.c     the terminal, for top                 http.c      the responder of metrics --listen
 *   lines.c      what warm reads                       clock.c     time and signals
 *   cmd_*.c      a command, or a few of one kind       doctor*.c   checks, by what they look at
 */
#ifndef TOOL_H
#define TOOL_H
#include <libcache.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TOOL_LISTED(...) __attribute__((format(printf, __VA_ARGS__)))

/* Exit codes; the man page explains them. */
enum tool_exit {
    TOOL_OK = 0,
    TOOL_NO = 1,      /* not there; doctor: found something */
    TOOL_USAGE = 2,   /* what was typed is wrong */
    TOOL_SEGMENT = 3, /* the segment is not there, not ours, of another build, damaged */
    TOOL_REDIS = 4,   /* Redis did not do it */
    TOOL_FAILED = 5   /* anything else: memory, files, the system */
};

/* ---- args.c -------------------------------------------------------------------------------------------------------- */

/* All that can be said on the command line, for all commands; zero: not said. */
struct args {
    const char *name;        /* -n, LIBCACHE_SEGMENT */
    const char *redis;       /* -r, LIBCACHE_REDIS_URL; a file's content where @FILE was said */
    const char *prefix;      /* LIBCACHE_REDIS_PREFIX */
    const char *identity;    /* LIBCACHE_IDENTITY */
    const char *policy_file; /* LIBCACHE_POLICY_FILE */
    uint64_t timeout_ms, max_staleness_ms;
    int json;
    int help, version;

    int local, publish_not; /* -L, --no-publish */
    uint64_t ttl_ms;
    uint64_t codec, flags;
    int negative, add;
    const char *file;
    const char *namespace_name;
    const char **tags;
    size_t n_tags;
    int all, yes, times, values, names_only, once;
    uint64_t limit, count, interval_ms, batch, slower_ms;
    const char *sort, *format, *listen, *admin, *rate;
    uint64_t size_bytes, seconds_ms, memory_bytes;

    const char *command; /* its name; NULL: none was said */
    const struct command *chosen;
    char **operands;
    int n_operands;
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST, OPTION_NUMBER, OPTION_DURATION, OPTION_SIZE, OPTION_SECRET };

struct option_spec {
    char letter; /* 0: none */
    const char *name, *value, *help;
    enum option_kind kind;
    size_t offset; /* in struct args */
    uint64_t least, most;
};

struct command {
    const char *name, *operands, *summary, *help;
    const struct option_spec *options; /* ends with a null name */
    int least, most;                   /* operands; most -1: any number */
    int (*run)(struct args *args);
};

extern const struct option_spec common_options[];

/* Reads what follows the program's name. TOOL_OK, or an exit code after having told. */
int args_read(struct args *args, int argc, char **argv, const struct command *(*find)(const char *name));
void args_free(struct args *args);

/* ---- text.c -------------------------------------------------------------------------------------------------------- */

/* A number with its unit as in policy files ("90s", "64KiB"). 0, or -1: *why says what is wrong with it. */
int parse_duration(uint64_t *out, const char *text, const char **why);
int parse_size(uint64_t *out, const char *text, const char **why);
int parse_number(uint64_t *out, const char *text, const char **why);

enum { SHORT_TEXT = 24 };
const char *show_bytes(char out[SHORT_TEXT], uint64_t bytes); /* "1.5 MiB" */
const char *show_ms(char out[SHORT_TEXT], uint64_t ms);       /* "250 ms", "4.2 s", "3 min", "forever" */
const char *show_us(char out[SHORT_TEXT], double us);         /* "0.8 us", "1.2 ms" */
const char *show_count(char out[SHORT_TEXT], double count);   /* "12.3 k" */

/* Bytes as they may go to a terminal: what is no printable UTF-8 becomes \xNN; backslashes are doubled. */
void print_safe(FILE *to, const void *data, size_t size);
/* The same, cut to `room` columns, and filled up with blanks. */
void print_cell(FILE *to, const void *data, size_t size, size_t room);
int is_utf8(const void *data, size_t size);
void print_base64(FILE *to, const void *data, size_t size);
/* In place: gives the number of bytes, or -1. */
long decode_base64(char *text, size_t size);
const char *codec_name(unsigned codec); /* NULL: without a name */
const char *result_name(int result);    /* "hit", "stale" ... */
/* A shell pattern (* ? [...]) over bytes. */
int matches(const char *pattern, const void *data, size_t size);

/* ---- json.c -------------------------------------------------------------------------------------------------------- */

/* One document on standard output. A name is NULL inside of an array and at the top. */
void json_open(const char *name, char bracket); /* '{' or '[' */
void json_close(void);
void json_text(const char *name, const char *text); /* NULL: null. What is no UTF-8 is shown as \xNN. */
/* Any bytes: "name" where they are UTF-8, else "name_base64". */
void json_bytes(const char *name, const void *data, size_t size);
void json_number(const char *name, uint64_t number);
void json_real(const char *name, double number);
void json_bool(const char *name, int yes);
void json_null(const char *name);
/* Closes what is open, and ends the line. */
void json_end(void);
int json_begun(void);

/* ---- target.c ------------------------------------------------------------------------------------------------------ */

/* Tells what failed on standard error ("libcache: ..."), as JSON also on standard output; gives the exit code. */
int fail(int code, const char *format, ...) TOOL_LISTED(2, 3);
void set_fail_json(int json);

/* The exit code for one of libcache's errors. */
int exit_code_of(int result);
/* "what: describe(result)", and the exit code. */
int fail_result(int result, const char *format, ...) TOOL_LISTED(2, 3);

struct target {
    libcache *cache;
    char name[80]; /* of the segment; empty: a private one before Redis */
    uint64_t inode;
    int read_only, has_redis;
};

/* Opens what the options name. TOOL_OK, or an exit code after having told. */
int target_look(struct target *target, const struct args *args); /* the segment, read-only; it may be guessed */
int target_change(struct target *target,
                  const struct args *args); /* the segment, with Redis if that is said; or Redis alone */
int target_open_redis(struct target *target, const struct args *args); /* Redis alone */
void target_close(struct target *target);
/* 1: the name of the segment leads to another one by now, or to none. */
int target_moved(const struct target *target);
/* The namespace; where that is allowed it is made when it is not there. */
int target_namespace(libcache_ns **out, const struct target *target, const char *name);
int target_has_namespace(const struct target *target, const char *name);
/* Fills in what concerns Redis and identity. */
void target_options(libcache_options *options, const struct args *args);
/* A URL without user and password: of static memory. */
const char *url_shown(const char *url);

/* A named segment's file, as the file system has it. */
struct segment_file {
    char name[80];
    unsigned long uid;   /* in its name */
    unsigned long owner; /* of the file */
    unsigned mode, links;
    int kind; /* 'f' a file, 'l' a symbolic link, '?' something else */
    uint64_t size_bytes, allocated_bytes, inode;
    int in_use; /* 1: some process has it open, 0: none, -1: not to be seen */
};

#define SEGMENT_FOLDER "/dev/shm"

/* Those of this user (all: of everybody), by name. Gives their number, or -1 (errno). Free *out. */
long list_segments(struct segment_file **out, int all);
/* The one of this user and that name. 0: there is none. */
int find_segment(struct segment_file *out, const char *name);

/* ---- clock ---------------------------------------------------------------------------------------------------------- */

uint64_t now_ns(void);
/* Waits; 0 when a signal asked the program to end. */
int pause_ms(uint64_t ms);
/* From then on SIGINT, SIGTERM, SIGHUP and SIGQUIT set this, and end nothing; SIGPIPE is ignored. restart: 0: they end a read or a
   write that is waiting; 1: they do not (a poll or a pause they always end). */
void catch_signals(int restart);
extern volatile int stop_asked; /* the signal */

/* ---- screen.c ------------------------------------------------------------------------------------------------------------ */

/* Takes over the terminal: other screen, no cursor, keys come at once. 0: standard output is none. Signals: catch_signals first. */
int screen_open(void);
void screen_close(void);
/* Starts a picture; gives how many lines and columns there are. */
void screen_begin(int *lines, int *columns);
/* Ends a line of the picture / the picture. */
void screen_line(void);
void screen_end(void);
/* Waits for a key: it, 0 when the time is over, -1 when the size has changed or the program went on after a stop. */
int screen_key(uint64_t ms);

/* ---- http.c --------------------------------------------------------------------------------------------------------------- */

/* What a GET of the path is answered with. `body` is of malloc; *type is constant. The status (200, 404, 503). */
typedef int http_answer(void *arg, const char *path, char **body, size_t *size, const char **type);

/* Serves on a loopback address ("[ADDRESS:]PORT") until a signal comes, or `count` (not 0) answers were given. */
int http_check(const char *where); /* TOOL_OK: it can be served there, or told why not */
int http_serve(const char *where, uint64_t count, http_answer *answer, void *arg);

/* ---- lines.c -------------------------------------------------------------------------------------------------------------- */

enum line_format { LINES_UNKNOWN, LINES_KEYS, LINES_TSV, LINES_JSON };

/* An entry, as a line has it. All points into the line. */
struct line_entry {
    libcache_slice namespace_name, key, value; /* data NULL: not said */
    libcache_slice tags[LIBCACHE_TAGS_MAX];
    size_t n_tags;
    uint64_t ttl_ms; /* 0: not said */
    uint64_t codec, flags;
    int negative;
};

enum line_format line_format_of(const char *line);
/* Takes the line apart, changing it. NULL, or what is wrong with it. An empty line has no key. */
const char *line_read(struct line_entry *out, char *line, size_t size, enum line_format format);

/* ---- commands ------------------------------------------------------------------------------------------------------- */

int cmd_get(struct args *args);
int cmd_set(struct args *args);
int cmd_del(struct args *args);
int cmd_invalidate(struct args *args);
int cmd_clear(struct args *args);
int cmd_ls(struct args *args);
int cmd_segments(struct args *args);
int cmd_stat(struct args *args);
int cmd_top(struct args *args);
int cmd_metrics(struct args *args);
int cmd_trace(struct args *args);
int cmd_warm(struct args *args);
int cmd_bench(struct args *args);
int cmd_doctor(struct args *args);

#endif
