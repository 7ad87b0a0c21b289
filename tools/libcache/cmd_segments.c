/* segments: what named segments this host has. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *use_name(const struct segment_file *f)
{
    return f->in_use == 1 ? "in use" : f->in_use == 0 ? "unused" : "unknown";
}

static void print_json(const struct segment_file *f)
{
    json_open(NULL, '{');
    json_text("name", f->name);
    json_number("uid", f->uid);
    json_number("owner", f->owner);
    json_number("size_bytes", f->size_bytes);
    json_number("allocated_bytes", f->allocated_bytes);
    if (f->in_use < 0)
        json_null("in_use");
    else
        json_bool("in_use", f->in_use);
    json_close();
}

int cmd_segments(struct args *args)
{
    struct segment_file *files = NULL;
    long n = list_segments(&files, args->all);
    char size[SHORT_TEXT];

    if (n < 0)
        return fail(TOOL_FAILED, "%s: %s", SEGMENT_FOLDER, strerror(errno));
    if (args->json)
        json_open(NULL, '[');
    else if (!args->names_only && n > 0)
        puts("NAME                              UID     SIZE       STATE");
    for (long i = 0; i < n; i++) {
        if (args->json) {
            print_json(&files[i]);
        } else {
            print_cell(stdout, files[i].name, strlen(files[i].name), args->names_only ? 0 : 32);
            if (args->names_only)
                print_safe(stdout, files[i].name, strlen(files[i].name));
            else
                printf("  %-6lu  %-9s  %s", files[i].uid, show_bytes(size, files[i].size_bytes), use_name(&files[i]));
            putchar('\n');
        }
    }
    free(files);
    return TOOL_OK;
}
