/* Miss ratios of other caches: CSV of trace,cache_size_over_footprint,algorithm,miss_ratio. */
#include "bench_replay.h"
#include "harness.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const char algorithm[] = "S3FIFO";

/* The references of libCacheSim know this trace by its own name. */
static const char *reference_name(const char *trace_name)
{
    return strcmp(trace_name, "cloudphysics-sized") == 0 ? "cloudPhysicsIO" : trace_name;
}

double replay_find_reference(const char *path, const char *trace_name, double capacity_ratio)
{
    char line[256], trace[128], found_algorithm[64];
    double ratio, miss_ratio, answer = NAN;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        harness_die("cannot open %s: %s", path, strerror(errno));
    while (isnan(answer) && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%127[^,],%lf,%63[^,],%lf", trace, &ratio, found_algorithm, &miss_ratio) == 4 &&
            strcmp(trace, reference_name(trace_name)) == 0 && strcmp(found_algorithm, algorithm) == 0 &&
            fabs(ratio - capacity_ratio) < 1e-9)
            answer = miss_ratio;
    fclose(file);
    return answer;
}
