#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/view/view_json.h"
#include "controller/view/view_why.h"

enum {
    WHY_AUDIT_MOST = 40,
    WHY_STEPS_MOST = 8,
};

struct rows {
    json_t *history;
    json_t *evidence;  /* NULL: of no interest */
    int64_t halted_ms; /* of it: rows are written in the commit of the halt or soon after */
    const char *about; /* only rows that are about this, too; NULL all */
};

void view_add_line(json_t *items,
                   const struct view_scene *scene,
                   int64_t at_ms,
                   const char *fmt,
                   ...)
{
    char words[480];
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    json_t *item = json_object();
    view_set_time(item, "at_ms", at_ms);
    json_t *age = at_ms == 0 ? json_null() : json_integer(view_age(scene, at_ms));
    json_object_set_new(item, "age_ms", age);
    view_set_text(item, "words", words);
    json_array_append_new(items, item);
}

static void why_service(const struct view_scene *scene,
                        const struct inventory_server *server,
                        json_t *items,
                        json_t *next)
{
    const struct inventory_live *live = &server->live;
    switch (inventory_service_of(server, scene->now.mono_ms)) {
    case SERVICE_UP:
        view_add_line(items, scene, live->heard_ms, "in service: its last probe was good");
        break;
    case SERVICE_REVOKED:
        view_add_line(items, scene, 0, "its agent is revoked: it can do and say nothing");
        view_add_next(next, "casfleet agent list", "to admit it again, approve its key");
        break;
    case SERVICE_SILENT:
        if (live->heard_ms == 0)
            view_add_line(items, scene, 0, "approved, never heard: is its agent running?");
        else
            view_add_line(items,
                          scene,
                          live->heard_ms,
                          "silent: no answer to a TICK for more than %d s; counts as down",
                          FRESH_MS / 1000);
        view_add_next(next,
                      "casfleet-agent --check",
                      "on that server: says whether it reaches the controller");
        break;
    case SERVICE_DRAINED:
        view_add_line(items,
                      scene,
                      live->heard_ms,
                      "drained by casfleet (ActiveSyncProxy inactive)");
        break;
    case SERVICE_MAINTENANCE:
        view_add_line(items,
                      scene,
                      live->heard_ms,
                      "in maintenance by others: %s",
                      live->maintenance);
        break;
    case SERVICE_SICK:
        view_add_line(items, scene, live->heard_ms, "probed and not good: %s", live->health_reason);
        break;
    case SERVICE_UNPROBED:
        view_add_line(items, scene, live->heard_ms, "health not known: %s", live->health_reason);
        break;
    }
    if (inventory_is_held(server)) {
        char words[320];
        struct cas_text text = CAS_TEXT(words);
        cas_text_clear(&text);
        inventory_held_words(server, &text);
        cas_text_add(&text, "; every plan waits for it or leaves it out");
        view_add_line(items, scene, live->held_since_ms, "%s", words);
        view_add_next(next,
                      "casfleet-agent release",
                      "on that server, by its people: then it may be touched again");
    }
    if (!live->is_journal_writable && live->heard_ms != 0)
        view_add_line(items,
                      scene,
                      live->heard_ms,
                      "its journal cannot be written: it will not act");
}

static void
why_pool(const struct view_scene *scene, const struct inventory_server *server, json_t *items)
{
    const struct inventory_live *live = &server->live;
    if (live->pid != 0) {
        char age[48];
        struct cas_text text = CAS_TEXT(age);
        cas_text_span(&text, view_age(scene, live->start_ms));
        view_add_line(items, scene, live->heard_ms, "worker %u has run for %s", live->pid, age);
    }
    static const enum symptom told[] = {SYMPTOM_active_requests,
                                        SYMPTOM_close_wait,
                                        SYMPTOM_gc_time_pct,
                                        SYMPTOM_ports_used,
                                        SYMPTOM_ports_total,
                                        SYMPTOM_private_bytes};
    for (size_t i = 0; i < CAS_COUNT(told); i++) {
        const struct inventory_value *value = &server->value[told[i]];
        const char *name = symptom_name(told[i]);
        if (value->at_ms == 0)
            continue;
        if (value->is_known)
            view_add_line(items, scene, value->at_ms, "%s %.0f", name, value->value);
        else
            view_add_line(items,
                          scene,
                          value->at_ms,
                          "%s not known: %s",
                          name,
                          inventory_reason(value));
    }
    char words[200];
    struct cas_text need = CAS_TEXT(words);
    cas_text_clear(&need);
    (void)need_leak_of(server, scene->now.wall_ms, &need);
    view_add_line(items, scene, 0, "%s", words);
    cas_text_clear(&need);
    (void)need_ram_of(server, scene->now.wall_ms, &need);
    view_add_line(items, scene, 0, "%s", words);
    if (server->event_4227_n > 0)
        view_add_line(items,
                      scene,
                      server->event_4227_ms,
                      "event 4227 x%llu (ports reused too soon)",
                      (unsigned long long)server->event_4227_n);
    if (server->event_4231_n > 0)
        view_add_line(items,
                      scene,
                      server->event_4231_ms,
                      "event 4231 x%llu (no port left)",
                      (unsigned long long)server->event_4231_n);
}

static void
why_build(const struct view_scene *scene, const struct inventory_server *server, json_t *items)
{
    if (!server->has_build) {
        view_add_line(items, scene, 0, "Exchange build not known: not counted as having the fix");
        return;
    }
    char name[96];
    struct cas_text text = CAS_TEXT(name);
    compliance_name(&server->build, &text);
    switch (compliance_has_fix(&server->build)) {
    case COMPLIANCE_HAS:
        view_add_line(items, scene, 0, "Exchange %s has the fix for KB 4456227", name);
        break;
    case COMPLIANCE_LACKS:
        view_add_line(items, scene, 0, "Exchange %s lacks the fix for KB 4456227", name);
        break;
    case COMPLIANCE_UNKNOWN:
        view_add_line(items, scene, 0, "Exchange %s: not known whether it has the fix", name);
        break;
    }
}

static void on_audit(void *context, uint64_t id, const struct store_audit *audit)
{
    struct rows *rows = context;
    bool is_evidence = strcmp(audit->verb, "rollout.evidence") == 0;
    json_t *list = is_evidence ? rows->evidence : rows->history;
    bool is_older = is_evidence && audit->at_ms < rows->halted_ms;
    bool is_full = !is_evidence && json_array_size(list) == WHY_AUDIT_MOST;
    bool is_other = rows->about != NULL && strcmp(audit->about, rows->about) != 0;
    if (list == NULL || is_older || is_full || is_other)
        return;
    json_t *item = json_object();
    json_object_set_new(item, "id", json_integer((json_int_t)id));
    view_set_time(item, "at_ms", audit->at_ms);
    view_set_text(item, "who", audit->who);
    view_set_text(item, "verb", audit->verb);
    view_set_text(item, "words", audit->words);
    json_array_insert_new(list, 0, item); /* oldest first */
}

void view_add_history(const struct view_scene *scene,
                      json_t *document,
                      const char *subject,
                      const char *about,
                      int64_t halted_ms)
{
    struct rows rows = {.history = json_array(),
                        .evidence = halted_ms != 0 ? json_array() : NULL,
                        .halted_ms = halted_ms,
                        .about = about};
    struct cas_why why = {0};
    enum cas_err err =
        store_audit_read(scene->store, subject, VIEW_WHY_AUDIT, on_audit, &rows, &why);
    view_set_text(document, "history_error", err == CAS_OK ? NULL : why.text);
    json_object_set_new(document, "history", rows.history);
    json_object_set_new(document, "evidence", rows.evidence != NULL ? rows.evidence : json_array());
}

/* What every plan that has not done with it makes of it, newest first. */
static void
why_steps(const struct view_scene *scene, const struct inventory_server *server, json_t *items)
{
    size_t told_n = 0;
    for (size_t r = rollout_book_size(scene->book); r > 0 && told_n < WHY_STEPS_MOST; r--) {
        const struct rollout *rollout = rollout_at(scene->book, r - 1);
        for (size_t i = 0; i < rollout->step_n; i++) {
            const struct rollout_step *step = &rollout->step[i];
            bool is_told = step->state == STEP_PENDING || step->state == STEP_SKIPPED ||
                           step->state == STEP_CANCELLED;
            if (step->server_id != server->id || !is_told)
                continue;
            char id[24];
            view_rollout_id(rollout->seq, id);
            const char *reason = rollout_reason_words(step->reason);
            view_add_line(items,
                          scene,
                          0,
                          "%s is %s: %s there%s%s%s%s",
                          id,
                          rollout_state_words(rollout->state),
                          step->state == STEP_SKIPPED ? "left out" : "not touched yet",
                          reason[0] != '\0' ? ", " : "",
                          reason,
                          step->note[0] != '\0' ? ": " : "",
                          step->note);
            told_n++;
        }
    }
}

enum cas_err view_why_server(const struct view_scene *scene,
                             const struct inventory_server *server,
                             char **ret_document)
{
    json_t *document = view_begin(scene, "Why");
    json_t *items = json_array();
    json_t *next = json_array();
    view_set_text(document, "what", "server");
    view_set_text(document, "subject", server->name);
    enum inventory_service service = inventory_service_of(server, scene->now.mono_ms);
    view_set_text(document, "words", inventory_service_words(service));
    why_service(scene, server, items, next);
    why_pool(scene, server, items);
    why_build(scene, server, items);
    size_t step = 0;
    const struct rollout *rollout = view_rollout_of(scene, server->id, &step);
    if (rollout != NULL) {
        char id[24], command[64];
        struct cas_text text = CAS_TEXT(command);
        view_rollout_id(rollout->seq, id);
        const struct rollout_step *mine = &rollout->step[step];
        view_add_line(items,
                      scene,
                      mine->reserved_ms,
                      "%s holds a slot for it: %s %s",
                      id,
                      rollout_step_words(mine->state),
                      mine->reason == REASON_NONE ? "" : rollout_reason_words(mine->reason));
        cas_text_add(&text, "casfleet why %s", id);
        view_add_next(next, command, NULL);
    }
    why_steps(scene, server, items);
    json_object_set_new(document, "items", items);
    json_object_set_new(document, "next", next);
    view_add_history(scene, document, server->name, NULL, 0);
    return view_finish(document, ret_document);
}

/* Were those done worse off than those not touched, at the same minute? */
static void
verdict(const struct view_scene *scene, const struct rollout *rollout, struct cas_text *text)
{
    size_t failed = 0, done = 0, done_bad = 0, left = 0, left_bad = 0;
    const char *only = "";
    for (size_t i = 0; i < rollout->step_n; i++) {
        const struct rollout_step *step = &rollout->step[i];
        const struct inventory_server *server = inventory_by_id(scene->inventory, step->server_id);
        bool is_bad =
            server == NULL || inventory_service_of(server, scene->now.mono_ms) != SERVICE_UP;
        if (step->state == STEP_FAILED || step->state == STEP_UNKNOWN) {
            failed++;
            only = server == NULL ? "" : server->name;
        } else if (step->state == STEP_CLOSED) {
            done++;
            done_bad += is_bad;
        } else if (step->state == STEP_PENDING || step->state == STEP_CANCELLED ||
                   step->state == STEP_SKIPPED) {
            left++;
            left_bad += is_bad;
        }
    }
    if (failed == 0)
        return;
    if (done == 0) {
        cas_text_add(text, "Not known: none was proved before it, so nothing can be compared.");
        return;
    }
    /* A larger share of those done is out of service than of those not touched. */
    bool is_worse = left == 0 ? done_bad > 0 : done_bad * left > left_bad * done;
    cas_text_add(text,
                 "%s. %zu done against %zu not done, this minute: %zu and %zu not in service.",
                 is_worse ? "Perhaps" : "Unlikely",
                 done,
                 left,
                 done_bad,
                 left_bad);
    if (failed == 1 && done_bad == 0 && left_bad == 0)
        cas_text_add(text, " Only %s differs.", only);
}

/* The rule that stopped it, with its numbers. */
static void why_rule(const struct view_scene *scene, const struct rollout *rollout, json_t *items)
{
    if (rollout->state != ROLLOUT_HALTED)
        return;
    if (rollout->reason == REASON_STOP_RULE)
        view_add_line(items,
                      scene,
                      rollout->halted_ms,
                      "rule: halt at %llu failed; %u failed, %u of them forgiven by a resume",
                      (unsigned long long)rollout->body.stop_after,
                      rollout->failed_n,
                      rollout->forgiven_n);
    else if (rollout->reason == REASON_WINDOW_CLOSED)
        view_add_line(items,
                      scene,
                      rollout->halted_ms,
                      "rule: no server begins after the window; it closed with some not touched");
    else
        view_add_line(items,
                      scene,
                      rollout->halted_ms,
                      "rule: what failed waits for your word; nothing else is left to begin");
}

static const char *outcome_words(const struct rollout_step *step)
{
    switch (step->evidence.state) {
    case COMMAND_DONE:
        return "the agent says done";
    case COMMAND_FAILED:
        return "the agent says failed";
    case COMMAND_UNKNOWN:
    case COMMAND_NONE:
    case COMMAND_INTENT:
    case COMMAND_CLAIMED:
    case COMMAND_REVOKED:
        break;
    }
    return "no outcome was told";
}

/* What settles it yet, and what is left to a person. */
static void why_slot(const struct view_scene *scene,
                     const struct rollout *rollout,
                     const struct rollout_step *step,
                     json_t *items)
{
    const struct rollout_evidence *evidence = &step->evidence;
    char id[24], words[400];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    view_rollout_id(rollout->seq, id);
    cas_text_add(&text, "slot       held, never freed by a clock: ");
    switch (rollout_freed_by(step)) {
    case FREED_BY_PROOF:
        cas_text_add(&text,
                     "proof frees it, now or later: %llu good probes in a row of ",
                     (unsigned long long)rollout->body.healthy_n);
        if (evidence->state == COMMAND_UNKNOWN) {
            cas_text_add(&text, "a worker other than %u started after ", evidence->pid_before);
            cas_text_utc(&text, evidence->intent_ms);
        } else {
            cas_text_add(&text, "worker %u or a later one", evidence->pid_after);
        }
        cas_text_add(&text, "; %u so far. Else", step->good_n);
        break;
    case FREED_BY_ANSWER:
        cas_text_add(&text,
                     "its agent's outcome frees it by proof, or its word that it never acted; it "
                     "is asked again and again. Else");
        break;
    case FREED_BY_NOTHING:
        cas_text_add(&text, "nothing seen on its server does. Only");
        break;
    }
    cas_text_add(&text, " a retry that is proved, or recycle end %s --force", id);
    view_add_line(items, scene, 0, "%s", words);
}

void view_why_failed(const struct view_scene *scene,
                     const struct rollout *rollout,
                     const struct rollout_step *step,
                     json_t *items)
{
    const struct inventory_server *server = inventory_by_id(scene->inventory, step->server_id);
    const struct rollout_evidence *evidence = &step->evidence;
    char known[320], unknown[320];
    struct cas_text yes = CAS_TEXT(known), no = CAS_TEXT(unknown);
    cas_text_clear(&yes);
    cas_text_clear(&no);
    cas_text_add(&yes,
                 "%s: %s, attempt %u; ",
                 server == NULL ? "(gone)" : server->name,
                 step->granted_ms != 0 ? "ordered" : "offered, never ordered",
                 step->attempt);
    cas_text_add(&yes, "%s", outcome_words(step));
    if (evidence->pid_after != 0)
        cas_text_add(&yes, ", worker %u -> %u", evidence->pid_before, evidence->pid_after);
    bool has_outcome = evidence->seq != 0 && evidence->state != COMMAND_UNKNOWN;
    if (step->granted_ms != 0 && !has_outcome)
        cas_text_add(&no, "whether it acted");
    if (evidence->state == COMMAND_DONE)
        cas_text_add(&no,
                     "whether it got healthy by it: %u of %llu good probes",
                     step->good_n,
                     (unsigned long long)rollout->body.healthy_n);
    if (server == NULL || inventory_service_of(server, scene->now.mono_ms) == SERVICE_SILENT)
        cas_text_add(&no, "%show it is now: silent", no.used > 0 ? "; " : "");
    view_add_line(items, scene, step->granted_ms, "known      %s", known);
    view_add_line(items,
                  scene,
                  0,
                  "not known  %s",
                  no.used > 0 ? unknown : "nothing that the rules ask for");
    if (step->holds_slot)
        why_slot(scene, rollout, step, items);
}

static void why_halt(const struct view_scene *scene, const struct rollout *rollout, json_t *items)
{
    size_t told_n = 0;
    why_rule(scene, rollout, items);
    for (size_t i = 0; i < rollout->step_n && told_n < WHY_STEPS_MOST; i++) {
        const struct rollout_step *step = &rollout->step[i];
        if (step->state != STEP_FAILED && step->state != STEP_UNKNOWN)
            continue;
        view_why_failed(scene, rollout, step, items);
        told_n++;
    }
}

enum cas_err
view_why_rollout(const struct view_scene *scene, const struct rollout *rollout, char **ret_document)
{
    json_t *document = view_begin(scene, "Why");
    char id[24];
    view_rollout_id(rollout->seq, id);
    view_set_text(document, "what", "rollout");
    view_set_text(document, "subject", id);
    view_set_text(document, "words", rollout_state_words(rollout->state));
    bool is_attention = false;
    json_t *whole = view_rollout_json(scene, rollout, &is_attention);
    json_t *next = json_object_get(whole, "next");
    json_object_set(document, "next", next);
    json_object_del(whole, "next");
    json_object_set_new(document, "rollout", whole);
    json_t *items = json_array();
    why_halt(scene, rollout, items);
    json_object_set_new(document, "items", items);
    char words[240] = "";
    struct cas_text text = CAS_TEXT(words);
    verdict(scene, rollout, &text);
    view_set_text(document, "verdict", words);
    view_add_history(scene, document, id, NULL, rollout->halted_ms);
    return view_finish(document, ret_document);
}
