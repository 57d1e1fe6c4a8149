#include "controller/view/view_why.h"

#include <stdio.h>
#include <string.h>

#include "controller/view/view_json.h"

static const char *verdict_name(enum rollout_verdict verdict)
{
    switch (verdict) {
    case VERDICT_HOLDS:
        return "holds";
    case VERDICT_WAITS:
        return "waits";
    case VERDICT_LATER:
        break;
    }
    return "later";
}

static void add_rule(json_t *items, const struct view_scene *scene, const struct rollout_link *link)
{
    view_add_line(items, scene, 0, "%s", link->words);
    json_t *item = json_array_get(items, json_array_size(items) - 1);
    view_set_text(item, "rule", rollout_rule_name(link->rule));
    view_set_text(item, "verdict", verdict_name(link->verdict));
}

/* Every rule, judged now; the first that does not hold is what it waits for. */
static enum cas_err why_waiting(const struct view_scene *scene,
                                const struct rollout *rollout,
                                size_t step,
                                json_t *items,
                                struct cas_text *words)
{
    struct rollout_link link[ROLLOUT_RULES];
    size_t n = 0;
    const struct rollout_link *first = NULL;
    enum cas_err err =
        rollout_chain(scene->book, scene->inventory, rollout, step, scene->now, link, &n);
    if (err != CAS_OK)
        return err;
    for (size_t i = 0; i < n; i++) {
        add_rule(items, scene, &link[i]);
        if (first == NULL && link[i].verdict == VERDICT_WAITS)
            first = &link[i];
    }
    if (first == NULL)
        cas_text_add(words, ": every rule holds, its turn comes with the next look");
    else
        cas_text_add(words, ": waits, %s: %s", rollout_rule_name(first->rule), first->words);
    return CAS_OK;
}

static void add_left(struct cas_text *text, const struct view_scene *scene, int64_t until_mono_ms)
{
    if (until_mono_ms == 0)
        return;
    int64_t left_ms = until_mono_ms - scene->now.mono_ms;
    cas_text_add(text, "; ");
    cas_text_span(text, left_ms > 0 ? left_ms : 0);
    cas_text_add(text, " left");
}

static void proof_limit(const struct record_plan_body *body, struct cas_text *text)
{
    cas_text_add(text, "%llu good probes in a row within ", (unsigned long long)body->healthy_n);
    cas_text_span(text, (int64_t)body->proof_ms);
    cas_text_add(text, " of the agent's answer");
}

static void outcome_limit(const struct record_plan_body *body, struct cas_text *text)
{
    cas_text_add(text, "an outcome within drain ");
    cas_text_span(text, (int64_t)body->drain_ms);
    cas_text_add(text, " and act ");
    cas_text_span(text, (int64_t)body->act_ms);
    cas_text_add(text, " and a minute");
}

/* What is under way, and the limit at which it has failed. */
static void why_under_way(const struct view_scene *scene,
                          const struct rollout *rollout,
                          const struct rollout_step *step,
                          json_t *items)
{
    const struct record_plan_body *body = &rollout->body;
    char words[320];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    int64_t at_ms = step->reserved_ms;
    if (step->state == STEP_RESERVED) {
        cas_text_add(&text, "rule: an offer is claimed within %d s", CLAIM_WAIT_MS / 1000);
    } else if (step->state == STEP_PROVING) {
        at_ms = step->result_ms;
        cas_text_add(&text, "rule: ");
        proof_limit(body, &text);
        cas_text_add(&text, "; %u so far", step->good_n);
        if (step->note[0] != '\0')
            cas_text_add(&text, ", last seen: %s", step->note);
    } else {
        at_ms = step->granted_ms;
        cas_text_add(&text, "rule: ");
        outcome_limit(body, &text);
        cas_text_add(&text, ", else it is not known whether it acted");
    }
    add_left(&text, scene, step->deadline_mono_ms);
    view_add_line(items, scene, at_ms, "%s", words);
}

/* The rule by which it failed, with its numbers. */
static void
fail_rule(const struct rollout *rollout, const struct rollout_step *step, struct cas_text *text)
{
    const struct record_plan_body *body = &rollout->body;
    const struct rollout_evidence *evidence = &step->evidence;
    cas_text_add(text, "rule: ");
    if (step->reason == REASON_NO_CLAIM) {
        cas_text_add(text, "an offer is claimed within %d s; none came", CLAIM_WAIT_MS / 1000);
    } else if (step->reason == REASON_NO_RESULT) {
        outcome_limit(body, text);
        cas_text_add(text, "; none came");
    } else if (step->reason == REASON_NO_PROOF) {
        proof_limit(body, text);
        cas_text_add(text, "; got %u", step->good_n);
    } else if (step->reason == REASON_EVIDENCE) {
        cas_text_add(text,
                     "done is believed with a new worker only; worker %u, and then %u",
                     evidence->pid_before,
                     evidence->pid_after);
    } else {
        cas_text_add(text, "%s", rollout_reason_words(step->reason));
    }
    if (step->note[0] != '\0')
        cas_text_add(text, "; last seen: %s", step->note);
    if (evidence->text[0] != '\0')
        cas_text_add(text, "; the agent said: %s", evidence->text);
}

static void why_failed_step(const struct view_scene *scene,
                            const struct rollout *rollout,
                            const struct rollout_step *step,
                            json_t *items)
{
    char words[480];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    fail_rule(rollout, step, &text);
    view_add_line(items, scene, step->closed_ms, "%s", words);
    view_why_failed(scene, rollout, step, items);
    view_add_line(items,
                  scene,
                  rollout->halted_ms,
                  "rule: halt at %llu failed; %u failed, %u of them forgiven by a resume: the plan "
                  "is %s",
                  (unsigned long long)rollout->body.stop_after,
                  rollout->failed_n,
                  rollout->forgiven_n,
                  rollout_state_words(rollout->state));
}

static void why_closed(const struct view_scene *scene,
                       const struct rollout *rollout,
                       const struct rollout_step *step,
                       json_t *items)
{
    if (step->evidence.pid_after != 0)
        view_add_line(items,
                      scene,
                      step->result_ms,
                      "the agent's outcome: worker %u -> %u",
                      step->evidence.pid_before,
                      step->evidence.pid_after);
    view_add_line(items,
                  scene,
                  step->closed_ms,
                  "rule: %llu good probes in a row after the act prove it; %u came%s",
                  (unsigned long long)rollout->body.healthy_n,
                  step->good_n,
                  step->reason == REASON_LATE_PROOF ? ", after the deadline" : "");
}

static enum cas_err why_state(const struct view_scene *scene,
                              const struct rollout *rollout,
                              size_t at,
                              json_t *items,
                              struct cas_text *words)
{
    const struct rollout_step *step = &rollout->step[at];
    const char *reason = rollout_reason_words(step->reason);
    switch (step->state) {
    case STEP_PENDING:
    case STEP_CANCELLED:
        return why_waiting(scene, rollout, at, items, words);
    case STEP_RESERVED:
    case STEP_GRANTED:
    case STEP_PROVING:
    case STEP_CANCELLING:
        why_under_way(scene, rollout, step, items);
        break;
    case STEP_FAILED:
    case STEP_UNKNOWN:
        why_failed_step(scene, rollout, step, items);
        cas_text_add(words, ": %s", reason);
        break;
    case STEP_CLOSED:
        why_closed(scene, rollout, step, items);
        break;
    case STEP_SKIPPED:
        view_add_line(items,
                      scene,
                      step->closed_ms,
                      "rule: %s%s%s",
                      reason[0] != '\0' ? reason : "its plan was over before its turn",
                      step->note[0] != '\0' ? ": " : "",
                      step->note);
        if (reason[0] != '\0')
            cas_text_add(words, ": %s", reason);
        break;
    }
    return CAS_OK;
}

static void set_subject(json_t *document, const struct rollout *rollout, const char *server)
{
    char id[24], subject[CAS_NAME_BYTES + 32];
    view_rollout_id(rollout->seq, id);
    (void)snprintf(subject, sizeof subject, "%s %s", id, server);
    view_set_text(document, "subject", subject);
    view_set_text(document, "plan", id);
    view_set_text(document, "server", server);
}

static json_t *
next_of(const struct rollout *rollout, const struct rollout_step *step, const char *server)
{
    char id[24], command[CAS_NAME_BYTES + 80];
    json_t *next = json_array();
    view_rollout_id(rollout->seq, id);
    bool has_failed = step != NULL && (step->state == STEP_FAILED || step->state == STEP_UNKNOWN);
    bool is_still = rollout->state == ROLLOUT_HALTED || rollout->state == ROLLOUT_PAUSED;
    if (has_failed && is_still) {
        (void)snprintf(command, sizeof command, "casfleet recycle retry %s %s", id, server);
        view_add_next(next, command, "once more, alone, then wait for you");
    }
    (void)snprintf(command, sizeof command, "casfleet why %s", id);
    view_add_next(next, command, "the whole plan");
    (void)snprintf(command, sizeof command, "casfleet why %s", server);
    view_add_next(next, command, "the server itself");
    return next;
}

enum cas_err view_why_step(const struct view_scene *scene,
                           const struct rollout *rollout,
                           size_t step,
                           char **ret_document)
{
    const struct rollout_step *mine = &rollout->step[step];
    const struct inventory_server *server = inventory_by_id(scene->inventory, mine->server_id);
    const char *name = server == NULL ? "(gone)" : server->name;
    json_t *document = view_begin(scene, "Why");
    json_t *items = json_array();
    char words[480], id[24];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    cas_text_add(&text, "%s, wave %u", rollout_step_words(mine->state), mine->wave);
    if (mine->attempt > 1)
        cas_text_add(&text, ", attempt %u", mine->attempt);
    enum cas_err err = why_state(scene, rollout, step, items, &text);
    view_set_text(document, "what", "step");
    set_subject(document, rollout, name);
    view_set_text(document, "state", rollout_step_words(mine->state));
    view_set_text(document, "words", words);
    json_object_set_new(document, "items", items);
    json_object_set_new(document, "next", next_of(rollout, mine, name));
    if (err != CAS_OK) {
        json_decref(document);
        return err;
    }
    view_rollout_id(rollout->seq, id);
    view_add_history(scene, document, name, id, 0);
    return view_finish(document, ret_document);
}

/* What the plan's own rules say of it now; its flags for skips are not kept with it. */
static void why_absent_now(const struct view_scene *scene,
                           const struct rollout *rollout,
                           const struct inventory_server *server,
                           json_t *items)
{
    struct rollout_wish wish;
    struct rollout_draft draft = {.skip_n = 0};
    struct cas_why why = {.text = ""};
    size_t at = 0, n = inventory_size(scene->inventory);
    while (at < n && inventory_at(scene->inventory, at)->id != server->id)
        at++;
    if (at == n)
        return;
    rollout_wish_default(&wish, scene->now);
    wish.verb = (enum verb)rollout->body.verb;
    wish.floor_pct = (uint32_t)rollout->body.floor_pct;
    wish.ram = rollout->body.has_ram ? (enum plan_ram)rollout->body.ram : PLAN_RAM_FIT;
    wish.until_ms = wish.start_ms + 12LL * 3600 * 1000;
    enum cas_err err = cas_slice_copy(rollout->body.pool, wish.pool, sizeof wish.pool);
    if (err == CAS_OK)
        err = rollout_draft(scene->inventory,
                            scene->book,
                            &at,
                            1,
                            &wish,
                            rollout->seq,
                            scene->now,
                            &draft,
                            &why);
    if (draft.skip_n > 0)
        view_add_line(items,
                      scene,
                      0,
                      "a plan made now would leave it out: %s%s%s",
                      rollout_reason_words(draft.skip[0].reason),
                      draft.skip[0].words[0] != '\0' ? ": " : "",
                      draft.skip[0].words);
    else if (err != CAS_OK)
        view_add_line(items, scene, 0, "a plan made now would be refused: %s", why.text);
    else
        view_add_line(items, scene, 0, "a plan made now with the usual flags would take it");
    rollout_draft_done(&draft);
}

enum cas_err view_why_absent(const struct view_scene *scene,
                             const struct rollout *rollout,
                             const struct inventory_server *server,
                             char **ret_document)
{
    json_t *document = view_begin(scene, "Why");
    json_t *items = json_array();
    char id[24];
    view_rollout_id(rollout->seq, id);
    view_set_text(document, "what", "absent");
    set_subject(document, rollout, server->name);
    view_set_text(document, "words", "no step: the plan does not touch it");
    view_add_line(items,
                  scene,
                  rollout->body.made_ms,
                  "the plan was made for %zu servers: it was not named, or left out then; the plan "
                  "does not keep which",
                  rollout->step_n);
    why_absent_now(scene, rollout, server, items);
    json_object_set_new(document, "items", items);
    json_object_set_new(document, "next", next_of(rollout, NULL, server->name));
    view_add_history(scene, document, server->name, id, 0);
    return view_finish(document, ret_document);
}
