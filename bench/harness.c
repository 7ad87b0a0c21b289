#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

void harness_die(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

uint64_t harness_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void harness_pin_thread(unsigned index)
{
    cpu_set_t allowed, chosen;

    CPU_ZERO(&chosen);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (unsigned cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && seen++ == index) {
            CPU_SET(cpu, &chosen);
            (void)sched_setaffinity(0, sizeof chosen, &chosen);
            return;
        }
    }
}

uint64_t harness_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* ---- memory -------------------------------------------------------------------------------------- */

void *harness_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        harness_die("cannot map %zu bytes: %s", bytes, strerror(errno));
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

void harness_unmap(void *memory, size_t bytes)
{
    munmap(memory, bytes);
}

void *harness_allocate(size_t bytes)
{
    return harness_reallocate(NULL, bytes);
}

void *harness_reallocate(void *memory, size_t bytes)
{
    void *grown = realloc(memory, bytes != 0 ? bytes : 1);

    if (grown == NULL)
        harness_die("no memory for %zu bytes", bytes);
    return grown;
}

harness_memory harness_read_memory(void)
{
    harness_memory memory = { 0, 0 };
    char line[256];
    FILE *rollup = fopen("/proc/self/smaps_rollup", "re");

    if (rollup == NULL)
        harness_die("cannot read /proc/self/smaps_rollup: %s", strerror(errno));
    while (fgets(line, sizeof line, rollup) != NULL) {
        unsigned long long kib;

        if (sscanf(line, "Rss: %llu kB", &kib) == 1)
            memory.rss_bytes = kib * 1024;
        else if (sscanf(line, "AnonHugePages: %llu kB", &kib) == 1 ||
                 sscanf(line, "ShmemPmdMapped: %llu kB", &kib) == 1)
            memory.huge_bytes += kib * 1024;
    }
    fclose(rollup);
    return memory;
}

/* ---- statistics ---------------------------------------------------------------------------------- */

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double harness_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The integral of x^-exponent from 1 to x, and its inverse. The exponent is not 1. */
static double zipf_area(double exponent, double x)
{
    return (pow(x, 1 - exponent) - 1) / (1 - exponent);
}

static double zipf_area_inverse(double exponent, double area)
{
    return pow(1 + area * (1 - exponent), 1 / (1 - exponent));
}

void harness_init_zipf(harness_zipf *zipf, uint64_t n, double exponent)
{
    zipf->exponent = exponent;
    zipf->n = n;
    zipf->low = zipf_area(exponent, 1.5) - 1;
    zipf->high = zipf_area(exponent, (double)n + 0.5);
    zipf->shortcut = 2 - zipf_area_inverse(exponent, zipf_area(exponent, 2.5) - pow(2, -exponent));
}

uint64_t harness_draw_zipf(const harness_zipf *zipf, uint64_t *random_state)
{
    for (;;) {
        double uniform = (double)(harness_random(random_state) >> 11) * 0x1p-53;
        double area = zipf->high + uniform * (zipf->low - zipf->high);
        double x = zipf_area_inverse(zipf->exponent, area);
        double rank = floor(x + 0.5);

        if (rank < 1)
            rank = 1;
        else if (rank > (double)zipf->n)
            rank = (double)zipf->n;
        if (rank - x <= zipf->shortcut || area >= zipf_area(zipf->exponent, rank + 0.5) - pow(rank, -zipf->exponent))
            return (uint64_t)rank - 1;
    }
}

/* ---- text ---------------------------------------------------------------------------------------- */

static void put_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void put_json_name(harness_json *json, const char *name)
{
    fputs(json->fields++ == 0 ? "{" : ", ", json->out);
    put_json_text(json->out, name);
    fputs(": ", json->out);
}

void harness_json_string(harness_json *json, const char *name, const char *value)
{
    put_json_name(json, name);
    put_json_text(json->out, value);
}

void harness_json_integer(harness_json *json, const char *name, uint64_t value)
{
    put_json_name(json, name);
    fprintf(json->out, "%llu", (unsigned long long)value);
}

void harness_json_number(harness_json *json, const char *name, double value)
{
    put_json_name(json, name);
    if (isfinite(value))
        fprintf(json->out, "%.6g", value);
    else
        fputs("null", json->out);
}

void harness_json_end(harness_json *json)
{
    fputs("}\n", json->out);
    fflush(json->out);
    json->fields = 0;
}

uint64_t harness_parse_integer(const char *text, const char *what, uint64_t least, uint64_t most)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < least || value > most)
        harness_die("%s: '%s' is not a number from %llu to %llu", what, text, (unsigned long long)least,
                    (unsigned long long)most);
    return value;
}

double harness_parse_number(const char *text, const char *what, double least, double most)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= least && value <= most))
        harness_die("%s: '%s' is not a number from %g to %g", what, text, least, most);
    return value;
}
