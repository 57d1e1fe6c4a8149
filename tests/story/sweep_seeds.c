/* Random farms, random rollouts, random faults: whatever the seed, every promise holds, and when
 * the faults stop everything is resolved. A seed that fails is cut down to what it takes, and told
 * as a story. use: see below. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/log.h"
#include "tests/story/stage_disk.h"
#include "tests/story/stage_mark.h"
#include "tests/story/sweep_fork.h"
#include "tests/story/sweep_heap.h"
#include "tests/story/sweep_script.h"
#include "tests/unit/test.h"

enum {
    SEEDS = 100,
    SEEDS_LONG = 20000,
    JOBS_MOST = 16,
    DISK_BYTES = 32 * 1024 * 1024, /* of a farm's disks; what is not touched costs nothing */
    BATCH = 5120, /* seeds in one process, where it can go back to a farm as it stood */
    /* Every so manieth seed is played twice, then in a process of its own. No factor in common with
     * what decides a seed's kind in sweep_script.c, so that all kinds have their turn. */
    AGAIN_EVERY = 197
};
static const char usage[] = "use: sweep_seeds [--seeds N] [--from N] [--jobs N] [--marks 1]\n"
                            "       --seeds N    so many (100; 20,000 where CASFLEET_LONG is set)\n"
                            "       --from N     the first of them\n"
                            "       --jobs N     so many at a time\n"
                            "       --marks 1    fails as well when something hardly ever happens\n"
                            "       --traces 1   tells the trace of each\n"
                            "       --shrink 0   tells a seed that fails as it is\n"
                            "       --alone 1    each in a process of its own\n"
                            "     sweep_seeds --seed N    that one alone, told\n";

struct outcome {
    size_t farm;
    bool is_begun, is_there, is_good;
    uint64_t trace;
    size_t acts;
    struct stage_marks marks;
    char broken[420];
};
struct wanted {
    int64_t seeds, from, jobs, seed, marks, shrink, traces, alone;
};
struct sweep {
    struct wanted wanted;
    char folder[512];
    struct story *farm[SCRIPT_FARMS];
    struct outcome *alone;                      /* of the one played in a process of its own */
    bool goes_back;                             /* a farm can be put back as it stood */
    const struct heap_mark *bare;               /* before any farm */
    const struct heap_mark *mark[SCRIPT_FARMS]; /* with that farm, and no other */
};
struct errand { /* what a child is to do */
    struct sweep *sweep;
    struct script script;
    struct outcome *outcome;
    bool is_told;
};

static void tell(struct story *s)
{
    for (size_t i = 0; i < story_lines(s); i++)
        (void)printf("%s %s\n", story_line_is_main(s, i) ? " " : "  .", story_line(s, i));
    (void)fflush(stdout);
}

/* Each farm stands in a heap of its own. */
static void farm_make(struct sweep *sweep, size_t farm)
{
    if (sweep->farm[farm] != NULL)
        return;
    if (sweep->goes_back) {
        heap_back(sweep->bare);
        stage_disk_room(heap_outside(DISK_BYTES), DISK_BYTES);
    }
    sweep->farm[farm] = script_farm(sweep->folder, farm);
    if (sweep->goes_back) {
        story_keep(sweep->farm[farm]);
        sweep->mark[farm] = heap_mark();
    }
}

static void farms_free(struct sweep *sweep)
{
    for (size_t i = 0; i < SCRIPT_FARMS; i++) {
        if (sweep->goes_back && sweep->farm[i] != NULL)
            heap_back(sweep->mark[i]);
        story_free(sweep->farm[i]);
    }
}

static void run(void *context)
{
    const struct errand *errand = context;
    struct outcome *outcome = errand->outcome;
    size_t farm = errand->script.farm;
    if (errand->sweep->goes_back)
        heap_back(errand->sweep->mark[farm]);
    struct story *s = errand->sweep->farm[farm];
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
    outcome->acts = 0;
    outcome->trace = story_trace(s);
    outcome->marks = *story_marks(s);
    for (size_t i = 0; i < story_lines(s); i++)
        outcome->acts += strncmp(story_line(s, i) + 6, "act ", 4) == 0 ? 1 : 0;
    outcome->is_there = true;
    if (errand->is_told)
        tell(s);
}

/* In a process of its own, which may crash. */
static struct outcome play(struct errand *errand)
{
    farm_make(errand->sweep, errand->script.farm);
    errand->outcome = errand->sweep->alone;
    memset(errand->outcome, 0, sizeof *errand->outcome);
    (void)fork_end(fork_begin(run, errand));
    if (!errand->outcome->is_there)
        (void)snprintf(errand->outcome->broken,
                       sizeof errand->outcome->broken,
                       "crash: the program ended itself");
    errand->outcome->is_good = errand->outcome->is_good && errand->outcome->is_there;
    return *errand->outcome;
}

/* ---- some, one after another in one process ---- */

struct batch {
    struct sweep *sweep;
    uint64_t first, n;       /* seeds */
    struct outcome *outcome; /* of each */
    long child;
};

/* Those on one farm follow each other: it is at hand. Up to the first that fails. */
static void run_batch(void *context)
{
    const struct batch *batch = context;
    struct errand errand = {.sweep = batch->sweep};
    if (batch->sweep->goes_back)
        heap_watch();
    for (size_t farm = 0; farm < SCRIPT_FARMS; farm++) {
        for (uint64_t i = 0; i < batch->n; i++) {
            errand.outcome = &batch->outcome[i];
            if (errand.outcome->farm != farm)
                continue;
            script_make(batch->first + i, &errand.script);
            errand.outcome->is_begun = true;
            fork_alarm();
            run(&errand);
            if (!errand.outcome->is_good)
                return;
        }
    }
}

static void batch_begin(struct batch *batch)
{
    for (uint64_t i = 0; i < batch->n; i++) {
        struct script script;
        script_make(batch->first + i, &script);
        farm_make(batch->sweep, script.farm);
        batch->outcome[i].farm = script.farm;
        batch->outcome[i].is_begun = batch->outcome[i].is_there = false;
    }
    batch->child = fork_begin(run_batch, batch);
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

/* One that ended the process does so alone as well, or something was left behind by those before
 * it. */
static struct outcome ended_by(const struct batch *batch, uint64_t seed)
{
    struct errand errand = {.sweep = batch->sweep};
    script_make(seed, &errand.script);
    struct outcome outcome = play(&errand);
    if (outcome.is_good)
        (void)snprintf(outcome.broken,
                       sizeof outcome.broken,
                       "crash: the program ended itself, though not for this seed alone");
    outcome.is_good = false;
    return outcome;
}

static void batch_end(const struct batch *batch, struct tally *tally)
{
    uint64_t bad = 0;
    bool has_ended_well = fork_end(batch->child);
    while (bad < batch->n && (!batch->outcome[bad].is_begun ||
                              (batch->outcome[bad].is_there && batch->outcome[bad].is_good)))
        bad++;
    if (bad < batch->n && tally->is_good) {
        struct outcome outcome = batch->outcome[bad];
        if (!outcome.is_there)
            outcome = ended_by(batch, batch->first + bad);
        take(batch->sweep, batch->first + bad, &outcome, tally);
        return;
    }
    for (uint64_t i = 0; i < batch->n && tally->is_good; i++)
        take(batch->sweep, batch->first + i, &batch->outcome[i], tally);
    if (has_ended_well || !tally->is_good)
        return;
    tally->is_good = false;
    (void)printf("seeds from %llu: crash: the program ended itself, though in no story\n",
                 (unsigned long long)batch->first);
}

/* How many seeds come next; 0 none. */
static uint64_t batch_size(const struct sweep *sweep, const struct tally *tally, uint64_t begun)
{
    uint64_t most = sweep->goes_back && sweep->wanted.alone == 0 ? BATCH : 1;
    if (!tally->is_good)
        return 0;
    uint64_t left = (uint64_t)sweep->wanted.seeds - begun, jobs = (uint64_t)sweep->wanted.jobs;
    uint64_t share = (left + jobs - 1) / jobs;
    return share < most ? share : most;
}

static void play_all(struct sweep *sweep, struct tally *tally)
{
    struct batch batch[JOBS_MOST];
    struct outcome *outcome[JOBS_MOST];
    size_t jobs = (size_t)sweep->wanted.jobs, begun = 0, ended = 0;
    uint64_t seeds = 0; /* begun */
    for (size_t i = 0; i < jobs; i++)
        outcome[i] = fork_shared(BATCH * sizeof(*outcome[i]));
    for (;;) {
        uint64_t n = 0;
        while (begun - ended < jobs && (n = batch_size(sweep, tally, seeds)) > 0) {
            batch[begun % jobs] = (struct batch){.sweep = sweep,
                                                 .first = (uint64_t)sweep->wanted.from + seeds,
                                                 .n = n,
                                                 .outcome = outcome[begun % jobs]};
            batch_begin(&batch[begun % jobs]);
            begun++;
            seeds += n;
        }
        if (ended == begun)
            return;
        batch_end(&batch[ended % jobs], tally);
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
                   {"--from", &wanted->from, INT64_MAX},
                   {"--jobs", &wanted->jobs, JOBS_MOST},
                   {"--seed", &wanted->seed, INT64_MAX},
                   {"--marks", &wanted->marks, 1},
                   {"--shrink", &wanted->shrink, 1},
                   {"--traces", &wanted->traces, 1},
                   {"--alone", &wanted->alone, 1}};
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
    struct tally tally = {.is_good = true};
    double began = fork_seconds();
    play_all(sweep, &tally);
    double span = fork_seconds() - began;
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
    if (getenv("STORY_LOG") == NULL)
        log_set_level(LOG_ERROR); /* nobody reads the rest, and writing it costs */
    test_folder_make(sweep.folder, sizeof sweep.folder);
    sweep.alone = fork_shared(sizeof *sweep.alone);
    sweep.goes_back = heap_begin();
    if (sweep_calendar_warm() != CAS_OK)
        return 1;
    if (sweep.goes_back)
        sweep.bare = heap_mark();
    bool is_good = sweep.wanted.seed >= 0 ? one(&sweep) : many(&sweep);
    farms_free(&sweep);
    test_folder_remove(sweep.folder);
    return is_good ? 0 : 1;
}
