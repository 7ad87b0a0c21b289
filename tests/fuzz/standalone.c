/*
 * Runs a fuzz target without a fuzzer: each file of a corpus folder goes through LLVMFuzzerTestOneInput once.
 *
 *     build/asan/fuzz/policy tests/fuzz/corpus/policy
 *
 * Fails when the folder is missing, empty or unreadable: a corpus that nobody runs finds nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is in a block of exactly its size, so that a sanitizer sees the first byte read beyond it. */
static int run_file(const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0;
    int failed = 1;

    if (!file || fstat(fileno(file), &info) != 0)
        goto out;
    size = (size_t)info.st_size;
    data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, file) != size)
        goto out;
    LLVMFuzzerTestOneInput(data, size);
    failed = 0;
out:
    if (failed)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    free(data);
    if (file)
        fclose(file);
    return failed;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int found, failed = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    found = scandir(argv[1], &entries, is_visible, alphasort);
    if (found < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    for (int i = 0; i < found; i++) {
        char path[4096];

        if (snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name) >= (int)sizeof(path)) {
            fprintf(stderr, "%s: name too long\n", entries[i]->d_name);
            failed++;
        } else {
            failed += run_file(path);
        }
        free(entries[i]);
    }
    free(entries);
    printf("%s: %d inputs, %d failed\n", argv[1], found, failed);
    if (found == 0)
        fprintf(stderr, "%s: the corpus is empty\n", argv[1]);
    return found == 0 || failed != 0;
}
