/* One story, over and over; each time another write fails: the first commit of the controller's
 * store, the second, the third ..., then likewise those of the agents' ledgers and outboxes, and
 * the server's own act. Once as an error of the disk, once as a full disk, once for good until
 * somebody makes room. Whatever fails, every promise holds and the rollout comes to its end.
 * Built with CASFLEET_FAILPOINTS only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORY_HARNESSLESS
#include "proto/base/failpoint.h"
#include "tests/story/story.h"
#include "tests/unit/test.h"

enum {
    PASSAGES_MOST = 400,
    STEP_MS = 30 * 1000,
    STEPS_MOST = 24,
    ROOM_STEP = 3
};

struct fault {
    const char *point;
    int64_t stride; /* every so manieth passage */
};
static const struct fault faults[] = {
    {"store.commit", 1},
    {"ledger.commit", 1},
    {"ledger.reserve", 1},
    {"outbox.commit", 3},
    {"agent.before_intent", 1},
    {"sim.effect", 1},
};
static const char *const ways[] = {"eio", "enospc"};

/* Operators look at what failed and go on: a retry for what is known or unknown, then resume. */
static void go_on(struct story *s, uint64_t seq)
{
    static const char *const servers[] = {"LON-CAS01", "LON-CAS02"};
    const struct rollout *rollout = story_rollout(s, seq);
    if (rollout == NULL || (rollout->state != ROLLOUT_HALTED && rollout->state != ROLLOUT_PAUSED))
        return;
    for (size_t i = 0; i < CAS_COUNT(servers); i++) {
        char target[64];
        enum rollout_step_state state = story_step(s, seq, servers[i])->state;
        (void)snprintf(target, sizeof target, "target=%s", servers[i]);
        if (state == STEP_FAILED || state == STEP_UNKNOWN) {
            (void)story_ask(s, "recycle.retry", "id=1", target, NULL);
            return;
        }
    }
    (void)story_ask(s, "recycle.resume", "id=1", NULL);
}

struct outcome {
    bool is_good;
    int64_t passages; /* of the point, until the end or until room was made */
};

static struct outcome
play(const char *folder, const struct fault *fault, const char *setting, bool is_lasting)
{
    struct story_settings settings = {.folder = folder,
                                      .start = "Tue 01:00",
                                      .seed = 71,
                                      .sample_ms = 60000};
    CAS_AUTO(story) s = story_begin(&settings);
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-02]",
                                 "floor=50",
                                 "gap=5s",
                                 "settle=5s",
                                 "no-drain",
                                 "act=20s",
                                 "proof=60s",
                                 NULL);
    bool is_done = false;
    int64_t passages = 0;
    failpoint_set(setting);
    for (int i = 0; i < STEPS_MOST && !is_done; i++) {
        story_pass(s, STEP_MS);
        if (is_lasting && i == ROOM_STEP)
            failpoint_set(NULL); /* somebody has made room */
        if (!is_lasting || i > ROOM_STEP)
            go_on(s, seq);
        is_done = story_rollout(s, seq)->state == ROLLOUT_DONE;
        passages = failpoint_passages(fault->point);
    }
    failpoint_set(NULL);
    struct outcome outcome = {.is_good = story_check(s) && is_done, .passages = passages};
    if (!outcome.is_good) {
        (void)printf("%s: %s\n",
                     setting,
                     story_broken(s)[0] != '\0' ? story_broken(s) : "the rollout does not end");
        for (size_t i = 0; i < story_lines(s); i++)
            (void)printf("  %s\n", story_line(s, i));
    }
    return outcome;
}

static bool sweep(const char *folder, const struct fault *fault, const char *way, size_t *ret_n)
{
    char setting[96];
    for (int64_t at = 1; at < PASSAGES_MOST; at += fault->stride) {
        (void)snprintf(setting, sizeof setting, "%s:%lld:%s", fault->point, (long long)at, way);
        struct outcome outcome = play(folder, fault, setting, false);
        if (!outcome.is_good)
            return false;
        (*ret_n)++;
        if (outcome.passages < at) /* it was over before */
            break;
    }
    (void)snprintf(setting, sizeof setting, "%s:1+:%s", fault->point, way);
    (*ret_n)++;
    return play(folder, fault, setting, true).is_good;
}

int main(void)
{
    char folder[512];
    bool is_good = true;
    size_t n = 0;
    test_folder_make(folder, sizeof folder);
    for (size_t i = 0; i < CAS_COUNT(faults) && is_good; i++) {
        for (size_t k = 0; k < CAS_COUNT(ways) && is_good; k++)
            is_good = sweep(folder, &faults[i], ways[k], &n);
        (void)printf("%s: %s\n", faults[i].point, is_good ? "kept" : "BROKEN");
    }
    test_folder_remove(folder);
    (void)printf("%zu runs%s\n", n, is_good ? ", every promise kept" : "");
    return is_good ? 0 : 1;
}
