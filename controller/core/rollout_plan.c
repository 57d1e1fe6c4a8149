#include "controller/core/rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/rollout_inside.h"

enum {
    DAY_MS = 24 * 60 * 60 * 1000,
    WINDOW_MS = 12 * 60 * 60 * 1000, /* until_ms when the wish names none */
    STEPS_BYTES = 49152,             /* as in messages.def */
    ACT_LIKELY_MS = 15 * 1000,       /* an overlapped recycle of a pool */
    ANSWER_LIKELY_MS = 1000,
    HISTORY_LEAST = 5, /* proved turns from which their 95th percentile is taken */
    HISTORY_MOST = 4096,
};

/* One server on its way into a plan. */
struct candidate {
    const struct inventory_server *server;
    size_t at;
    double urgency;
    bool has_requests;
    double requests;
    uint32_t group;
    bool is_taken;
};
struct drafting {
    const struct inventory *inventory;
    const struct rollout_book *book;
    const struct rollout_wish *wish;
    struct cas_now now;
    struct rollout_draft *draft;
    struct candidate *candidate;
    size_t n;
    size_t *wave; /* [n] positions in the inventory of the wave being made */
    uint32_t in_wave[CAS_COUNT(((struct rollout_draft *)0)->floor)];
    struct cas_text steps;
};

void rollout_wish_default(struct rollout_wish *ret_wish, struct cas_now now)
{
    *ret_wish = (struct rollout_wish){
        .verb = VERB_recycle,
        .pool = "MSExchangeSyncAppPool",
        .start_ms = now.wall_ms,
        .until_ms = 0,
        .at_once = 1,
        .gap_ms = 10 * 60 * 1000,
        .settle_ms = 25 * 60 * 1000,
        .drain_ms = 5 * 60 * 1000,
        .act_ms = 2 * 60 * 1000,
        .proof_ms = 5 * 60 * 1000,
        .healthy_n = 3,
        .stop_after = 1,
        .floor_pct = 75,
        .has_canary = true,
    };
}

void rollout_draft_done(struct rollout_draft *draft)
{
    free(draft->steps);
    free(draft->skip);
    *draft = (struct rollout_draft){0};
}

static enum cas_err
check_number(const char *name, int64_t value, int64_t least, int64_t most, struct cas_why *why)
{
    if (value >= least && value <= most)
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_RANGE,
                    "%s is %lld; %lld to %lld",
                    name,
                    (long long)value,
                    (long long)least,
                    (long long)most);
}

/* The limits of record plan_body, told before anything is worked out. */
static enum cas_err check_wish(const struct rollout_wish *wish, struct cas_why *why)
{
    const struct {
        const char *name;
        int64_t value, least, most;
    } numbers[] = {
        {"at-once", wish->at_once, 1, ROLLOUT_SERVERS},
        {"gap (ms)", wish->gap_ms, 0, DAY_MS},
        {"settle (ms)", wish->settle_ms, wish->gap_ms, DAY_MS},
        {"drain (ms)", wish->drain_ms, 0, 3600000},
        {"act (ms)", wish->act_ms, 1000, 3600000},
        {"proof (ms)", wish->proof_ms, 1000, DAY_MS},
        {"healthy", wish->healthy_n, 1, 100},
        {"stop-after", wish->stop_after, 1, 4096},
        {"floor (%)", wish->floor_pct, 0, 100},
    };
    for (size_t i = 0; i < CAS_COUNT(numbers); i++) {
        enum cas_err err =
            check_number(numbers[i].name, numbers[i].value, numbers[i].least, numbers[i].most, why);
        if (err != CAS_OK)
            return err;
    }
    if (verb_name(wish->verb) == NULL)
        return cas_fail(why, CAS_ERR_UNSUPPORTED, "there is no verb %d", (int)wish->verb);
    if (wish->until_ms != 0 && wish->until_ms <= wish->start_ms)
        return cas_fail(why, CAS_ERR_RANGE, "the window ends before it begins");
    return CAS_OK;
}

static bool takes_out(const struct rollout_wish *wish)
{
    return wish->verb == VERB_recycle || wish->verb == VERB_drain;
}

/* ---- who is left out, and why ---- */

static const struct rollout *find_other(const struct rollout_book *book, uint32_t server_id)
{
    const struct rollout_ref *ref = rollout_refs_of(book, server_id);
    for (; ref != NULL; ref = rollout_refs_next(book, ref)) {
        const struct rollout *other = &ref->entry->open;
        const struct rollout_step *step = &other->step[ref->step];
        bool is_waiting = rollout_is_open(other) && !other->is_ending &&
                          (step->state == STEP_PENDING || step->state == STEP_CANCELLED);
        if (rollout_takes_out(other) &&
            (is_waiting || rollout_is_under_way(step) || step->holds_slot))
            return other;
    }
    return NULL;
}

static enum rollout_reason skip_by_state(const struct drafting *drafting,
                                         const struct inventory_server *server,
                                         struct cas_text *words)
{
    const struct inventory_live *live = &server->live;
    bool is_recycle = drafting->wish->verb == VERB_recycle;

    switch (inventory_service_of(server, drafting->now.mono_ms)) {
    case SERVICE_REVOKED:
        cas_text_add(words, "revoked");
        return REASON_REVOKED;
    case SERVICE_SILENT:
        cas_text_add(words, "silent");
        if (live->heard_ms == 0)
            cas_text_add(words, ", never heard of");
        else if (live->heard_ms <= drafting->now.wall_ms) {
            cas_text_add(words, ", last heard of ");
            cas_text_span(words, drafting->now.wall_ms - live->heard_ms);
            cas_text_add(words, " ago");
        }
        return REASON_SILENT;
    case SERVICE_MAINTENANCE:
        if (!takes_out(drafting->wish))
            break;
        cas_text_add(words, "in maintenance: %s", live->maintenance);
        return REASON_MAINTENANCE;
    case SERVICE_DRAINED:
        if (!is_recycle)
            break;
        cas_text_add(words, "drained");
        return REASON_DRAINED;
    case SERVICE_UNPROBED:
        if (!is_recycle)
            break;
        cas_text_add(words, "health is not known");
        if (live->health_reason[0] != '\0')
            cas_text_add(words, ": %s", live->health_reason);
        return REASON_NO_DATA;
    case SERVICE_SICK:
    case SERVICE_UP:
        break;
    }
    if (!inventory_is_held(server))
        return REASON_NONE;
    inventory_held_words(server, words);
    return REASON_HELD;
}

/* The fix ends the leak from the next worker on, so a worker that leaks is recycled all the same.
 */
static enum rollout_reason skip_by_need(const struct drafting *drafting,
                                        const struct inventory_server *server,
                                        struct cas_text *words)
{
    const struct rollout_wish *wish = drafting->wish;
    int64_t wall_ms = drafting->now.wall_ms;
    int64_t age_ms = inventory_worker_age_ms(server, wall_ms);
    enum need_leak leak = need_leak_of(server, wall_ms, NULL);
    bool is_fixed = server->has_build && compliance_has_fix(&server->build) == COMPLIANCE_HAS;
    if (is_fixed && !wish->is_fixed_too && leak != LEAK_SIGNS) {
        cas_text_add(words, "has the fix: ");
        compliance_name(&server->build, words);
        cas_text_add(words, "; ");
        (void)need_leak_of(server, wall_ms, words);
        return REASON_FIXED;
    }
    if (age_ms >= 0 && age_ms < wish->min_age_ms) {
        cas_text_add(words, "recycled ");
        cas_text_span(words, age_ms);
        cas_text_add(words, " ago%s", rollout_is_ours(drafting->book, server) ? "" : " by itself");
        return REASON_YOUNG;
    }
    if (wish->is_just_in_time && leak == LEAK_NONE) {
        (void)need_leak_of(server, wall_ms, words);
        return REASON_NO_LEAK;
    }
    enum need_ram ram = need_ram_of(server, wall_ms, NULL);
    bool is_short = ram == RAM_SHORT && wish->ram != PLAN_RAM_ANY;
    if (!is_short && !(ram == RAM_UNKNOWN && wish->ram == PLAN_RAM_KNOWN))
        return REASON_NONE;
    (void)need_ram_of(server, wall_ms, words);
    cas_text_add(words, "; --ram any takes it all the same");
    return REASON_RAM;
}

static enum rollout_reason skip_of(const struct drafting *drafting,
                                   const struct inventory_server *server,
                                   struct cas_text *words)
{
    enum rollout_reason reason = skip_by_state(drafting, server, words);
    if (reason != REASON_NONE)
        return reason;
    const struct rollout *other =
        takes_out(drafting->wish) ? find_other(drafting->book, server->id) : NULL;
    if (other != NULL) {
        cas_text_add(words,
                     "is in r-%04llu, which is %s",
                     (unsigned long long)other->seq,
                     rollout_state_words(other->state));
        return REASON_SLOT;
    }
    return drafting->wish->verb == VERB_recycle ? skip_by_need(drafting, server, words)
                                                : REASON_NONE;
}

/* ---- who is urgent, who is busy ---- */

static double reading(const struct inventory_server *server, enum symptom symptom)
{
    const struct inventory_value *value = &server->value[symptom];
    return value->at_ms != 0 && value->is_known && value->value > 0 ? value->value : 0;
}

static double share(double value, double full, double weight)
{
    if (full <= 0 || value <= 0)
        return 0;
    return value >= full ? weight : weight * value / full;
}

static bool is_recent(int64_t event_ms, int64_t wall_ms)
{
    return event_ms != 0 && wall_ms - event_ms < DAY_MS && event_ms - wall_ms < DAY_MS;
}

/* How near a server is to the end that KB 4456227 describes, as one number. Heaviest first: it is
 * there (sick; 4231, no port left; 4227, hardly one), ports used of those there are, connections
 * nobody closes, then what comes before that: stranded requests, and the worker's age. */
static double urgency_of(const struct inventory_server *server, struct cas_now now)
{
    double urgency = 0;
    double ports = reading(server, SYMPTOM_ports_total);

    if (inventory_service_of(server, now.mono_ms) == SERVICE_SICK)
        urgency += 1000;
    if (is_recent(server->event_4231_ms, now.wall_ms) || reading(server, SYMPTOM_events_4231) > 0)
        urgency += 500;
    if (is_recent(server->event_4227_ms, now.wall_ms) || reading(server, SYMPTOM_events_4227) > 0)
        urgency += 250;
    urgency += share(reading(server, SYMPTOM_ports_used), ports, 200);
    urgency += share(reading(server, SYMPTOM_close_wait), ports > 0 ? ports / 10 : 1638, 100);
    urgency += share(reading(server, SYMPTOM_stranded_requests), 1000, 60);
    urgency += share(reading(server, SYMPTOM_active_requests), 20000, 40);
    urgency += share(reading(server, SYMPTOM_worker_age), 14.0 * DAY_MS, 30);
    return urgency;
}

static int compare_urgency(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;
    if (a->urgency > b->urgency)
        return -1;
    if (a->urgency < b->urgency)
        return 1;
    return a->at < b->at ? -1 : 1;
}

/* The least busy of those in service: if the plan is wrong for all, it harms the fewest. */
static size_t find_canary(const struct drafting *drafting)
{
    size_t best = drafting->n;
    for (size_t i = 0; i < drafting->n; i++) {
        const struct candidate *one = &drafting->candidate[i];
        if (inventory_service_of(one->server, drafting->now.mono_ms) != SERVICE_UP)
            continue;
        if (best == drafting->n) {
            best = i;
            continue;
        }
        const struct candidate *least = &drafting->candidate[best];
        bool is_less =
            one->has_requests && (!least->has_requests || one->requests < least->requests);
        bool is_same = one->has_requests == least->has_requests &&
                       (!one->has_requests || !(one->requests > least->requests));
        if (is_less || (is_same && one->at < least->at))
            best = i;
    }
    return best == drafting->n ? 0 : best;
}

static void take_requests(const struct inventory_server *server, struct candidate *ret_candidate)
{
    const struct inventory_value *value = &server->value[SYMPTOM_active_requests];
    ret_candidate->has_requests =
        server->live.has_requests || (value->at_ms != 0 && value->is_known);
    ret_candidate->requests =
        server->live.has_requests ? server->live.active_requests : value->value;
}

/* ---- groups ---- */

static bool group_of(struct rollout_draft *draft, const char *site, uint32_t *ret_group)
{
    size_t at = 0;
    while (at < draft->floor_n && strcmp(draft->floor[at].group, site) != 0)
        at++;
    if (at == CAS_COUNT(draft->floor))
        return false;
    if (at == draft->floor_n) {
        memcpy(draft->floor[at].group, site, LABEL_BYTES);
        draft->floor_n++;
    }
    *ret_group = (uint32_t)at;
    return true;
}

static void count_groups(struct drafting *drafting)
{
    struct rollout_draft *draft = drafting->draft;
    size_t size = inventory_size(drafting->inventory);

    for (size_t i = 0; i < size; i++) {
        const struct inventory_server *server = inventory_at(drafting->inventory, i);
        if (server->admission == ADMISSION_REVOKED)
            continue;
        for (size_t g = 0; g < draft->floor_n; g++) {
            if (strcmp(draft->floor[g].group, server->label[LABEL_SITE]) == 0)
                draft->floor[g].server_n++;
        }
    }
    for (size_t g = 0; g < draft->floor_n; g++) {
        draft->floor[g].may_be_out =
            takes_out(drafting->wish)
                ? rollout_may_be_out(draft->floor[g].server_n, drafting->wish->floor_pct)
                : draft->floor[g].server_n;
        draft->floor[g].out_now = rollout_out_now(drafting->book,
                                                  drafting->inventory,
                                                  draft->floor[g].group,
                                                  drafting->now.mono_ms);
    }
}

/* ---- choosing ---- */

static void
add_skip(struct drafting *drafting, size_t at, enum rollout_reason reason, const char *words)
{
    struct rollout_draft *draft = drafting->draft;
    struct rollout_skip *skip = &draft->skip[draft->skip_n++];
    skip->at = at;
    skip->reason = reason;
    (void)snprintf(skip->words, sizeof skip->words, "%s", words);
}

static enum cas_err
choose(struct drafting *drafting, const size_t *at, size_t n, struct cas_why *why)
{
    for (size_t i = 0; i < n; i++) {
        const struct inventory_server *server = inventory_at(drafting->inventory, at[i]);
        char text[sizeof drafting->draft->skip->words];
        struct cas_text words = CAS_TEXT(text);
        cas_text_clear(&words);
        enum rollout_reason reason = skip_of(drafting, server, &words);
        if (reason != REASON_NONE) {
            add_skip(drafting, at[i], reason, text);
            continue;
        }
        if (drafting->n >= ROLLOUT_SERVERS)
            return cas_fail(why,
                            CAS_ERR_TOO_MANY,
                            "more than %d servers in a plan",
                            ROLLOUT_SERVERS);
        struct candidate *candidate = &drafting->candidate[drafting->n++];
        candidate->server = server;
        candidate->at = at[i];
        candidate->urgency = urgency_of(server, drafting->now);
        take_requests(server, candidate);
        if (!group_of(drafting->draft, server->label[LABEL_SITE], &candidate->group))
            return cas_fail(why,
                            CAS_ERR_TOO_MANY,
                            "more than %zu sites in a plan",
                            CAS_COUNT(drafting->draft->floor));
        drafting->draft->floor[candidate->group].planned_n++;
    }
    return CAS_OK;
}

static int compare_places(const void *left, const void *right)
{
    size_t a = *(const size_t *)left;
    size_t b = *(const size_t *)right;
    return a < b ? -1 : a > b;
}

static enum cas_err end_wave(struct drafting *drafting, size_t wave_n, struct cas_why *why)
{
    struct rollout_draft *draft = drafting->draft;

    qsort(drafting->wave, wave_n, sizeof *drafting->wave, compare_places);
    if (draft->wave_n > 0)
        cas_text_add(&drafting->steps, ";");
    inventory_fold(drafting->inventory, drafting->wave, wave_n, &drafting->steps);
    if (drafting->steps.is_cut)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "the plan's steps are longer than %d bytes: plan fewer servers at a time",
                        STEPS_BYTES);
    draft->wave_n++;
    for (size_t g = 0; g < draft->floor_n; g++) {
        if (drafting->in_wave[g] > draft->floor[g].at_once_worst)
            draft->floor[g].at_once_worst = drafting->in_wave[g];
    }
    memset(drafting->in_wave, 0, sizeof drafting->in_wave);
    return CAS_OK;
}

static void take(struct drafting *drafting, size_t at, size_t *wave_n)
{
    struct candidate *candidate = &drafting->candidate[at];
    candidate->is_taken = true;
    /* Who is out as it is counts in out_now already. */
    if (!rollout_is_out(drafting->book, candidate->server, drafting->now.mono_ms))
        drafting->in_wave[candidate->group]++;
    drafting->wave[(*wave_n)++] = candidate->at;
}

/* Most urgent first; who would not fit beside the others of its site waits for the next wave. */
static enum cas_err make_wave(struct drafting *drafting, size_t *from, struct cas_why *why)
{
    size_t wave_n = 0;
    while (*from < drafting->n && drafting->candidate[*from].is_taken)
        (*from)++;
    for (size_t i = *from; i < drafting->n && wave_n < drafting->wish->at_once; i++) {
        const struct candidate *candidate = &drafting->candidate[i];
        uint32_t most = drafting->draft->floor[candidate->group].may_be_out;
        if (!candidate->is_taken && drafting->in_wave[candidate->group] < (most > 0 ? most : 1))
            take(drafting, i, &wave_n);
    }
    return wave_n == 0 ? CAS_OK : end_wave(drafting, wave_n, why);
}

static enum cas_err make_waves(struct drafting *drafting, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    size_t from = 0;
    size_t left = drafting->n;

    if (drafting->wish->has_canary && drafting->n > 1) {
        size_t wave_n = 0;
        take(drafting, find_canary(drafting), &wave_n);
        err = end_wave(drafting, wave_n, why);
        left--;
    }
    while (err == CAS_OK && left > 0) {
        size_t before = drafting->draft->wave_n;
        err = make_wave(drafting, &from, why);
        left = 0;
        for (size_t i = from; i < drafting->n; i++)
            left += drafting->candidate[i].is_taken ? 0 : 1;
        CAS_ASSERT(err != CAS_OK || drafting->draft->wave_n > before || left == 0);
    }
    return err;
}

/* ---- what it will take ---- */

static void estimate(struct drafting *drafting)
{
    const struct rollout_wish *wish = drafting->wish;
    struct rollout_draft *draft = drafting->draft;
    int64_t wave_n = (int64_t)draft->wave_n;
    int64_t rest_n = wave_n > 0 ? wave_n - 1 : 0;
    bool is_recycle = wish->verb == VERB_recycle;
    int64_t probes_ms = is_recycle ? (int64_t)wish->healthy_n * TICK_MS : TICK_MS;
    int64_t likely_ms = ANSWER_LIKELY_MS + (wish->drain_ms + 3) / 4 + probes_ms +
                        (wish->act_ms < ACT_LIKELY_MS ? wish->act_ms : ACT_LIKELY_MS);
    int64_t worst_ms = CLAIM_WAIT_MS + wish->drain_ms + wish->act_ms + wish->proof_ms;

    draft->likely_ms = wave_n * likely_ms + rest_n * wish->gap_ms;
    draft->worst_ms = wave_n * worst_ms + rest_n * wish->settle_ms;
    draft->fits = draft->body.start_ms + draft->likely_ms <= draft->body.until_ms;
}

static enum cas_err check_floors(const struct drafting *drafting, struct cas_why *why)
{
    struct rollout_draft *draft = drafting->draft;
    enum cas_err err = CAS_OK;

    for (size_t g = 0; g < draft->floor_n; g++) {
        uint32_t left = draft->floor[g].may_be_out > draft->floor[g].out_now
                            ? draft->floor[g].may_be_out - draft->floor[g].out_now
                            : 0;
        draft->floor[g].holds = !takes_out(drafting->wish) || draft->floor[g].at_once_worst <= left;
        if (takes_out(drafting->wish) && draft->floor[g].may_be_out == 0 && err == CAS_OK)
            err = cas_fail(why,
                           CAS_ERR_GUARD,
                           "%s has %u servers and a floor of %u %%: not one may be out",
                           draft->floor[g].group[0] == '\0' ? "the group without a site"
                                                            : draft->floor[g].group,
                           draft->floor[g].server_n,
                           drafting->wish->floor_pct);
    }
    return err;
}

static void fill_body(struct drafting *drafting, uint64_t seq)
{
    const struct rollout_wish *wish = drafting->wish;

    drafting->draft->body = (struct record_plan_body){
        .rollout_seq = seq,
        .verb = (uint64_t)wish->verb,
        .pool = cas_slice_of(wish->pool),
        .made_ms = drafting->now.wall_ms,
        .start_ms = wish->start_ms,
        .until_ms = wish->until_ms != 0 ? wish->until_ms : wish->start_ms + WINDOW_MS,
        .at_once = wish->at_once,
        .gap_ms = (uint64_t)wish->gap_ms,
        .settle_ms = (uint64_t)wish->settle_ms,
        .drain_ms = (uint64_t)wish->drain_ms,
        .act_ms = (uint64_t)wish->act_ms,
        .proof_ms = (uint64_t)wish->proof_ms,
        .healthy_n = wish->healthy_n,
        .stop_after = wish->stop_after,
        .floor_pct = wish->floor_pct,
        .has_ram = wish->ram != PLAN_RAM_FIT,
        .ram = (uint64_t)wish->ram,
        .by = cas_slice_of(wish->by),
        .steps = {drafting->draft->steps, drafting->steps.used},
    };
}

static enum cas_err
draft_all(struct drafting *drafting, const size_t *at, size_t n, uint64_t seq, struct cas_why *why)
{
    struct rollout_draft *draft = drafting->draft;
    enum cas_err err = choose(drafting, at, n, why);
    if (err != CAS_OK)
        return err;
    count_groups(drafting);
    qsort(drafting->candidate, drafting->n, sizeof *drafting->candidate, compare_urgency);
    err = make_waves(drafting, why);
    if (err != CAS_OK)
        return err;

    draft->server_n = drafting->n;
    for (size_t i = 0; i < drafting->n; i++) {
        enum inventory_service service =
            inventory_service_of(drafting->candidate[i].server, drafting->now.mono_ms);
        draft->answering_n += service != SERVICE_SILENT && service != SERVICE_REVOKED ? 1 : 0;
    }
    fill_body(drafting, seq);
    estimate(drafting);
    if (draft->server_n == 0)
        return cas_fail(why,
                        CAS_ERR_GUARD,
                        "nothing to do: %zu chosen, all left out",
                        draft->skip_n);
    return check_floors(drafting, why);
}

enum cas_err rollout_draft(const struct inventory *inventory,
                           const struct rollout_book *book,
                           const size_t *at,
                           size_t n,
                           const struct rollout_wish *wish,
                           uint64_t seq,
                           struct cas_now now,
                           struct rollout_draft *ret_draft,
                           struct cas_why *why)
{
    enum cas_err err = check_wish(wish, why);
    if (err != CAS_OK)
        return err;
    struct rollout_draft draft = {0};
    struct drafting drafting = {.inventory = inventory,
                                .book = book,
                                .wish = wish,
                                .now = now,
                                .draft = &draft};
    draft.steps = calloc(1, STEPS_BYTES + 1);
    draft.skip = calloc(n + 1, sizeof *draft.skip);
    drafting.candidate = calloc(n + 1, sizeof *drafting.candidate);
    drafting.wave = calloc(n + 1, sizeof *drafting.wave);
    drafting.steps = (struct cas_text){.data = draft.steps, .cap = STEPS_BYTES + 1};
    if (draft.steps == NULL || draft.skip == NULL || drafting.candidate == NULL ||
        drafting.wave == NULL)
        err = CAS_ERR_NOMEM;
    else
        err = draft_all(&drafting, at, n, seq, why);
    free(drafting.candidate);
    free(drafting.wave);
    /* A guard's refusal shows the plan it refuses. */
    if (err != CAS_OK && err != CAS_ERR_GUARD) {
        rollout_draft_done(&draft);
        return err;
    }
    *ret_draft = draft;
    return err;
}

static int compare_spans(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

int64_t rollout_p95_ms(const struct rollout_book *book, enum verb verb)
{
    int64_t *span = calloc(HISTORY_MOST, sizeof *span);
    size_t n = 0;
    for (size_t i = rollout_book_size(book); span != NULL && i > 0; i--) {
        const struct rollout *rollout = rollout_at(book, i - 1);
        bool is_same = rollout->body.verb == (uint64_t)verb;
        for (size_t s = 0; is_same && s < rollout->step_n && n < HISTORY_MOST; s++) {
            const struct rollout_step *step = &rollout->step[s];
            /* What was proved hours late says when it was looked at, not how long a turn takes. */
            bool is_usual = step->state == STEP_CLOSED && step->reason != REASON_LATE_PROOF;
            if (is_usual && step->closed_ms > step->reserved_ms)
                span[n++] = step->closed_ms - step->reserved_ms;
        }
    }
    int64_t p95_ms = 0;
    if (n >= HISTORY_LEAST) {
        qsort(span, n, sizeof *span, compare_spans);
        p95_ms = span[(n * 95 + 99) / 100 - 1];
    }
    free(span);
    return p95_ms;
}
