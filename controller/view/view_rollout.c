#include <stdlib.h>
#include <string.h>

#include "controller/view/view_json.h"

static uint32_t waves_of(const struct rollout *rollout)
{
    uint32_t waves = 0;
    for (size_t i = 0; i < rollout->step_n; i++) {
        if (rollout->step[i].wave > waves)
            waves = rollout->step[i].wave;
    }
    return waves;
}

static void step_evidence(json_t *item, const struct rollout_evidence *evidence)
{
    view_set_time(item, "intent_ms", evidence->intent_ms);
    view_set_time(item, "drained_ms", evidence->drained_ms);
    view_set_time(item, "acted_ms", evidence->acted_ms);
    view_set_time(item, "done_ms", evidence->done_ms);
    bool has_before = evidence->pid_before != 0, has_after = evidence->pid_after != 0;
    json_t *before = has_before ? json_integer(evidence->pid_before) : json_null();
    json_t *after = has_after ? json_integer(evidence->pid_after) : json_null();
    json_object_set_new(item, "pid_before", before);
    json_object_set_new(item, "pid_after", after);
    bool has = evidence->has_requests;
    json_t *requests = has ? json_real(evidence->requests_before) : json_null();
    json_t *drained = has ? json_real(evidence->requests_drained) : json_null();
    json_object_set_new(item, "requests_before", requests);
    json_object_set_new(item, "requests_drained", drained);
    view_set_text(item, "text", evidence->text);
}

static json_t *step_json(const struct view_scene *scene,
                         const struct rollout *rollout,
                         const struct rollout_step *step)
{
    json_t *item = json_object();
    const struct inventory_server *server = inventory_by_id(scene->inventory, step->server_id);
    view_set_text(item, "server", server == NULL ? "(gone)" : server->name);
    view_set_count(item, "wave", step->wave);
    view_set_count(item, "attempt", step->attempt);
    view_set_text(item, "state", rollout_step_words(step->state));
    bool has_reason = step->reason != REASON_NONE;
    json_object_set_new(item, "reason", json_integer((json_int_t)step->reason));
    view_set_text(item, "words", has_reason ? rollout_reason_words(step->reason) : NULL);
    json_object_set_new(item, "holds_slot", json_boolean(step->holds_slot));
    view_set_count(item, "good_n", step->good_n);
    view_set_count(item, "healthy_n", (size_t)rollout->body.healthy_n);
    char command[2 * CAS_ID_BYTES + 1];
    cas_hex(step->cmd_id, CAS_ID_BYTES, command);
    view_set_text(item, "command", command);
    view_set_time(item, "reserved_ms", step->reserved_ms);
    view_set_time(item, "granted_ms", step->granted_ms);
    view_set_time(item, "result_ms", step->result_ms);
    view_set_time(item, "closed_ms", step->closed_ms);
    step_evidence(item, &step->evidence);
    view_set_text(item, "note", step->note);
    if (server != NULL) {
        const struct inventory_live *live = &server->live;
        json_t *requests = live->has_requests ? json_real(live->active_requests) : json_null();
        json_object_set_new(item, "requests", requests);
        enum inventory_service service = inventory_service_of(server, scene->now.mono_ms);
        view_set_text(item, "service", inventory_service_words(service));
        json_object_set_new(item, "is_drained", json_boolean(live->is_drained));
    }
    return item;
}

/* What is left of the rests and of the usual turn; a guess for people, never used to decide. */
static int64_t rollout_left_ms(const struct rollout *rollout, const struct rollout_tally *tally)
{
    int64_t turn_ms = 60000;
    size_t n = 0;
    int64_t sum_ms = 0;
    for (size_t i = 0; i < rollout->step_n; i++) {
        const struct rollout_step *step = &rollout->step[i];
        bool is_usual = step->state == STEP_CLOSED && step->reason != REASON_LATE_PROOF;
        if (is_usual && step->closed_ms > step->reserved_ms) {
            sum_ms += step->closed_ms - step->reserved_ms;
            n++;
        }
    }
    if (n > 0)
        turn_ms = sum_ms / (int64_t)n;
    size_t at_once = rollout->body.at_once == 0 ? 1 : (size_t)rollout->body.at_once;
    size_t waves = (tally->to_go + at_once - 1) / at_once;
    int64_t gap_ms = (int64_t)rollout->body.gap_ms;
    return (int64_t)waves * (turn_ms + gap_ms) + (tally->running > 0 ? turn_ms : 0);
}

/* Whether what is left still fits: "7 to go, about 25 min; the window closes in 1 h: fits". */
static void fit_words(const struct view_scene *scene,
                      const struct rollout *rollout,
                      const struct rollout_tally *tally,
                      struct cas_text *text)
{
    int64_t left_ms = rollout_left_ms(rollout, tally);
    int64_t window_ms = rollout->body.until_ms - scene->now.wall_ms;
    if (tally->to_go == 0)
        return;
    cas_text_add(text, ": %zu to go, about ", tally->to_go);
    cas_text_span(text, left_ms);
    if (window_ms <= 0) {
        cas_text_add(text, ", but the window has closed");
        return;
    }
    cas_text_add(text, "; the window closes in ");
    cas_text_span(text, window_ms);
    cas_text_add(text, left_ms <= window_ms ? ": fits" : ": does not fit");
}

/* What one more out costs its site. */
static void site_words(const struct view_scene *scene,
                       const struct rollout *rollout,
                       const struct inventory_server *server,
                       struct cas_text *text)
{
    const char *site = server->label[LABEL_SITE];
    uint32_t size = 0;
    for (size_t i = 0; i < inventory_size(scene->inventory); i++) {
        const struct inventory_server *other = inventory_at(scene->inventory, i);
        size +=
            other->admission != ADMISSION_REVOKED && strcmp(other->label[LABEL_SITE], site) == 0;
    }
    cas_text_add(text,
                 "; %u of %u of its site out now, %u may be",
                 rollout_out_now(scene->book, scene->inventory, site, scene->now.mono_ms),
                 size,
                 rollout_may_be_out(size, (uint32_t)rollout->body.floor_pct));
}

/* What waiting costs: who of those not touched leaks now, and of whom that is not known. */
static void
waiting_words(const struct view_scene *scene, const struct rollout *rollout, struct cas_text *text)
{
    size_t leak_n = 0, unknown_n = 0;
    const char *worst = NULL;
    int64_t worst_ms = -1;
    for (size_t i = 0; i < rollout->step_n; i++) {
        const struct rollout_step *step = &rollout->step[i];
        const struct inventory_server *server = inventory_by_id(scene->inventory, step->server_id);
        if ((step->state != STEP_PENDING && step->state != STEP_CANCELLED) || server == NULL)
            continue;
        enum need_leak leak = need_leak_of(server, scene->now.wall_ms, NULL);
        int64_t age_ms = inventory_worker_age_ms(server, scene->now.wall_ms);
        leak_n += leak == LEAK_SIGNS;
        unknown_n += leak == LEAK_UNKNOWN;
        if (age_ms > worst_ms) {
            worst_ms = age_ms;
            worst = server->name;
        }
    }
    cas_text_add(text, ": %zu leak now, of %zu it is not known", leak_n, unknown_n);
    if (worst == NULL)
        return;
    cas_text_add(text, "; oldest worker %s, ", worst);
    cas_text_span(text, worst_ms);
}

/* What can be said of one failed server of a rollout that stands still. */
static void next_of_failed(json_t *next,
                           const struct view_scene *scene,
                           const struct rollout *rollout,
                           const struct inventory_server *server,
                           const char *fit)
{
    char command[192], detail[224], id[24];
    struct cas_text text = CAS_TEXT(command), detail_text = CAS_TEXT(detail);
    view_rollout_id(rollout->seq, id);
    cas_text_add(&text, "casfleet recycle retry %s %s", id, server->name);
    cas_text_add(&detail_text, "once more, alone, then wait for you");
    site_words(scene, rollout, server, &detail_text);
    view_add_next(next, command, detail);
    cas_text_clear(&detail_text);
    cas_text_clear(&text);
    cas_text_add(&text, "casfleet recycle resume %s --skip %s", id, server->name);
    cas_text_add(&detail_text, "go on without it%s", fit);
    view_add_next(next, command, detail);
    if (!server->live.is_drained)
        return;
    cas_text_clear(&text);
    cas_text_add(&text, "casfleet recycle plan %s --verb undrain", server->name);
    view_add_next(next, command, "puts it back into service as it is, once this has ended");
}

static void rollout_next(json_t *next,
                         const struct view_scene *scene,
                         const struct rollout *rollout,
                         const struct rollout_tally *tally,
                         const char *id)
{
    char command[192], detail[224], fit[160];
    struct cas_text text = CAS_TEXT(command), detail_text = CAS_TEXT(detail);
    struct cas_text fit_text = CAS_TEXT(fit);
    cas_text_clear(&fit_text);
    fit_words(scene, rollout, tally, &fit_text);
    bool is_stopped = rollout->state == ROLLOUT_HALTED || rollout->state == ROLLOUT_PAUSED;
    if (rollout->state == ROLLOUT_RUNNING || rollout->state == ROLLOUT_SCHEDULED) {
        cas_text_add(&text, "casfleet recycle watch %s", id);
        view_add_next(next, command, NULL);
    }
    size_t shown = 0;
    for (size_t i = 0; is_stopped && i < rollout->step_n && shown < 4; i++) {
        const struct rollout_step *step = &rollout->step[i];
        const struct inventory_server *server = inventory_by_id(scene->inventory, step->server_id);
        if (server == NULL || (step->state != STEP_FAILED && step->state != STEP_UNKNOWN))
            continue;
        next_of_failed(next, scene, rollout, server, fit);
        shown++;
    }
    if (is_stopped && shown == 0) {
        cas_text_clear(&text);
        cas_text_add(&text, "casfleet recycle resume %s", id);
        cas_text_clear(&detail_text);
        cas_text_add(&detail_text, "go on where it stopped%s", fit);
        view_add_next(next, command, detail);
    }
    if (is_stopped) {
        cas_text_clear(&text);
        cas_text_add(&text, "casfleet recycle end %s", id);
        cas_text_clear(&detail_text);
        cas_text_add(&detail_text, "no further server; %zu wait", tally->to_go);
        if (tally->to_go > 0)
            waiting_words(scene, rollout, &detail_text);
        view_add_next(next, command, detail);
    }
}

static void rollout_head(json_t *document,
                         const struct view_scene *scene,
                         const struct rollout *rollout,
                         const struct rollout_tally *tally)
{
    char id[24];
    view_rollout_id(rollout->seq, id);
    view_set_text(document, "id", id);
    view_set_text(document, "state", rollout_state_words(rollout->state));
    bool has_reason = rollout->reason != REASON_NONE;
    json_object_set_new(document, "reason", json_integer((json_int_t)rollout->reason));
    view_set_text(document, "words", has_reason ? rollout_reason_words(rollout->reason) : NULL);
    view_set_text(document, "group", rollout->plan_text);
    view_set_text(document, "by", rollout->by);
    view_set_text(document, "why", rollout->why);
    view_set_text(document, "verb", verb_name((enum verb)rollout->body.verb));
    view_set_time(document, "run_ms", rollout->run_ms);
    view_set_time(document, "begun_ms", rollout->begun_ms);
    view_set_time(document, "halted_ms", rollout->halted_ms);
    view_set_time(document, "ended_ms", rollout->ended_ms);
    view_set_count(document, "wave", rollout->wave);
    view_set_count(document, "waves", waves_of(rollout));
    view_set_count(document, "steps", rollout->step_n);
    view_set_count(document, "proved", tally->proved);
    view_set_count(document, "running", tally->running);
    view_set_count(document, "failed", tally->failed);
    view_set_count(document, "unknown", tally->unknown);
    view_set_count(document, "to_go", tally->to_go);
    view_set_count(document, "skipped", tally->skipped);
    bool is_open = rollout->state == ROLLOUT_RUNNING;
    int64_t left_ms = rollout_left_ms(rollout, tally);
    view_set_time(document, "eta_ms", is_open ? scene->now.wall_ms + left_ms : 0);
}

static void rollout_plan_numbers(json_t *document, const struct rollout *rollout)
{
    const struct record_plan_body *body = &rollout->body;
    json_object_set_new(document, "pool", json_stringn(body->pool.data, body->pool.size));
    view_set_count(document, "at_once", (size_t)body->at_once);
    view_set_count(document, "gap_ms", (size_t)body->gap_ms);
    view_set_count(document, "settle_ms", (size_t)body->settle_ms);
    view_set_count(document, "stop_after", (size_t)body->stop_after);
    view_set_count(document, "floor_pct", (size_t)body->floor_pct);
    view_set_count(document, "proof_ms", (size_t)body->proof_ms);
    json_object_set_new(document, "start_ms", json_integer(body->start_ms));
    json_object_set_new(document, "until_ms", json_integer(body->until_ms));
    char hash[2 * CAS_HASH_BYTES + 1];
    cas_hex(rollout->plan_hash, CAS_HASH_BYTES, hash);
    view_set_text(document, "plan_hash", hash);
}

static json_t *hold_json(const struct view_scene *scene, const struct rollout *rollout)
{
    struct rollout_hold hold = {0};
    rollout_hold_of(scene->book, scene->inventory, rollout, scene->now, &hold);
    if (hold.reason == REASON_NONE)
        return json_null();
    json_t *item = json_object();
    json_object_set_new(item, "reason", json_integer((json_int_t)hold.reason));
    view_set_text(item, "words", hold.words);
    int64_t left_ms = hold.until_mono_ms - scene->now.mono_ms;
    bool is_timed = hold.until_mono_ms != 0;
    json_object_set_new(item, "left_ms", is_timed ? json_integer(left_ms) : json_null());
    return item;
}

json_t *view_rollout_json(const struct view_scene *scene,
                          const struct rollout *rollout,
                          bool *ret_attention)
{
    json_t *document = view_begin(scene, "Rollout");
    if (document == NULL)
        return NULL;
    struct rollout_tally tally = rollout_tally_of(rollout);
    rollout_head(document, scene, rollout, &tally);
    rollout_plan_numbers(document, rollout);
    json_object_set_new(document, "hold", hold_json(scene, rollout));
    json_t *items = json_array();
    for (size_t i = 0; i < rollout->step_n; i++)
        json_array_append_new(items, step_json(scene, rollout, &rollout->step[i]));
    json_object_set_new(document, "items", items);
    json_t *next = json_array();
    rollout_next(next, scene, rollout, &tally, json_string_value(json_object_get(document, "id")));
    json_object_set_new(document, "next", next);
    *ret_attention = rollout->state == ROLLOUT_HALTED || rollout->state == ROLLOUT_MISSED ||
                     tally.failed > 0 || tally.unknown > 0;
    return document;
}

enum cas_err view_rollout(const struct view_scene *scene,
                          const struct rollout *rollout,
                          char **ret_document,
                          bool *ret_attention)
{
    return view_finish(view_rollout_json(scene, rollout, ret_attention), ret_document);
}

enum cas_err view_rollout_list(const struct view_scene *scene, size_t most, char **ret_document)
{
    json_t *document = view_begin(scene, "RolloutList");
    json_t *items = json_array();
    size_t n = rollout_book_size(scene->book);
    for (size_t i = n; i > 0 && n - i < most; i--) {
        const struct rollout *rollout = rollout_at(scene->book, i - 1);
        struct rollout_tally tally = rollout_tally_of(rollout);
        json_t *item = json_object();
        rollout_head(item, scene, rollout, &tally);
        json_array_append_new(items, item);
    }
    json_object_set_new(document, "items", items);
    return view_finish(document, ret_document);
}
