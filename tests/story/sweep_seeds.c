/* Random farms, random rollouts, random faults: whatever the seed, every promise holds, and when
 * the faults stop everything is resolved. A seed that fails is cut down to what it takes, and told
 * as a story. use: see below. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/log.h"
#include "tests/story/stage_mark.h"
#include "tests/story/sweep_fork.h"
#include "tests/story/sweep_script.h"
#include "tests/unit/test.h"

enum {
    SEEDS = 100,
    SEEDS_LONG = 20000,
    JOBS_MOST = 16,
    AGAIN_EVERY = 20 /* every so manieth seed is played twice */
};
static const char usage[] =
    "use: sweep_seeds [--seeds N] [--for SECONDS] [--from N] [--jobs N] [--marks 1]\n"
    "       --seeds N    so many (100; 20,000 where CASFLEET_LONG is set)\n"
    "       --for S      for so long in place of a number\n"
    "       --from N     the first of them\n"
    "       --jobs N     so many at a time\n"
    "       --marks 1    fails as well when something hardly ever happens\n"
    "       --traces 1   tells the trace of each\n"
    "       --shrink 0   tells a seed that fails as it is\n"
    "     sweep_seeds --seed N    that one alone, told\n";

struct outcome {
    bool is_good;
    uint64_t trace;
    size_t acts;
    char broken[420];
    struct stage_marks marks;
};
struct wanted {
    int64_t seeds, seconds, from, jobs, seed, marks, shrink, traces;
};
struct sweep {
    struct wanted wanted;
    char folder[512];
    struct story *farm[SCRIPT_FARMS];
};
struct errand { /* what a child is to do */
    struct sweep *sweep;
    struct script script;
    bool is_told;
};

static void tell(struct story *s)
{
    for (size_t i = 0; i < story_lines(s); i++)
        (void)printf("%s %s\n", story_line_is_main(s, i) ? " " : "  .", story_line(s, i));
    (void)fflush(stdout);
}

static struct story *farm_of(struct sweep *sweep, size_t farm)
{
    if (sweep->farm[farm] == NULL)
        sweep->farm[farm] = script_farm(sweep->folder, farm);
    return sweep->farm[farm];
}

static void run(void *context, void *ret_result)
{
    struct errand *errand = context;
    struct outcome *outcome = ret_result;
    struct story *s = errand->sweep->farm[errand->script.farm];
    script_play(&errand->script, s);
    struct cas_text broken = CAS_TEXT(outcome->broken);
    cas_text_clear(&broken);
    bool is_settled = story_is_settled(s);
    outcome->is_good = story_broken(s)[0] == '\0' && is_settled;
    if (!outcome->is_good)
        cas_text_add(&broken,
                     "%s",
                     story_broken(s)[0] != '\0' ? story_broken(s)
                                                : "L1 something is still under way after the calm");
    outcome->trace = story_trace(s);
    outcome->marks = *story_marks(s);
    for (size_t i = 0; i < story_lines(s); i++)
        outcome->acts += strncmp(story_line(s, i) + 6, "act ", 4) == 0 ? 1 : 0;
    if (errand->is_told)
        tell(s);
}

static struct fork_child begin(struct errand *errand)
{
    (void)farm_of(errand->sweep, errand->script.farm);
    return fork_begin(run, errand, sizeof(struct outcome));
}

static struct outcome finish(struct fork_child *child)
{
    struct outcome outcome;
    if (!fork_end(child, &outcome, sizeof outcome)) {
        memset(&outcome, 0, sizeof outcome);
        (void)snprintf(outcome.broken, sizeof outcome.broken, "crash: the program ended itself");
    }
    return outcome;
}

static struct outcome play(struct errand *errand)
{
    struct fork_child child = begin(errand);
    return finish(&child);
}

/* ---- a seed that fails ---- */

struct shrinking {
    struct sweep *sweep;
    char word[16]; /* of the promise: the same one must be broken */
};

static bool still_fails(void *context, const struct script *script)
{
    struct shrinking *shrinking = context;
    struct errand errand = {.sweep = shrinking->sweep, .script = *script};
    struct outcome outcome = play(&errand);
    return !outcome.is_good &&
           strncmp(outcome.broken, shrinking->word, strlen(shrinking->word)) == 0;
}

static void failure_tell(struct sweep *sweep, uint64_t seed, const struct outcome *outcome)
{
    (void)printf("seed %llu: %s\n", (unsigned long long)seed, outcome->broken);
    struct errand errand = {.sweep = sweep, .is_told = true};
    script_make(seed, &errand.script);
    size_t before = errand.script.event_n;
    if (sweep->wanted.shrink != 0) {
        struct shrinking shrinking = {.sweep = sweep};
        size_t size = strcspn(outcome->broken, " ");
        (void)snprintf(shrinking.word,
                       sizeof shrinking.word,
                       "%.*s ",
                       (int)(size < 12 ? size : 12),
                       outcome->broken);
        size_t played = script_shrink(&errand.script, still_fails, &shrinking);
        (void)printf("of %zu events it takes %zu (%zu stories played to find out):\n",
                     before,
                     errand.script.event_n,
                     played);
    }
    struct outcome last = play(&errand);
    (void)printf("seed %llu, cut down: %s\n", (unsigned long long)seed, last.broken);
}

/* ---- many ---- */

struct tally {
    uint64_t played, acts, trace;
    bool is_good;
    struct stage_mark_sums marks;
    double began;
};

static void
take(struct sweep *sweep, uint64_t seed, const struct outcome *outcome, struct tally *tally)
{
    tally->played++;
    tally->acts += outcome->acts;
    tally->trace = (tally->trace ^ outcome->trace) * 0x100000001b3u;
    stage_marks_add(&tally->marks, &outcome->marks);
    if (sweep->wanted.traces != 0)
        (void)printf("seed %llu: trace %016llx\n",
                     (unsigned long long)seed,
                     (unsigned long long)outcome->trace);
    if (!outcome->is_good && tally->is_good) {
        tally->is_good = false;
        failure_tell(sweep, seed, outcome);
    }
    if (!tally->is_good || seed % AGAIN_EVERY != 0)
        return;
    struct errand errand = {.sweep = sweep};
    script_make(seed, &errand.script);
    struct outcome again = play(&errand);
    if (again.trace != outcome->trace) {
        tally->is_good = false;
        (void)printf("seed %llu: two runs differ\n", (unsigned long long)seed);
    }
}

static bool is_over(const struct sweep *sweep, const struct tally *tally, uint64_t begun)
{
    if (!tally->is_good)
        return true;
    if (sweep->wanted.seconds > 0)
        return fork_seconds() - tally->began >= (double)sweep->wanted.seconds;
    return begun >= (uint64_t)sweep->wanted.seeds;
}

static void play_all(struct sweep *sweep, struct tally *tally)
{
    struct fork_child child[JOBS_MOST];
    size_t jobs = (size_t)sweep->wanted.jobs;
    uint64_t begun = 0, ended = 0;
    struct errand errand = {.sweep = sweep};
    for (;;) {
        while (begun - ended < jobs && !is_over(sweep, tally, begun)) {
            script_make((uint64_t)sweep->wanted.from + begun, &errand.script);
            child[begun % jobs] = begin(&errand);
            begun++;
        }
        if (ended == begun)
            return;
        struct outcome outcome = finish(&child[ended % jobs]);
        take(sweep, (uint64_t)sweep->wanted.from + ended, &outcome, tally);
        ended++;
    }
}

static bool wanted_read(int argc, char **argv, struct wanted *wanted)
{
    const char *is_long = getenv("CASFLEET_LONG");
    bool is_really = is_long != NULL && is_long[0] != '\0' && strcmp(is_long, "0") != 0;
    *wanted = (struct wanted){.seeds = is_really ? SEEDS_LONG : SEEDS,
                              .from = 1,
                              .jobs = 1,
                              .seed = -1,
                              .shrink = 1};
    const struct {
        const char *name;
        int64_t *value;
        int64_t most;
    } options[] = {{"--seeds", &wanted->seeds, INT64_MAX},
                   {"--for", &wanted->seconds, 1000000},
                   {"--from", &wanted->from, INT64_MAX},
                   {"--jobs", &wanted->jobs, JOBS_MOST},
                   {"--seed", &wanted->seed, INT64_MAX},
                   {"--marks", &wanted->marks, 1},
                   {"--shrink", &wanted->shrink, 1},
                   {"--traces", &wanted->traces, 1}};
    for (int i = 1; i < argc; i += 2) {
        size_t at = 0;
        while (at < CAS_COUNT(options) && strcmp(argv[i], options[at].name) != 0)
            at++;
        if (at == CAS_COUNT(options) || i + 1 == argc ||
            cas_parse_i64(cas_slice_of(argv[i + 1]),
                          0,
                          options[at].most,
                          options[at].value,
                          NULL) != CAS_OK)
            return false;
    }
    return wanted->jobs > 0;
}

static bool one(struct sweep *sweep)
{
    struct errand errand = {.sweep = sweep, .is_told = true};
    script_make((uint64_t)sweep->wanted.seed, &errand.script);
    struct outcome outcome = play(&errand);
    (void)printf("seed %lld, trace %016llx: %s\n",
                 (long long)sweep->wanted.seed,
                 (unsigned long long)outcome.trace,
                 outcome.is_good ? "every promise kept" : outcome.broken);
    if (!outcome.is_good && sweep->wanted.shrink != 0)
        failure_tell(sweep, (uint64_t)sweep->wanted.seed, &outcome);
    return outcome.is_good;
}

static bool many(struct sweep *sweep)
{
    struct tally tally = {.is_good = true, .began = fork_seconds()};
    play_all(sweep, &tally);
    double span = fork_seconds() - tally.began;
    size_t missing = stage_marks_tell(&tally.marks);
    (void)printf("%llu seeds from %lld in %.1f s, %.0f a second, %llu acts, trace %016llx%s\n",
                 (unsigned long long)tally.played,
                 (long long)sweep->wanted.from,
                 span,
                 (double)tally.played / (span > 0 ? span : 1),
                 (unsigned long long)tally.acts,
                 (unsigned long long)tally.trace,
                 tally.is_good ? ", every promise kept" : "");
    return tally.is_good && (sweep->wanted.marks == 0 || missing == 0);
}

int main(int argc, char **argv)
{
    struct sweep sweep = {.wanted = {0}};
    if (!wanted_read(argc, argv, &sweep.wanted)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    fork_heap();
    if (getenv("STORY_LOG") == NULL)
        log_set_level(LOG_ERROR); /* nobody reads the rest, and writing it costs */
    test_folder_make(sweep.folder, sizeof sweep.folder);
    bool is_good = sweep.wanted.seed >= 0 ? one(&sweep) : many(&sweep);
    for (size_t i = 0; i < SCRIPT_FARMS; i++)
        story_free(sweep.farm[i]);
    test_folder_remove(sweep.folder);
    return is_good ? 0 : 1;
}
