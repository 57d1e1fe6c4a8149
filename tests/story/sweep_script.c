#include "tests/story/sweep_play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEDULES_EVERY = 53, /* every so manieth seed has schedules, beside what happens anyway */
    /* Every so manieth seed lasts beyond two hours, for frames as late as that. */
    LONG_EVERY = 600,
    CHANCES = 128,
    CALM_MS = 270 * 1000, /* above grace, act, drain and proof together */
    CALM_STEP_MS = 10 * 1000,
    RESTART_MS = 12 * 1000,
    NEW_FARM = 1 /* whose programs were never started but once */
};

/* ---- making ---- */

static uint64_t draw(uint64_t *dice)
{
    *dice += 0x9e3779b97f4a7c15u;
    uint64_t z = *dice;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* By weight: how much of the trouble is of which kind. */
static const struct {
    enum script_kind kind;
    unsigned weight;
} kinds[] = {
    {SCRIPT_AGENT_DIES, 22},
    {SCRIPT_POWER, 4},
    {SCRIPT_JOURNALS, 1},
    {SCRIPT_AGENT_STOPS, 5},
    {SCRIPT_CUT, 13},
    {SCRIPT_HOLD, 4},
    {SCRIPT_HOST_FAILS, 8},
    {SCRIPT_SELF, 3},
    {SCRIPT_AGENT_DISK, 3},
    {SCRIPT_CONTROLLER_DIES, 3},
    {SCRIPT_CONTROLLER_COMMIT, 8},
    {SCRIPT_CONTROLLER_STOPS, 3},
    {SCRIPT_CONTROLLER_DISK, 2},
    {SCRIPT_BACKUP, 4},
    {SCRIPT_RESTORE, 9},
    {SCRIPT_USURP, 1},
    {SCRIPT_RUN, 8},
    {SCRIPT_OPERATE, 26},
    {SCRIPT_INTRUDE, 1},
    {SCRIPT_REVOKE, 1},
    {SCRIPT_NETWORK, 4},
    {SCRIPT_WALL, 2},
    {SCRIPT_MONO, 2},
};

static enum script_kind kind_of(uint64_t dice)
{
    unsigned all = 0;
    for (size_t i = 0; i < CAS_COUNT(kinds); i++)
        all += kinds[i].weight;
    unsigned at = (unsigned)(dice % all);
    size_t i = 0;
    while (at >= kinds[i].weight)
        at -= kinds[i++].weight;
    return kinds[i].kind;
}

/* Rows stay in order of time; these come after those there are at their instant. */
static void insert(struct script *script, const struct script_event *event)
{
    size_t at = script->event_n;
    if (script->event_n == SCRIPT_EVENTS)
        return;
    while (at > 0 && script->event[at - 1].at_ms > event->at_ms) {
        script->event[at] = script->event[at - 1];
        at--;
    }
    script->event[at] = *event;
    script->event_n++;
}

/* By chance of their own: the rows of a seed without schedules are those it had before. */
static void add_schedules(struct script *script)
{
    uint64_t dice = script->seed * 0x9fb21c651e98df25u + 11;
    for (size_t i = 0; i < SWEEP_SCHEDULES + SWEEP_CALENDARS; i++) {
        struct script_event event = {.kind =
                                         i < SWEEP_SCHEDULES ? SCRIPT_SCHEDULE : SCRIPT_CALENDAR};
        event.at_ms = (int64_t)(draw(&dice) % (uint64_t)(script->span_ms * 2 / 3));
        event.dice = draw(&dice);
        insert(script, &event);
    }
}

/* Most of what can go wrong takes two to four servers and some seconds of trouble, and many of
 * those are played in the time of one that is large; what takes more is in the others. */
static const struct size {
    unsigned chance;          /* of CHANCES */
    size_t farms;             /* the first so many kinds of farm */
    int64_t span_ms, step_ms; /* between two rows, at most */
} sizes[] = {
    {117, 4, 16 * 1000, 4000},
    {10, 6, 90 * 1000, 8000},
    {1, SCRIPT_FARMS, 240 * 1000, 14000},
};
static const struct size schedule_size = {0, 4, 130 * 1000, 13000}; /* for windows to open */
static const struct size long_size = {0, 2, 130 * 60 * 1000, 240000};

static const struct size *size_of(uint64_t dice)
{
    unsigned at = (unsigned)(dice % CHANCES);
    size_t i = 0;
    while (at >= sizes[i].chance)
        at -= sizes[i++].chance;
    return &sizes[i];
}

void script_make(uint64_t seed, struct script *script)
{
    uint64_t dice = seed * 0x2545f4914f6cdd1du + 7;
    memset(script, 0, sizeof *script);
    script->seed = seed;
    bool has_schedules = seed % SCHEDULES_EVERY == 0;
    script->is_long = seed % LONG_EVERY == LONG_EVERY - 1;
    const struct size *size = size_of(draw(&dice) >> 8);
    if (has_schedules)
        size = &schedule_size;
    if (script->is_long)
        size = &long_size;
    script->farm = (size_t)((draw(&dice) >> 8) % size->farms);
    script->span_ms = size->span_ms;
    static const enum script_kind first[] = {SCRIPT_NETWORK, SCRIPT_RUN};
    /* What was just recycled is left out by a window. */
    size_t first_n = has_schedules ? 1 : CAS_COUNT(first);
    int64_t at_ms = 0;
    for (size_t i = 0; i < SCRIPT_EVENTS && at_ms < script->span_ms; i++) {
        struct script_event *event = &script->event[script->event_n++];
        event->kind = i < first_n ? first[i] : kind_of(draw(&dice) >> 8);
        event->at_ms = at_ms;
        event->dice = draw(&dice);
        if (i + 1 >= first_n)
            at_ms += (int64_t)(draw(&dice) % (uint64_t)size->step_ms);
    }
    if (has_schedules)
        add_schedules(script);
}

/* ---- playing ---- */

uint64_t sweep_below(struct play *p, uint64_t most)
{
    return (draw(&p->dice) >> 8) % most;
}

static void names_fill(size_t farm, char name[SCRIPT_SERVERS][40], size_t *ret_n)
{
    size_t site_n = 1 + farm % 2;
    *ret_n = 2 + farm / 2;
    for (size_t i = 0; i < *ret_n; i++)
        (void)snprintf(name[i], sizeof name[i], "%s-CAS%02zu", i % site_n == 0 ? "LON" : "NYC", i);
}

static void lasts(struct play *p, enum script_kind kind, size_t server, int64_t span_ms)
{
    if (p->end_n < SWEEP_ENDS)
        p->end[p->end_n++] =
            (struct end){.at_ms = story_now(p->s) + span_ms, .kind = kind, .server = server};
}

static void end_now(struct play *p, const struct end *end)
{
    switch (end->kind) {
    case SCRIPT_CUT:
        story_mend_cable(p->s, p->name[end->server]);
        story_say(p->s, "the cable of %s is mended", p->name[end->server]);
        return;
    case SCRIPT_HOLD:
        story_release(p->s, p->name[end->server]);
        return;
    case SCRIPT_HOST_FAILS:
        story_fails(p->s, p->name[end->server], "");
        return;
    case SCRIPT_AGENT_DISK:
        story_disk(p->s, p->name[end->server], false);
        story_say(p->s, "the disk of %s has room", p->name[end->server]);
        return;
    case SCRIPT_CONTROLLER_DISK:
        story_controller_disk(p->s, false);
        story_say(p->s, "the controller's disk has room");
        return;
    case SCRIPT_USURP:
        story_controller_starts(p->s);
        return;
    case SCRIPT_NETWORK:
    case SCRIPT_RUN:
    case SCRIPT_OPERATE:
    case SCRIPT_INTRUDE:
    case SCRIPT_REVOKE:
    case SCRIPT_AGENT_DIES:
    case SCRIPT_POWER:
    case SCRIPT_JOURNALS:
    case SCRIPT_AGENT_STOPS:
    case SCRIPT_SELF:
    case SCRIPT_CONTROLLER_DIES:
    case SCRIPT_CONTROLLER_COMMIT:
    case SCRIPT_CONTROLLER_STOPS:
    case SCRIPT_BACKUP:
    case SCRIPT_RESTORE:
    case SCRIPT_WALL:
    case SCRIPT_MONO:
    case SCRIPT_SCHEDULE:
    case SCRIPT_CALENDAR:
        return;
    }
}

static void pass_to(struct play *p, int64_t at_ms)
{
    for (;;) {
        size_t first = p->end_n;
        for (size_t i = 0; i < p->end_n; i++) {
            if (p->end[i].at_ms <= at_ms &&
                (first == p->end_n || p->end[i].at_ms < p->end[first].at_ms))
                first = i;
        }
        if (first == p->end_n)
            break;
        struct end end = p->end[first];
        p->end[first] = p->end[--p->end_n];
        if (end.at_ms > story_now(p->s))
            story_pass(p->s, end.at_ms - story_now(p->s));
        end_now(p, &end);
    }
    if (at_ms > story_now(p->s))
        story_pass(p->s, at_ms - story_now(p->s));
}

static void network(struct play *p)
{
    struct story_net net = {.delay_ms = 1 + (int64_t)sweep_below(p, 50)};
    bool is_long = p->script->is_long;
    if (sweep_below(p, 3) != 0)
        net.spread_ms = (int64_t)sweep_below(p, 2000);
    if (sweep_below(p, 2) == 0)
        net.drop_pm = (unsigned)sweep_below(p, 80);
    if (sweep_below(p, 2) == 0)
        net.twice_pm = (unsigned)sweep_below(p, 150);
    if (sweep_below(p, 3) == 0 || is_long) {
        net.late_pm = (unsigned)sweep_below(p, 100) + (is_long ? 5 : 0);
        net.late_ms = is_long
                          ? 2 * 3600 * 1000
                          : 1 + (int64_t)sweep_below(p, sweep_below(p, 2) == 0 ? 15000 : 300000);
    }
    story_net(p->s, &net);
    story_say(p->s,
              "network: %lld ms and up to %lld more, of 1000 frames %u lost, %u twice, %u late",
              (long long)net.delay_ms,
              (long long)net.spread_ms,
              net.drop_pm,
              net.twice_pm,
              net.late_pm);
}

/* Targets: all, or every second server, so that rollouts may meet and may not. */
static void run(struct play *p)
{
    static const char *const floors[] = {"floor=30", "floor=50", "floor=50", "floor=67"};
    static const char *const gaps[] = {"gap=0s", "gap=5s", "gap=20s"};
    static const char *const settles[] = {"settle=0s", "settle=5s", "settle=20s"};
    static const char *const at_onces[] = {"at-once=1", "at-once=2", "at-once=3"};
    static const char *const stops[] = {"stop-after=1", "stop-after=2", "stop-after=5"};
    static const char *const proofs[] = {"proof=10s", "proof=15s", "proof=40s", "proof=90s"};
    static const char *const drains[] = {"no-drain", "no-drain", "drain=10s"};
    static const char *const healthies[] = {"healthy=1", "healthy=2", "healthy=3"};
    char target[256];
    struct cas_text text = CAS_TEXT(target);
    cas_text_clear(&text);
    size_t first = sweep_below(p, 3) == 0 ? 1 : 0, step = sweep_below(p, 3) == 0 ? 2 : 1;
    for (size_t i = first; i < p->name_n; i += step)
        cas_text_add(&text, "%s%s", text.used > 0 ? "," : "", p->name[i]);
    size_t gap = (size_t)sweep_below(p, 3), floor = (size_t)sweep_below(p, 4),
           at_once = (size_t)sweep_below(p, 3);
    size_t stop = (size_t)sweep_below(p, 3), proof = (size_t)sweep_below(p, 4),
           drain = (size_t)sweep_below(p, 3);
    size_t healthy = (size_t)sweep_below(p, 3);
    const char *act = sweep_below(p, 4) != 0 ? "act=10s" : "act=40s";
    story_say(p->s,
              "run %s %s %s %s %s %s %s %s %s",
              target,
              floors[floor],
              gaps[gap],
              at_onces[at_once],
              stops[stop],
              proofs[proof],
              drains[drain],
              healthies[healthy],
              act);
    uint64_t seq = story_recycle(p->s,
                                 target,
                                 floors[floor],
                                 gaps[gap],
                                 settles[gap],
                                 at_onces[at_once],
                                 stops[stop],
                                 proofs[proof],
                                 drains[drain],
                                 healthies[healthy],
                                 act,
                                 NULL);
    if (seq == 0 || p->rollout_n == CAS_COUNT(p->rollout))
        return;
    if (p->rollout_n > 0)
        stage_mark_fault(p->s, FAULT_second_run);
    p->rollout[p->rollout_n++] = seq;
}

/* Most operators look before they ask: what has failed is retried, what stands is resumed. */
static void choose(struct play *p, uint64_t seq, size_t *verb, size_t *server)
{
    const struct rollout *rollout =
        story_controller_is_dead(p->s) ? NULL : story_rollout(p->s, seq);
    if (rollout == NULL || sweep_below(p, 4) == 0)
        return;
    bool is_standing = rollout->state == ROLLOUT_HALTED || rollout->state == ROLLOUT_PAUSED;
    if (!is_standing)
        return;
    *verb = sweep_below(p, 4) == 0 ? 5 : 1; /* end, resume */
    for (size_t i = 0; i < rollout->step_n && sweep_below(p, 3) != 0; i++) {
        enum rollout_step_state state = rollout->step[i].state;
        for (size_t k = 0; k < p->name_n; k++) {
            const char *name = story_server_name(p->s, rollout->step[i].server_id);
            if ((state == STEP_FAILED || state == STEP_UNKNOWN) && strcmp(name, p->name[k]) == 0) {
                *verb = 3; /* retry */
                *server = k;
            }
        }
    }
}

static void operate(struct play *p, bool is_intruder)
{
    static const struct {
        const char *verb;
        enum stage_fault fault;
    } verbs[] = {
        {"recycle.pause", FAULT_operator_pause},
        {"recycle.resume", FAULT_operator_resume},
        {"recycle.resume", FAULT_operator_resume},
        {"recycle.retry", FAULT_operator_retry},
        {"recycle.retry", FAULT_operator_retry},
        {"recycle.end", FAULT_operator_end},
        {"recycle.end", FAULT_operator_end},
    };
    char id[32], target[64];
    size_t verb = (size_t)sweep_below(p, CAS_COUNT(verbs));
    uint64_t which = sweep_below(p, 64);
    size_t server = (size_t)sweep_below(p, p->name_n);
    if (p->rollout_n == 0)
        return;
    uint64_t seq = p->rollout[which % p->rollout_n];
    choose(p, seq, &verb, &server);
    (void)snprintf(id, sizeof id, "id=%llu", (unsigned long long)seq);
    (void)snprintf(target, sizeof target, "target=%s", p->name[server]);
    const char *third = verbs[verb].fault == FAULT_operator_retry ? target : NULL;
    story_say(p->s,
              "%s asks: %s %s %s",
              is_intruder ? "a viewer" : "an operator",
              verbs[verb].verb,
              id,
              third == NULL ? "" : third);
    int code = is_intruder ? story_intrude(p->s, verbs[verb].verb, id, third, NULL)
                           : story_ask(p->s, verbs[verb].verb, id, third, NULL);
    if (is_intruder && code > 0)
        stage_mark_fault(p->s, FAULT_intruder);
    else if (!is_intruder && code == 0)
        stage_mark_fault(p->s, verbs[verb].fault);
}

static void revoke(struct play *p)
{
    char target[64];
    (void)snprintf(target, sizeof target, "target=%s", p->name[sweep_below(p, p->name_n)]);
    if (p->has_revoked || story_controller_is_dead(p->s))
        return;
    story_say(p->s, "an operator revokes %s", target);
    p->has_revoked = story_ask(p->s, "agent.revoke", target, NULL) == 0;
    if (p->has_revoked)
        stage_mark_fault(p->s, FAULT_revoke);
}

static void wall(struct play *p)
{
    static const int64_t day_ms = 24 * 3600 * 1000;
    static const int64_t spans[] = {3650, -3650, 1, -1};
    int64_t span_ms = sweep_below(p, 2) == 0 ? spans[sweep_below(p, 4)] * day_ms
                                             : (int64_t)sweep_below(p, 60000) - 30000;
    if (sweep_below(p, 3) == 0) {
        p->controller_off_ms += span_ms;
        story_jump_wall(p->s, NULL, span_ms);
        stage_mark_fault(p->s, FAULT_wall_controller);
        return;
    }
    size_t server = (size_t)sweep_below(p, p->name_n);
    p->off_ms[server] += span_ms;
    story_jump_wall(p->s, p->name[server], span_ms);
    stage_mark_fault(p->s, FAULT_wall_agent);
}

static void mono(struct play *p)
{
    int64_t span_ms = 1000 + (int64_t)sweep_below(p, sweep_below(p, 2) == 0 ? 60000 : 3600000);
    bool is_controller = sweep_below(p, 3) == 0;
    size_t server = (size_t)sweep_below(p, p->name_n);
    stage_mark_fault(p->s, is_controller ? FAULT_mono_controller : FAULT_mono_agent);
    story_jump_mono(p->s, is_controller ? NULL : p->name[server], span_ms);
}

static void cut(struct play *p)
{
    static const enum stage_fault faults[] = {FAULT_cut_up, FAULT_cut_down, FAULT_cut_both};
    static const char *const ways[] = {"up", "down", "both"};
    size_t server = (size_t)sweep_below(p, p->name_n), way = (size_t)sweep_below(p, 3);
    story_cut_cable(p->s, p->name[server], (enum story_way)(1 + way));
    story_say(p->s, "the cable of %s is cut: %s", p->name[server], ways[way]);
    stage_mark_fault(p->s, faults[way]);
    lasts(p, SCRIPT_CUT, server, 1000 + (int64_t)sweep_below(p, 90000));
}

static void hold(struct play *p)
{
    static const enum message_type types[] =
        {MESSAGE_grant, MESSAGE_grant, MESSAGE_offer, MESSAGE_result, MESSAGE_hb, MESSAGE_claim};
    size_t server = (size_t)sweep_below(p, p->name_n),
           type = (size_t)sweep_below(p, CAS_COUNT(types));
    story_hold(p->s, p->name[server], types[type]);
    story_say(p->s, "every %s of %s waits", message_name(types[type]), p->name[server]);
    lasts(p, SCRIPT_HOLD, server, 1000 + (int64_t)sweep_below(p, 60000));
}

static void agent_dies(struct play *p)
{
    static const enum stage_fault faults[] = {[POINT_GRANT] = FAULT_dies_grant,
                                              [POINT_INTENT] = FAULT_dies_intent,
                                              [POINT_ACT] = FAULT_dies_act,
                                              [POINT_OUTCOME] = FAULT_dies_outcome,
                                              [POINT_NOW] = FAULT_dies_now};
    static const char *const words[] = {[POINT_GRANT] = "at its next GRANT",
                                        [POINT_INTENT] = "after its next INTENT",
                                        [POINT_ACT] = "after its next act",
                                        [POINT_OUTCOME] = "after its next outcome",
                                        [POINT_NOW] = "now"};
    size_t server = (size_t)sweep_below(p, p->name_n);
    enum story_point at = (enum story_point)(1 + sweep_below(p, POINT_NOW));
    if (at == POINT_NOW)
        stage_mark_fault(p->s, faults[at]); /* the others are marked where it happens */
    story_say(p->s, "the agent of %s is to die %s", p->name[server], words[at]);
    story_agent_dies(p->s, p->name[server], at, 200 + (int64_t)sweep_below(p, 20000));
}

static void host_fails(struct play *p)
{
    static const struct {
        const char *failure;
        enum stage_fault fault;
    } failures[] = {{"never-healthy", FAULT_host_never_healthy},
                    {"unchanged", FAULT_host_unchanged},
                    {"recycle-fails", FAULT_host_recycle_fails},
                    {"hangs", FAULT_host_hangs},
                    {"silent-after", FAULT_host_silent_after},
                    {"dies", FAULT_host_dies}};
    size_t server = (size_t)sweep_below(p, p->name_n),
           failure = (size_t)sweep_below(p, CAS_COUNT(failures));
    story_fails(p->s, p->name[server], failures[failure].failure);
    story_say(p->s, "%s is to fail: %s", p->name[server], failures[failure].failure);
    stage_mark_fault(p->s, failures[failure].fault);
    lasts(p, SCRIPT_HOST_FAILS, server, 20000 + (int64_t)sweep_below(p, 120000));
}

/* What was done is known to the agent and to the controller. No story takes it from both: then
 * nobody could know, and nothing is promised. */
static void journals_lost(struct play *p, const char *name)
{
    int64_t restart_ms = 200 + (int64_t)sweep_below(p, 20000);
    if (p->has_restored)
        return;
    p->has_lost_journals = true;
    stage_mark_fault(p->s, FAULT_journals);
    story_journals_lost(p->s, name, restart_ms);
}

static void on_server(struct play *p, enum script_kind kind)
{
    size_t server = (size_t)sweep_below(p, p->name_n);
    const char *name = p->name[server];
    if (kind == SCRIPT_SELF) {
        stage_mark_fault(p->s, FAULT_self);
        story_kill_worker(p->s, name);
    } else if (kind == SCRIPT_POWER) {
        stage_mark_fault(p->s, FAULT_power);
        story_say(p->s, "%s loses its power", name);
        story_power_fails(p->s, name, 200 + (int64_t)sweep_below(p, 20000));
    } else if (kind == SCRIPT_JOURNALS) {
        journals_lost(p, name);
    } else if (kind == SCRIPT_AGENT_STOPS) {
        stage_mark_fault(p->s, FAULT_agent_stopped);
        story_stops(p->s, name, 500 + (int64_t)sweep_below(p, 45000));
    } else {
        stage_mark_fault(p->s, FAULT_disk_agent);
        story_say(p->s, "the disk of %s is full", name);
        story_disk(p->s, name, true);
        lasts(p, SCRIPT_AGENT_DISK, server, 5000 + (int64_t)sweep_below(p, 90000));
    }
}

static void restore(struct play *p)
{
    if (p->has_lost_journals || (!p->has_backup && story_controller_is_stopped(p->s)))
        return; /* see journals_lost; nobody to ask for one */
    if (!p->has_backup) {
        story_backup(p->s);
        p->has_backup = true;
        story_say(p->s, "a backup is made");
        return;
    }
    p->has_restored = true;
    stage_mark_fault(p->s, FAULT_restore);
    if (!story_controller_is_dead(p->s))
        story_controller_dies(p->s, -1);
    story_restore(p->s);
    story_say(p->s, "the database goes back to the backup");
    story_controller_starts(p->s);
    p->has_backup = sweep_below(p, 2) == 0; /* the same one again, or a younger one */
}

static void on_controller(struct play *p, enum script_kind kind)
{
    int64_t restart_ms = 1000 + (int64_t)sweep_below(p, 40000);
    if (story_controller_is_dead(p->s))
        return;
    if (kind == SCRIPT_CONTROLLER_DIES) {
        stage_mark_fault(p->s, FAULT_controller_dies);
        story_controller_dies(p->s, restart_ms);
    } else if (kind == SCRIPT_CONTROLLER_COMMIT) {
        stage_mark_fault(p->s, FAULT_controller_dies_commit);
        story_controller_dies_after(p->s, 1 + sweep_below(p, 6), restart_ms);
    } else if (kind == SCRIPT_CONTROLLER_STOPS) {
        stage_mark_fault(p->s, FAULT_controller_stopped);
        story_stops(p->s, NULL, 500 + (int64_t)sweep_below(p, 45000));
    } else if (kind == SCRIPT_CONTROLLER_DISK) {
        stage_mark_fault(p->s, FAULT_disk_controller);
        story_say(p->s, "the controller's disk is full");
        story_controller_disk(p->s, true);
        lasts(p, SCRIPT_CONTROLLER_DISK, 0, 2000 + (int64_t)sweep_below(p, 60000));
    } else if (kind == SCRIPT_BACKUP && !story_controller_is_stopped(p->s)) {
        story_backup(p->s);
        p->has_backup = true;
        story_say(p->s, "a backup is made");
    } else if (kind == SCRIPT_RESTORE) {
        restore(p);
    }
}

static void usurp(struct play *p)
{
    if (story_controller_is_dead(p->s) || story_controller_is_stopped(p->s))
        return;
    stage_mark_fault(p->s, FAULT_usurp);
    story_say(p->s, "another controller takes the lead and is gone again");
    story_usurp(p->s);
    lasts(p, SCRIPT_USURP, 0, 8000);
}

static void apply(struct play *p, const struct script_event *event)
{
    p->dice = event->dice;
    switch (event->kind) {
    case SCRIPT_NETWORK:
        network(p);
        return;
    case SCRIPT_RUN:
        run(p);
        return;
    case SCRIPT_OPERATE:
        operate(p, false);
        return;
    case SCRIPT_INTRUDE:
        operate(p, true);
        return;
    case SCRIPT_REVOKE:
        revoke(p);
        return;
    case SCRIPT_CUT:
        cut(p);
        return;
    case SCRIPT_HOLD:
        hold(p);
        return;
    case SCRIPT_AGENT_DIES:
        agent_dies(p);
        return;
    case SCRIPT_HOST_FAILS:
        host_fails(p);
        return;
    case SCRIPT_POWER:
    case SCRIPT_JOURNALS:
    case SCRIPT_AGENT_STOPS:
    case SCRIPT_SELF:
    case SCRIPT_AGENT_DISK:
        on_server(p, event->kind);
        return;
    case SCRIPT_CONTROLLER_DIES:
    case SCRIPT_CONTROLLER_COMMIT:
    case SCRIPT_CONTROLLER_STOPS:
    case SCRIPT_CONTROLLER_DISK:
    case SCRIPT_BACKUP:
    case SCRIPT_RESTORE:
        on_controller(p, event->kind);
        return;
    case SCRIPT_USURP:
        usurp(p);
        return;
    case SCRIPT_WALL:
        wall(p);
        return;
    case SCRIPT_MONO:
        mono(p);
        return;
    case SCRIPT_SCHEDULE:
    case SCRIPT_CALENDAR:
        sweep_calendar(p, event->kind);
        return;
    }
}

/* Faults stop. What failed stays failed; what is under way must come to an end (L1). */
static void calm(struct play *p)
{
    struct story *s = p->s;
    story_say(s, "calm");
    story_net(s, &(struct story_net){.delay_ms = 2});
    story_controller_disk(s, false);
    story_jump_wall(s, NULL, -p->controller_off_ms);
    story_controller_dies_after(s, 0, -1);
    story_controller_starts(s);
    story_stops(s, NULL, 0);
    for (size_t i = 0; i < p->name_n; i++) {
        story_mend_cable(s, p->name[i]);
        story_release(s, p->name[i]);
        story_fails(s, p->name[i], "");
        story_disk(s, p->name[i], false);
        story_agent_dies(s, p->name[i], POINT_NONE, -1);
        story_agent_starts(s, p->name[i]);
        story_stops(s, p->name[i], 0);
        story_jump_wall(s, p->name[i], -p->off_ms[i]);
    }
    bool is_closed = p->schedule_n == 0; /* no window opens any more */
    for (int64_t end_ms = story_now(s) + CALM_MS; story_now(s) < end_ms;) {
        is_closed = is_closed || sweep_freeze(p, true);
        story_pass(s, CALM_STEP_MS);
        story_controller_starts(s); /* one that was fenced ends, and its service begins anew */
        if (story_is_settled(s))
            return;
    }
}

struct story *script_farm(const char *folder, size_t farm)
{
    struct story_settings settings = {.folder = folder,
                                      .start = "Tue 01:00",
                                      .seed = farm,
                                      .sample_ms = 60000,
                                      .has_no_holds = true,
                                      .commit_ms = 20 + (int64_t)(farm % 5) * 45};
    char name[SCRIPT_SERVERS][40];
    size_t name_n = 0;
    char names[2][256] = {"", ""};
    struct cas_text text[2] = {CAS_TEXT(names[0]), CAS_TEXT(names[1])};
    struct story *s = story_begin(&settings);
    names_fill(farm, name, &name_n);
    for (size_t i = 0; i < name_n; i++) {
        struct cas_text *to = &text[name[i][0] == 'L' ? 0 : 1];
        cas_text_add(to, "%s%s", to->used > 0 ? " " : "", name[i]);
    }
    story_site(s, "LON", names[0]);
    if (names[1][0] != '\0')
        story_site(s, "NYC", names[1]);
    if (farm == NEW_FARM)
        return s;
    /* All have been started anew once: what that takes is read and made, and not by each seed. */
    for (size_t i = 0; i < name_n; i++)
        story_agent_dies(s, name[i], POINT_NOW, 0);
    story_controller_dies(s, 0);
    for (size_t i = 0; i < name_n; i++)
        story_agent_starts(s, name[i]);
    story_controller_starts(s);
    story_pass(s, RESTART_MS);
    return s;
}

void script_play(const struct script *script, struct story *s)
{
    struct play p = {.s = s, .script = script};
    names_fill(script->farm, p.name, &p.name_n);
    story_reseed(s, script->seed);
    int64_t from_ms = story_now(s);
    for (size_t i = 0; i < script->event_n; i++) {
        pass_to(&p, from_ms + script->event[i].at_ms);
        apply(&p, &script->event[i]);
    }
    pass_to(&p, from_ms + script->span_ms);
    calm(&p);
    (void)story_check(s);
}

/* ---- shrinking ---- */

/* Without rows [from, from + n). */
static void without(const struct script *script, size_t from, size_t n, struct script *ret_script)
{
    *ret_script = *script;
    ret_script->event_n = script->event_n - n;
    memmove(&ret_script->event[from],
            &script->event[from + n],
            (script->event_n - from - n) * sizeof(script->event[0]));
}

size_t script_shrink(struct script *script, script_fails *still_fails, void *context)
{
    size_t played = 0;
    for (size_t n = script->event_n / 2; n > 0; n = n > 1 ? n / 2 : 0) {
        for (size_t from = 0; from + n <= script->event_n;) {
            struct script less;
            without(script, from, n, &less);
            played++;
            if (still_fails(context, &less))
                *script = less;
            else
                from += n;
        }
    }
    /* Trouble that ends sooner, and one more round of single rows. */
    while (script->event_n > 0 &&
           script->event[script->event_n - 1].at_ms + 30000 < script->span_ms) {
        struct script less = *script;
        less.span_ms = script->event[script->event_n - 1].at_ms + 30000;
        played++;
        if (!still_fails(context, &less))
            break;
        *script = less;
    }
    for (size_t from = 0; from < script->event_n;) {
        struct script less;
        without(script, from, 1, &less);
        played++;
        if (still_fails(context, &less))
            *script = less;
        else
            from++;
    }
    return played;
}
