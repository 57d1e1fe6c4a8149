/* Random farms, random rollouts, random faults: whatever the seed, every promise holds, and when
 * the faults stop everything is resolved. CASFLEET_LONG=1 plays 20,000 seeds in place of 300;
 * --seeds N so many, --from N beginning there, --seed N that one alone, with its journal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORY_HARNESSLESS
#include "tests/story/story.h"
#include "tests/unit/test.h"

enum {
    SEEDS = 300,
    SEEDS_LONG = 20000,
    SERVERS_MOST = 6,
    CHAOS_MS = 4 * 60 * 1000,
    CALM_MS = 270 * 1000, /* above grace, act, drain and proof together */
    CALM_STEP_MS = 30 * 1000,
};

struct chaos {
    struct story *s;
    char name[SERVERS_MOST][40];
    size_t name_n;
    bool is_cut[SERVERS_MOST];
    bool is_revoked[SERVERS_MOST];
    uint64_t rollout[3];
    size_t rollout_n;
    bool is_full, has_backup;
    int64_t off_ms[SERVERS_MOST], controller_off_ms;
    size_t revoked_n;
};

static uint64_t throw(struct chaos * c, uint64_t below)
{
    return story_throw(c->s, below);
}

static size_t any(struct chaos *c)
{
    return (size_t) throw(c, c->name_n);
}

static void farm(struct chaos *c)
{
    size_t site_n = 1 + (size_t) throw(c, 2);
    size_t server_n = 2 + (size_t) throw(c, SERVERS_MOST - 1);
    char names[2][256] = {"", ""};
    struct cas_text text[2] = {CAS_TEXT(names[0]), CAS_TEXT(names[1])};
    for (size_t i = 0; i < server_n; i++) {
        size_t site = i % site_n;
        (void)snprintf(c->name[i], sizeof c->name[i], "%s-CAS%02zu", site == 0 ? "LON" : "NYC", i);
        cas_text_add(&text[site], "%s%s", text[site].used > 0 ? " " : "", c->name[i]);
    }
    c->name_n = server_n;
    story_site(c->s, "LON", names[0]);
    if (site_n == 2 && names[1][0] != '\0')
        story_site(c->s, "NYC", names[1]);
}

static void network(struct chaos *c)
{
    struct story_net net = {.delay_ms = 1 + (int64_t) throw(c, 50)};
    if (throw(c, 2) == 0)
        net.spread_ms = (int64_t) throw(c, 2000);
    if (throw(c, 2) == 0)
        net.drop_pm = (unsigned) throw(c, 80);
    if (throw(c, 2) == 0)
        net.twice_pm = (unsigned) throw(c, 150);
    if (throw(c, 3) == 0) {
        net.late_pm = (unsigned) throw(c, 40);
        net.late_ms = 1 + (int64_t) throw(c, 300000);
    }
    story_net(c->s, &net);
}

/* Targets: all, or every second server, so that rollouts may meet and may not. */
static void run(struct chaos *c)
{
    static const char *const floors[] = {"floor=30", "floor=50", "floor=60", "floor=75"};
    static const char *const gaps[] = {"gap=0s", "gap=5s", "gap=20s"};
    static const char *const settles[] = {"settle=0s", "settle=5s", "settle=20s"};
    static const char *const at_onces[] = {"at-once=1", "at-once=2", "at-once=3"};
    static const char *const stops[] = {"stop-after=1", "stop-after=2", "stop-after=5"};
    static const char *const proofs[] = {"proof=30s", "proof=60s", "proof=90s"};
    static const char *const drains[] = {"no-drain", "no-drain", "drain=10s"};
    static const char *const healthies[] = {"healthy=1", "healthy=2", "healthy=3"};
    char target[256];
    struct cas_text text = CAS_TEXT(target);
    cas_text_clear(&text);
    size_t first = (size_t) throw(c, 2), step = 1 + (size_t) throw(c, 2);
    for (size_t i = first; i < c->name_n; i += step)
        cas_text_add(&text, "%s%s", text.used > 0 ? "," : "", c->name[i]);
    size_t gap = (size_t) throw(c, 3);
    uint64_t seq = story_recycle(c->s,
                                 target,
                                 floors[throw(c, 4)],
                                 gaps[gap],
                                 settles[gap],
                                 at_onces[throw(c, 3)],
                                 stops[throw(c, 3)],
                                 proofs[throw(c, 3)],
                                 drains[throw(c, 3)],
                                 healthies[throw(c, 3)],
                                 throw(c, 2) == 0 ? "act=10s" : "act=40s",
                                 NULL);
    if (seq != 0 && c->rollout_n < CAS_COUNT(c->rollout))
        c->rollout[c->rollout_n++] = seq;
}

static void operate(struct chaos *c)
{
    static const char *const verbs[] = {"recycle.pause",
                                        "recycle.resume",
                                        "recycle.resume",
                                        "recycle.retry",
                                        "recycle.end"};
    char id[32], target[64];
    if (c->rollout_n == 0 || throw(c, 3) == 0) {
        run(c);
        return;
    }
    size_t verb = (size_t) throw(c, CAS_COUNT(verbs));
    (void)
        snprintf(id, sizeof id, "id=%llu", (unsigned long long)c->rollout[throw(c, c->rollout_n)]);
    (void)snprintf(target, sizeof target, "target=%s", c->name[any(c)]);
    if (strcmp(verbs[verb], "recycle.end") == 0 && throw(c, 3) != 0)
        return;
    (void)story_ask(c->s,
                    verbs[verb],
                    id,
                    strcmp(verbs[verb], "recycle.retry") == 0 ? target : NULL,
                    NULL);
}

static void clocks(struct chaos *c)
{
    static const int64_t day_ms = 24 * 3600 * 1000;
    static const int64_t spans[] = {3650, -3650, 1, -1};
    int64_t span_ms =
        throw(c, 2) == 0 ? spans[throw(c, 4)] * day_ms : (int64_t) throw(c, 60000) - 30000;
    if (throw(c, 3) == 0) {
        c->controller_off_ms += span_ms;
        story_jump_wall(c->s, NULL, span_ms);
        return;
    }
    size_t server = any(c);
    c->off_ms[server] += span_ms;
    story_jump_wall(c->s, c->name[server], span_ms);
}

static void wire(struct chaos *c)
{
    size_t server = any(c);
    if (c->is_cut[server]) {
        story_mend_cable(c->s, c->name[server]);
    } else {
        story_cut_cable(c->s, c->name[server], (enum story_way)(1 + throw(c, 3)));
    }
    c->is_cut[server] = !c->is_cut[server];
}

static void machine(struct chaos *c)
{
    static const char *const failures[] =
        {"", "", "never-healthy", "unchanged", "recycle-fails", "hangs", "silent-after"};
    size_t server = any(c);
    if (throw(c, 4) == 0)
        story_kill_worker(c->s, c->name[server]);
    else
        story_fails(c->s, c->name[server], failures[throw(c, CAS_COUNT(failures))]);
}

static void controller(struct chaos *c)
{
    int64_t restart_ms = 1000 + (int64_t) throw(c, 40000);
    if (story_controller_is_dead(c->s))
        return;
    switch (throw(c, 8)) {
    case 0:
        story_controller_dies(c->s, restart_ms);
        break;
    case 1:
        if (c->has_backup) {
            story_controller_dies(c->s, -1);
            story_restore(c->s);
            story_controller_starts(c->s);
        } else {
            story_backup(c->s);
            c->has_backup = true;
        }
        break;
    case 2:
        c->is_full = !c->is_full;
        story_controller_disk(c->s, c->is_full);
        break;
    default:
        story_controller_dies_after(c->s, 1 + throw(c, 6), restart_ms);
        break;
    }
}

static void revoke(struct chaos *c)
{
    char target[64];
    size_t server = any(c);
    (void)snprintf(target, sizeof target, "target=%s", c->name[server]);
    if (c->revoked_n > 0 || throw(c, 4) != 0 || story_controller_is_dead(c->s))
        return;
    if (story_ask(c->s, "agent.revoke", target, NULL) == 0)
        c->revoked_n++;
}

static void fault(struct chaos *c)
{
    uint64_t dice = throw(c, 100);
    if (dice < 30)
        story_agent_dies(c->s,
                         c->name[any(c)],
                         (enum story_point)(1 + throw(c, POINT_NOW)),
                         200 + (int64_t) throw(c, 20000));
    else if (dice < 48)
        controller(c);
    else if (dice < 66)
        wire(c);
    else if (dice < 78)
        machine(c);
    else if (dice < 92)
        operate(c);
    else if (dice < 96)
        network(c);
    else if (dice < 98)
        clocks(c);
    else
        revoke(c);
}

/* Faults stop. What failed stays failed; what is under way must come to an end. */
static void calm(struct chaos *c)
{
    struct story *s = c->s;
    story_net(s, &(struct story_net){.delay_ms = 2});
    story_controller_disk(s, false);
    story_jump_wall(s, NULL, -c->controller_off_ms);
    story_controller_starts(s);
    for (size_t i = 0; i < c->name_n; i++) {
        story_mend_cable(s, c->name[i]);
        story_fails(s, c->name[i], "");
        story_agent_dies(s, c->name[i], POINT_NONE, -1);
        story_agent_starts(s, c->name[i]);
        story_jump_wall(s, c->name[i], -c->off_ms[i]);
    }
    for (int64_t end_ms = story_now(s) + CALM_MS; story_now(s) < end_ms;) {
        story_pass(s, CALM_STEP_MS);
        if (!story_controller_is_dead(s) && story_is_settled(s))
            return;
    }
}

static struct story *play(const char *folder, uint64_t seed)
{
    struct story_settings settings = {.folder = folder,
                                      .start = "Tue 01:00",
                                      .seed = seed,
                                      .sample_ms = 60000,
                                      .commit_ms = 20 + (int64_t)(seed % 5) * 45};
    struct chaos c = {.s = story_begin(&settings)};
    farm(&c);
    network(&c);
    run(&c);
    for (int64_t end_ms = story_now(c.s) + CHAOS_MS; story_now(c.s) < end_ms;) {
        story_pass(c.s, (int64_t) throw(&c, 14000));
        fault(&c);
    }
    calm(&c);
    (void)story_check(c.s);
    return c.s;
}

static void tell(struct story *s)
{
    for (size_t i = 0; i < story_lines(s); i++)
        (void)printf("%s %s\n", story_line_is_main(s, i) ? " " : "  .", story_line(s, i));
}

static bool is_kept(struct story *s, uint64_t seed)
{
    bool is_good = story_broken(s)[0] == '\0' && story_is_settled(s);
    if (!is_good)
        (void)printf("seed %llu: %s\n",
                     (unsigned long long)seed,
                     story_broken(s)[0] != '\0' ? story_broken(s)
                                                : "L1 something is still under way after the calm");
    return is_good;
}

/* The same journal twice, for the seeds where that is asked. */
static bool is_same(const char *folder, struct story *s, uint64_t seed)
{
    CAS_AUTO(story) again = play(folder, seed);
    for (size_t i = 0; i < story_lines(s) || i < story_lines(again); i++) {
        const char *one = i < story_lines(s) ? story_line(s, i) : "(end)";
        const char *two = i < story_lines(again) ? story_line(again, i) : "(end)";
        if (strcmp(one, two) == 0)
            continue;
        (void)printf("seed %llu: two runs differ in line %zu:\n  %s\n  %s\n",
                     (unsigned long long)seed,
                     i + 1,
                     one,
                     two);
        return false;
    }
    return true;
}

struct wanted {
    uint64_t from, n;
    bool is_one;
};

static bool wanted_read(int argc, char **argv, struct wanted *ret_wanted)
{
    const char *is_long = getenv("CASFLEET_LONG");
    *ret_wanted = (struct wanted){.from = 1, .n = SEEDS};
    if (is_long != NULL && is_long[0] != '\0' && strcmp(is_long, "0") != 0)
        ret_wanted->n = SEEDS_LONG;
    for (int i = 1; i < argc; i += 2) {
        int64_t value = 0;
        if (i + 1 == argc ||
            cas_parse_i64(cas_slice_of(argv[i + 1]), 0, INT64_MAX, &value, NULL) != CAS_OK)
            return false;
        if (strcmp(argv[i], "--seed") == 0)
            *ret_wanted = (struct wanted){.from = (uint64_t)value, .n = 1, .is_one = true};
        else if (strcmp(argv[i], "--seeds") == 0)
            ret_wanted->n = (uint64_t)value;
        else if (strcmp(argv[i], "--from") == 0)
            ret_wanted->from = (uint64_t)value;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct wanted wanted;
    char folder[512];
    bool is_good = true;
    size_t acts = 0;
    if (!wanted_read(argc, argv, &wanted)) {
        (void)fprintf(stderr, "use: sweep_seeds [--seed N | --seeds N] [--from N]\n");
        return 2;
    }
    test_folder_make(folder, sizeof folder);
    uint64_t played = 0;
    for (; played < wanted.n && is_good; played++) {
        uint64_t seed = wanted.from + played;
        CAS_AUTO(story) s = play(folder, seed);
        is_good = is_kept(s, seed);
        if (is_good && (wanted.is_one || played % 20 == 0))
            is_good = is_same(folder, s, seed);
        for (size_t i = 0; i < story_lines(s); i++)
            acts += strstr(story_line(s, i), " act ") != NULL ? 1 : 0;
        if (wanted.is_one || !is_good)
            tell(s);
    }
    test_folder_remove(folder);
    (void)printf("%llu seeds, %zu acts%s\n",
                 (unsigned long long)played,
                 acts,
                 is_good ? ", every promise kept" : "");
    return is_good ? 0 : 1;
}
