#include "controller/controller_loop_room.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/store/store_schedule.h"
#include "proto/trust/sign.h"

enum {
    LATE_MS = 5 * 60 * 1000, /* a start missed by more is missed for good, as a rollout's */
    HEARD_MS = 60 * 1000,    /* agents try again at least so often */
    HEARD_SPARE_MS = 5000,
    CATCH_UP_MS = 7 * 24 * 60 * 60 * 1000, /* missed windows are told one by one so far back */
};

/* One window that has come, and what is made of it. */
struct turn {
    struct controller *c;
    struct cas_now now;
    struct store_schedule schedule;
    struct window_rule rule; /* by the clocks of where it opens */
    struct window_site site[WINDOW_SITES];
    size_t site_n; /* 0 when the window names its zone */
    struct store_schedule_run run;
    struct rollout_wish wish; /* the policy, in this window */
    struct rollout_actions actions;
    size_t *at; /* servers; owned */
    size_t n;
    bool is_told; /* its commit was tried: what came of that is told there */
    struct cas_why why;
};

static enum cas_err skip(struct turn *turn, const char *fmt, ...) CAS_PRINTF(2, 3);

/* Not an error: the window is over for it, and the words say why. */
static enum cas_err skip(struct turn *turn, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(turn->run.words, sizeof turn->run.words, fmt, args);
    va_end(args);
    turn->run.seq = 0;
    return CAS_OK;
}

/* ---- may it begin at all? ---- */

static enum cas_err check_blackouts(struct turn *turn, struct store_blackout *blackout)
{
    size_t n = 0;
    struct window_time time = {.start_ms = turn->schedule.start_ms,
                               .end_ms = turn->schedule.end_ms};
    enum cas_err err = store_blackouts_read(turn->c->store,
                                            time.start_ms,
                                            time.end_ms,
                                            SCHEDULE_BLACKOUTS,
                                            blackout,
                                            &n,
                                            &turn->why);
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        bool is_black = false;
        err = window_is_black(&turn->rule, &time, &blackout[i].dates, &is_black, &turn->why);
        if (err == CAS_OK && is_black)
            return skip(turn,
                        "skipped: blackout \"%s\" of %s",
                        blackout[i].dates.name,
                        blackout[i].calendar);
    }
    return err;
}

static enum cas_err skip_late(struct turn *turn, int64_t late_ms)
{
    const struct loop_leap *leap = &turn->c->leap;
    int64_t since_ms = turn->schedule.start_ms - leap->from_ms;
    char span[32] = "";
    struct cas_text text = CAS_TEXT(span);
    bool is_leapt = since_ms > 0 && since_ms <= leap->span_ms;
    cas_text_span(&text, is_leapt ? leap->span_ms : late_ms);
    return is_leapt ? skip(turn,
                           "skipped: missed, the clock leapt over its start, by %s; never late",
                           span)
                    : skip(turn,
                           "skipped: missed, it could not begin at its start, %s ago; never late",
                           span);
}

static enum cas_err check_calendar(struct turn *turn)
{
    int64_t late_ms = turn->now.wall_ms - turn->schedule.start_ms;
    if (turn->schedule.end_ms <= turn->schedule.start_ms)
        return skip(turn, "skipped: the clocks leap over all of this window");
    if (late_ms > LATE_MS)
        return skip_late(turn, late_ms);
    struct store_freeze freeze;
    enum cas_err err = store_freeze_load(turn->c->store, &freeze, &turn->why);
    if (err != CAS_OK)
        return err;
    if (freeze.is_on)
        return skip(turn,
                    "skipped: the farm is frozen by %s%s%s",
                    freeze.by,
                    freeze.reason[0] != '\0' ? ", " : "",
                    freeze.reason);
    struct store_blackout *blackout = malloc(SCHEDULE_BLACKOUTS * sizeof *blackout);
    if (blackout == NULL)
        return CAS_ERR_NOMEM;
    err = check_blackouts(turn, blackout);
    free(blackout);
    return err;
}

/* ---- how long does it take? ---- */

static int64_t wave_ms_of(const struct turn *turn, const struct rollout_draft *draft)
{
    int64_t p95_ms = rollout_p95_ms(turn->c->book, turn->schedule.policy.verb);
    int64_t rests_ms = ((int64_t)draft->wave_n - 1) * turn->schedule.policy.gap_ms;
    return p95_ms > 0 ? p95_ms : (draft->likely_ms - rests_ms) / (int64_t)draft->wave_n;
}

/* Waves that end before the window does. */
static size_t waves_that_fit(const struct turn *turn, int64_t wave_ms)
{
    int64_t left_ms = turn->schedule.end_ms - turn->now.wall_ms - wave_ms;
    if (left_ms < 0)
        return 0;
    return 1 + (size_t)(left_ms / (wave_ms + turn->schedule.policy.gap_ms));
}

/* ---- the plan ---- */

static enum cas_err
draft_of(struct turn *turn, const size_t *at, size_t n, bool is_ranking, struct rollout_draft *ret)
{
    struct rollout_wish wish = turn->wish;
    if (is_ranking) {
        wish.at_once = 1;
        wish.has_canary = false;
    }
    enum cas_err err = rollout_draft(turn->c->inventory,
                                     turn->c->book,
                                     at,
                                     n,
                                     &wish,
                                     turn->run.seq,
                                     turn->now,
                                     ret,
                                     &turn->why);
    /* A draft borrows these from its wish. */
    ret->body.pool = cas_slice_of(turn->wish.pool);
    ret->body.by = cas_slice_of(turn->wish.by);
    /* Whoever gets a new worker from the window's start on is credited. */
    ret->body.made_ms = turn->schedule.start_ms;
    return err;
}

/* The servers of a draft of waves of one: most urgent first. ret_at [n]. */
static enum cas_err ranked(const struct turn *turn,
                           const struct rollout_draft *draft,
                           size_t *ret_at,
                           struct cas_why *why)
{
    struct cas_slice left = draft->body.steps;
    size_t *found = calloc(inventory_size(turn->c->inventory) + 1, sizeof *found);
    size_t n = 0;
    enum cas_err err = found == NULL ? CAS_ERR_NOMEM : CAS_OK;
    while (err == CAS_OK && left.size > 0 && n < draft->server_n) {
        const char *end = memchr(left.data, ';', left.size);
        size_t size = end == NULL ? left.size : (size_t)(end - left.data);
        struct inventory_choice choice = {.targets = {left.data, size}};
        size_t found_n = 0;
        err =
            inventory_choose(turn->c->inventory, &choice, turn->now.mono_ms, found, &found_n, why);
        if (err == CAS_OK && found_n == 1)
            ret_at[n++] = found[0];
        size_t used = size + (end == NULL ? 0 : 1);
        left = (struct cas_slice){left.data + used, left.size - used};
    }
    free(found);
    return err;
}

/* ---- who is left out ---- */

enum detail {     /* of those left out: as much as there is room for */
    DETAIL_WORDS, /* names, and of one alone what was seen of it */
    DETAIL_REASONS,
    DETAIL_COUNTS,
    DETAIL_LEAST,
    DETAIL_END
};

/* Those left out for the same reason, together: "LON-CAS02 (has the fix: ...), LON-CAS[03-04]
 * (silent)". at [skip_n] is scratch. */
static void add_left_out(const struct turn *turn,
                         const struct rollout_draft *draft,
                         enum detail detail,
                         size_t *at,
                         struct cas_text *text)
{
    if (detail == DETAIL_LEAST) {
        cas_text_add(text, "%zu", draft->skip_n);
        return;
    }
    bool has_told[REASON_END] = {false};
    const char *joint = "";
    for (size_t i = 0; i < draft->skip_n; i++) {
        const struct rollout_skip *first = &draft->skip[i];
        size_t n = 0;
        if (has_told[first->reason])
            continue;
        has_told[first->reason] = true;
        for (size_t k = i; k < draft->skip_n; k++) {
            if (draft->skip[k].reason == first->reason)
                at[n++] = draft->skip[k].at;
        }
        cas_text_add(text, "%s", joint);
        if (detail == DETAIL_COUNTS)
            cas_text_add(text, "%zu", n);
        else
            inventory_fold(turn->c->inventory, at, n, text);
        cas_text_add(text,
                     " (%s)",
                     n == 1 && detail == DETAIL_WORDS ? first->words
                                                      : rollout_reason_words(first->reason));
        joint = ", ";
    }
}

/* The audit puts the site before them. */
static struct cas_text words_of(struct turn *turn)
{
    struct cas_text text = CAS_TEXT(turn->run.words);
    size_t site = strlen(turn->run.site);
    text.cap -= site > 0 ? site + 2 : 0;
    return text;
}

/* Behind what the words say already. */
static enum cas_err
tell_left_out(struct turn *turn, const struct rollout_draft *draft, const char *joint)
{
    size_t *at = calloc(draft->skip_n + 1, sizeof *at);
    size_t used = strlen(turn->run.words);
    if (at == NULL)
        return CAS_ERR_NOMEM;
    bool is_cut = draft->skip_n > 0;
    for (int detail = DETAIL_WORDS; is_cut && detail < DETAIL_END; detail++) {
        struct cas_text text = words_of(turn);
        text.used = used;
        cas_text_add(&text, "%s", joint);
        add_left_out(turn, draft, (enum detail)detail, at, &text);
        is_cut = text.is_cut;
    }
    free(at);
    return CAS_OK;
}

/* ---- the most urgent ---- */

/* The most urgent ones for as many waves as fit, those left out named in the words. */
static enum cas_err trim(struct turn *turn, size_t wave_most, struct rollout_draft *draft)
{
    struct rollout_draft ranking = {.skip_n = 0};
    size_t *order = calloc(turn->n + 1, sizeof *order);
    enum cas_err err =
        order == NULL ? CAS_ERR_NOMEM : draft_of(turn, turn->at, turn->n, true, &ranking);
    if (err == CAS_OK)
        err = ranked(turn, &ranking, order, &turn->why);
    size_t all_n = ranking.server_n;
    size_t kept_n = wave_most * turn->schedule.policy.at_once;
    if (kept_n > all_n)
        kept_n = all_n;
    /* A canary alone, or a site's floor, may make more waves of them: then fewer go. */
    while (err == CAS_OK && kept_n > 0) {
        rollout_draft_done(draft);
        err = draft_of(turn, order, kept_n, false, draft);
        if (err != CAS_OK || draft->wave_n <= wave_most)
            break;
        kept_n--;
    }
    if (err == CAS_OK) {
        struct cas_text text = words_of(turn);
        cas_text_clear(&text);
        cas_text_add(&text,
                     "the window is too short for all: the %zu most urgent go, left out ",
                     kept_n);
        inventory_fold(turn->c->inventory, order + kept_n, all_n - kept_n, &text);
        if (text.is_cut)
            (void)snprintf(turn->run.words,
                           sizeof turn->run.words,
                           "the window is too short for all: the %zu most urgent go, left out %zu",
                           kept_n,
                           all_n - kept_n);
        err = tell_left_out(turn, &ranking, "; also left out ");
    }
    rollout_draft_done(&ranking);
    free(order);
    return err;
}

static enum cas_err run_draft(struct turn *turn, const struct rollout_draft *draft)
{
    uint8_t *bytes = malloc(WIRE_PLAN_BYTES);
    uint8_t hash[CAS_HASH_BYTES];
    char reason[2 * CAS_NAME_BYTES + 16];
    size_t size = 0;
    if (bytes == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err =
        record_encode(RECORD_plan_body, &draft->body, bytes, WIRE_PLAN_BYTES, &size, &turn->why);
    struct cas_slice plan = {(const char *)bytes, size};
    (void)snprintf(reason,
                   sizeof reason,
                   "schedule %s%s%s",
                   turn->schedule.name,
                   turn->schedule.site[0] != '\0' ? ", " : "",
                   turn->schedule.site);
    if (err == CAS_OK) {
        sign_plan_hash(plan, hash);
        err = rollout_run(turn->c->book,
                          turn->c->inventory,
                          plan,
                          hash,
                          cas_slice_of(turn->schedule.policy.by),
                          cas_slice_of(reason),
                          turn->now,
                          &turn->actions,
                          &turn->why);
    }
    free(bytes);
    return err;
}

/* Fits, is trimmed, or is skipped because not one wave ends in the window. */
static enum cas_err fit(struct turn *turn, struct rollout_draft *draft)
{
    int64_t wave_ms = wave_ms_of(turn, draft);
    size_t wave_most = waves_that_fit(turn, wave_ms);
    if (wave_most == 0) {
        char wave[32] = "", left[32] = "";
        struct cas_text wave_text = CAS_TEXT(wave), left_text = CAS_TEXT(left);
        cas_text_span(&wave_text, wave_ms);
        cas_text_span(&left_text, turn->schedule.end_ms - turn->now.wall_ms);
        return skip(turn,
                    "skipped: one server takes %s (%s), the window ends in %s",
                    wave,
                    rollout_p95_ms(turn->c->book, turn->schedule.policy.verb) > 0 ? "19 times in 20"
                                                                                  : "estimated",
                    left);
    }
    enum cas_err err = CAS_OK;
    if (draft->wave_n > wave_most) {
        err = trim(turn, wave_most, draft);
    } else {
        (void)snprintf(turn->run.words,
                       sizeof turn->run.words,
                       "began with %zu servers",
                       draft->server_n);
        err = tell_left_out(turn, draft, "; left out ");
    }
    return err == CAS_OK ? run_draft(turn, draft) : err;
}

/* Those of the site whose window it is. */
static enum cas_err choose(struct turn *turn)
{
    return store_schedule_choose(&turn->schedule,
                                 turn->c->inventory,
                                 turn->schedule.site,
                                 turn->now.mono_ms,
                                 &turn->at,
                                 &turn->n,
                                 &turn->why);
}

static enum cas_err plan(struct turn *turn)
{
    struct rollout_draft draft = {.skip_n = 0};
    turn->wish = turn->schedule.policy;
    turn->wish.start_ms = turn->now.wall_ms;
    turn->wish.until_ms = turn->schedule.end_ms;
    /* A database that has gone back over the start begins the window once more, and its plan is
     * another one: who has a worker of this window was reached by the first. */
    int64_t begun_ms = turn->now.wall_ms - turn->schedule.start_ms + CLOCK_SKEW_MS;
    if (turn->wish.min_age_ms < begun_ms)
        turn->wish.min_age_ms = begun_ms;
    enum cas_err err = turn->at == NULL ? choose(turn) : CAS_OK;
    if (err == CAS_OK)
        err = store_rollout_next_seq(turn->c->store, &turn->run.seq, &turn->why);
    if (err == CAS_OK)
        err = draft_of(turn, turn->at, turn->n, false, &draft);
    if (err == CAS_OK) {
        err = fit(turn, &draft);
    } else if (err == CAS_ERR_GUARD && draft.server_n == 0 && draft.skip_n > 0) {
        err = skip(turn, "skipped: nothing to do");
        if (err == CAS_OK)
            err = tell_left_out(turn, &draft, "; left out ");
    }
    rollout_draft_done(&draft);
    return err;
}

/* ---- what becomes of it ---- */

/* A zone that the system has lost must not stop everything else. */
static enum cas_err arm(struct turn *turn, const struct window_cursor *after)
{
    struct store_schedule *schedule = &turn->schedule;
    enum cas_err err = store_schedule_arm(turn->c->store, schedule, after, &turn->why);
    if (err == CAS_OK || cas_err_reaction(err) != CAS_REACTION_REFUSE)
        return err;
    schedule->is_paused = true;
    schedule->start_ms = schedule->end_ms = 0;
    memset(schedule->site, 0, sizeof schedule->site);
    return CAS_OK;
}

static enum cas_err next_window(struct turn *turn)
{
    const struct store_schedule *schedule = &turn->schedule;
    struct window_cursor after = {.ms = schedule->start_ms, .site = schedule->site};
    if (turn->now.wall_ms - after.ms > CATCH_UP_MS)
        after = (struct window_cursor){.ms = turn->now.wall_ms - CATCH_UP_MS};
    return arm(turn, &after);
}

static enum cas_err keep(struct turn *turn)
{
    struct store_audit audit = {.at_ms = turn->now.wall_ms, .who = "casfleet"};
    bool has_begun = turn->run.seq > 0;
    (void)snprintf(audit.verb,
                   sizeof audit.verb,
                   "%s",
                   has_begun ? "schedule.began" : "schedule.skipped");
    (void)snprintf(audit.subject, sizeof audit.subject, "%s", turn->schedule.name);
    if (has_begun)
        (void)snprintf(audit.about, sizeof audit.about, "r-%04" PRIu64, turn->run.seq);
    struct cas_text words = CAS_TEXT(audit.words);
    if (turn->run.site[0] != '\0')
        cas_text_add(&words, "%s: ", turn->run.site);
    cas_text_add(&words, "%s", turn->run.words);
    enum cas_err err = next_window(turn);
    if (err == CAS_OK)
        err = store_schedule_save(turn->c->store, &turn->schedule, &turn->why);
    if (err == CAS_OK)
        err = store_schedule_run_add(turn->c->store, &turn->run, &turn->why);
    if (err != CAS_OK)
        return err;
    turn->is_told = true;
    err = loop_commit_change(turn->c, &turn->actions, &audit, turn->now, &turn->why);
    if (err == CAS_OK)
        log_event(has_begun ? EVENT_SCHEDULE_BEGAN : EVENT_SCHEDULE_SKIPPED,
                  "schedule=%s %s%s %s",
                  turn->schedule.name,
                  has_begun ? "id=" : "",
                  audit.about,
                  audit.words);
    return err;
}

/* The rule by the clocks of where it opens. */
static enum cas_err place(struct turn *turn)
{
    struct window_rule rule;
    enum cas_err err = window_parse(cas_slice_of(turn->schedule.window), &rule, &turn->why);
    if (err == CAS_OK && window_is_by_site(&rule))
        err = store_sites_read(turn->c->store, WINDOW_SITES, turn->site, &turn->site_n, &turn->why);
    if (err != CAS_OK)
        return err;
    turn->rule = rule;
    for (size_t i = 0; i < turn->site_n; i++) {
        if (strcmp(turn->site[i].name, turn->schedule.site) == 0)
            turn->rule = window_at_site(&rule, turn->site[i].zone);
    }
    return CAS_OK;
}

/* It opens in a site where it has no servers: that concerns nobody. */
static enum cas_err pass_by(struct turn *turn)
{
    enum cas_err err = next_window(turn);
    if (err == CAS_OK)
        err = store_schedule_save(turn->c->store, &turn->schedule, &turn->why);
    if (err != CAS_OK)
        return err;
    turn->is_told = true;
    return loop_commit_change(turn->c, &turn->actions, NULL, turn->now, &turn->why);
}

static void take_turn(struct turn *turn)
{
    struct controller *c = turn->c;
    turn->run = (struct store_schedule_run){.schedule_id = turn->schedule.id,
                                            .start_ms = turn->schedule.start_ms,
                                            .end_ms = turn->schedule.end_ms};
    memcpy(turn->run.name, turn->schedule.name, sizeof turn->run.name);
    memcpy(turn->run.site, turn->schedule.site, sizeof turn->run.site);
    enum cas_err err = place(turn);
    if (err == CAS_OK && turn->site_n > 0)
        err = choose(turn);
    bool is_nobodys = err == CAS_OK && turn->site_n > 0 && turn->n == 0;
    if (err == CAS_OK && !is_nobodys)
        err = check_calendar(turn);
    if (!is_nobodys && err == CAS_OK && turn->run.words[0] == '\0')
        err = plan(turn);
    /* Refused by what is, not by what is broken: that is why the window was skipped. */
    if (err != CAS_OK && cas_err_reaction(err) == CAS_REACTION_REFUSE) {
        turn->actions.n = 0;
        const char *words = turn->why.text[0] != '\0' ? turn->why.text : cas_err_words(err);
        err = skip(turn, "skipped: %s", words);
    }
    if (err == CAS_OK)
        err = is_nobodys ? pass_by(turn) : keep(turn);
    if (err == CAS_OK || turn->is_told)
        return;
    store_undo(c->store);
    if (turn->actions.n > 0 || rollout_book_is_torn(c->book))
        c->is_book_stale = loop_book_load(c, NULL) != CAS_OK;
    loop_stuck(c, err, turn->now, &turn->why);
}

/* ---- a clock that is set ---- */

/* The wall clock against the one that is never set: also where this machine slept. */
static void see_leap(struct controller *c, struct cas_now now)
{
    struct loop_leap *leap = &c->leap;
    int64_t span_ms =
        leap->is_seen ? (now.wall_ms - leap->seen.wall_ms) - (now.mono_ms - leap->seen.mono_ms) : 0;
    if (span_ms > CLOCK_SKEW_MS || span_ms < -CLOCK_SKEW_MS) {
        char words[32] = "";
        struct cas_text text = CAS_TEXT(words);
        cas_text_span(&text, span_ms);
        leap->from_ms = leap->seen.wall_ms;
        leap->span_ms = span_ms;
        log_event(EVENT_CLOCK_LEAPT, "by=%s", words);
    }
    leap->is_seen = true;
    leap->seen = now;
}

/* Set back behind what was dealt with: what comes from now on is to come, unless it has begun. */
static enum cas_err arm_again(struct turn *turn)
{
    struct controller *c = turn->c;
    struct store_schedule *schedule = &turn->schedule;
    struct store_schedule before = *schedule;
    struct window_cursor now = {.ms = turn->now.wall_ms};
    struct store_audit audit = {.at_ms = now.ms, .who = "casfleet", .verb = "schedule.armed"};
    enum cas_err err = arm(turn, &now);
    if (err == CAS_OK)
        err = store_schedule_save(c->store, schedule, &turn->why);
    if (err != CAS_OK)
        return err;
    memcpy(audit.subject, schedule->name, sizeof audit.subject);
    struct cas_text words = CAS_TEXT(audit.words);
    cas_text_add(&words,
                 "the clock was set back: next is %s%s",
                 schedule->site,
                 schedule->site[0] != '\0' ? " " : "");
    if (schedule->start_ms > 0)
        window_text_time(&words, schedule->start_ms, 0);
    else
        cas_text_add(&words, "none");
    bool is_another =
        before.start_ms != schedule->start_ms || strcmp(before.site, schedule->site) != 0;
    turn->is_told = true;
    err = loop_commit_change(c, &turn->actions, is_another ? &audit : NULL, turn->now, &turn->why);
    if (err == CAS_OK && is_another)
        log_event(EVENT_SCHEDULE_ARMED, "schedule=%s %s", schedule->name, audit.words);
    return err;
}

static void take_again(struct turn *turn)
{
    enum cas_err err = arm_again(turn);
    if (err == CAS_OK || turn->is_told)
        return;
    store_undo(turn->c->store);
    loop_stuck(turn->c, err, turn->now, &turn->why);
}

/* Which one is to be looked at, and until when none is? *ret_is_back: it was armed by a clock that
 * was ahead. */
static enum cas_err find(struct controller *c, struct turn *turn, bool *ret_has, bool *ret_is_back)
{
    struct store_schedule furthest;
    bool has = false, has_first = false;
    enum cas_err err = store_schedule_furthest(c->store, &furthest, &has, &turn->why);
    if (err == CAS_OK)
        err = store_schedule_first(c->store, &turn->schedule, &has_first, &turn->why);
    if (err != CAS_OK)
        return err;
    c->is_schedule_known = true;
    c->armed_ms = has ? furthest.armed_ms : INT64_MIN;
    c->schedule_ms = has_first ? turn->schedule.start_ms : INT64_MAX;
    *ret_is_back = turn->now.wall_ms < c->armed_ms;
    if (*ret_is_back)
        turn->schedule = furthest;
    *ret_has = *ret_is_back || turn->now.wall_ms >= c->schedule_ms;
    return CAS_OK;
}

void loop_schedules(struct controller *c, struct cas_now now)
{
    see_leap(c, now);
    if (c->is_schedule_known && now.wall_ms < c->schedule_ms && now.wall_ms >= c->armed_ms)
        return;
    struct turn turn = {.c = c, .now = now};
    bool has = false, is_back = false;
    enum cas_err err = find(c, &turn, &has, &is_back);
    if (err != CAS_OK) {
        loop_stuck(c, err, now, &turn.why);
        return;
    }
    /* After a start of ours the agents come back one by one: who is not heard yet is not left out.
     */
    bool is_young = now.mono_ms - c->started.mono_ms < HEARD_MS;
    if (!has || (!is_back && is_young && now.wall_ms - c->schedule_ms < LATE_MS - HEARD_SPARE_MS))
        return;
    /* A window that begins stands alone in its commit, as an operator's change does. */
    if (c->is_gathering && loop_commit_group(c, now, NULL) != CAS_OK)
        return;
    c->is_schedule_known = false;
    c->is_core_due = true;
    if (is_back)
        take_again(&turn);
    else
        take_turn(&turn);
    rollout_actions_done(&turn.actions);
    free(turn.at);
}
