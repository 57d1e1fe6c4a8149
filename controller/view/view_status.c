#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/view/view_json.h"

enum {
    STATUS_LINES = 64, /* a class; the rest are counted in one line */
    STATUS_DAY_MS = 24 * 60 * 60 * 1000,
    STATUS_RECENT_MS = 3 * STATUS_DAY_MS,
    STATUS_DUE_MS = 5 * STATUS_DAY_MS, /* a worker this old strands enough to be felt */
};
/* Where a symptom begins to be told. Sources stand in symptoms.def and the README's limits. */
static const double PORTS_NEED_PCT = 85, PORTS_WATCH_PCT = 50, GC_WATCH_PCT = 10;
static const double HANDLES_WATCH = 3000;

enum status_class {
    STATUS_NEED,
    STATUS_WATCH,
    STATUS_MAINTENANCE,
    STATUS_HELD,
    STATUS_CLASS_N
};
static const char *const class_name[STATUS_CLASS_N] = {"need", "watch", "maintenance", "held"};

struct status_line {
    char words[160];
    char detail[160];
    size_t *at; /* [n], positions */
    size_t n;
};
struct status_list {
    struct status_line line[STATUS_LINES];
    size_t n;
};
struct status_sums {
    size_t healthy, approved, under_way, held;
    int64_t oldest_age_ms;
};

static void span_words(struct cas_text *text, const char *before, int64_t span_ms)
{
    cas_text_add(text, "%s", before);
    cas_text_span(text, span_ms);
}

static double known_or_negative(const struct inventory_value *value)
{
    return value->is_known && value->at_ms != 0 ? value->value : -1;
}

static double ports_pct(const struct inventory_server *server)
{
    double used = known_or_negative(&server->value[SYMPTOM_ports_used]);
    double total = known_or_negative(&server->value[SYMPTOM_ports_total]);
    return used >= 0 && total > 0 ? 100.0 * used / total : -1;
}

static bool is_recent(const struct view_scene *scene, int64_t at_ms)
{
    return at_ms != 0 && view_age(scene, at_ms) < STATUS_DAY_MS;
}

/* What the events say, told beside whatever else is wrong. */
static void event_detail(const struct view_scene *scene,
                         const struct inventory_server *server,
                         struct cas_text *detail)
{
    if (is_recent(scene, server->event_4231_ms))
        cas_text_add(detail, "event 4231 x%llu, last ", (unsigned long long)server->event_4231_n);
    else if (is_recent(scene, server->event_4227_ms))
        cas_text_add(detail, "event 4227 x%llu, last ", (unsigned long long)server->event_4227_n);
    else
        return;
    int64_t last_ms =
        is_recent(scene, server->event_4231_ms) ? server->event_4231_ms : server->event_4227_ms;
    cas_text_span(detail, view_age(scene, last_ms));
    cas_text_add(detail, " ago");
}

/* True when the server needs the operator; words say why. */
static bool needs_you(const struct view_scene *scene,
                      const struct inventory_server *server,
                      struct cas_text *words)
{
    const struct inventory_live *live = &server->live;
    size_t step = 0;
    const struct rollout *rollout = view_rollout_of(scene, server->id, &step);
    bool is_stuck = rollout != NULL && (rollout->step[step].state == STEP_FAILED ||
                                        rollout->step[step].state == STEP_UNKNOWN);
    enum inventory_service service = inventory_service_of(server, scene->now.mono_ms);
    if (is_stuck) {
        char id[24];
        view_rollout_id(rollout->seq, id);
        const char *state = rollout_step_words(rollout->step[step].state);
        cas_text_add(words, "%s %s, slot held", id, state);
        return true;
    }
    if (service == SERVICE_SILENT) {
        if (live->heard_ms == 0)
            cas_text_add(words, "approved, never heard");
        else
            span_words(words, "silent ", view_age(scene, live->heard_ms));
        return true;
    }
    if (service == SERVICE_SICK && rollout == NULL) {
        cas_text_add(words, "unhealthy: %s", live->health_reason);
        return true;
    }
    if (ports_pct(server) >= PORTS_NEED_PCT) {
        cas_text_add(words, "running out of ports: %.0f %% used", ports_pct(server));
        return true;
    }
    if (is_recent(scene, server->event_4231_ms) && server->event_4231_ms > live->start_ms) {
        cas_text_add(words, "ran out of ports");
        return true;
    }
    if (!live->is_journal_writable && service != SERVICE_REVOKED) {
        cas_text_add(words, "cannot act: its journal cannot be written");
        return true;
    }
    if (live->skew_ms > CLOCK_SKEW_MS || live->skew_ms < -CLOCK_SKEW_MS) {
        cas_text_add(words, "clock is %lld s off", (long long)(live->skew_ms / 1000));
        return true;
    }
    return false;
}

static bool is_on_watch(const struct view_scene *scene,
                        const struct inventory_server *server,
                        struct cas_text *words)
{
    double gc = known_or_negative(&server->value[SYMPTOM_gc_time_pct]);
    double handles = known_or_negative(&server->value[SYMPTOM_handles]);
    double available = known_or_negative(&server->value[SYMPTOM_memory_available]);
    double worker = known_or_negative(&server->value[SYMPTOM_private_bytes]);
    if (ports_pct(server) >= PORTS_WATCH_PCT)
        cas_text_add(words, "%.0f %% of its ports used", ports_pct(server));
    else if (is_recent(scene, server->event_4227_ms) &&
             server->event_4227_ms > server->live.start_ms)
        cas_text_add(words, "ports are reused too soon");
    else if (gc >= GC_WATCH_PCT)
        cas_text_add(words, "%.0f %% of its time in GC", gc);
    else if (handles >= HANDLES_WATCH)
        cas_text_add(words, "%.0f handles", handles);
    else if (available >= 0 && worker >= 0 && available < worker)
        cas_text_add(words, "a second worker would not fit in RAM");
    return words->used > 0;
}

static bool is_in_maintenance(const struct view_scene *scene,
                              const struct inventory_server *server,
                              struct cas_text *words)
{
    switch (inventory_service_of(server, scene->now.mono_ms)) {
    case SERVICE_MAINTENANCE:
        cas_text_add(words, "%s", server->live.maintenance);
        return true;
    case SERVICE_DRAINED:
        cas_text_add(words, "drained by casfleet");
        return true;
    case SERVICE_UP:
    case SERVICE_REVOKED:
    case SERVICE_SILENT:
    case SERVICE_SICK:
    case SERVICE_UNPROBED:
        return false;
    }
    return false;
}

static enum cas_err
put(struct status_list *list, size_t at, size_t most, const char *words, const char *detail)
{
    struct status_line *line = NULL;
    for (size_t i = 0; i < list->n && line == NULL; i++) {
        bool is_same =
            strcmp(list->line[i].words, words) == 0 && strcmp(list->line[i].detail, detail) == 0;
        line = is_same ? &list->line[i] : NULL;
    }
    if (line == NULL && list->n == STATUS_LINES) {
        line = &list->line[STATUS_LINES - 1];
        snprintf(line->words, sizeof line->words, "various: see casfleet server list");
        line->detail[0] = '\0';
    }
    if (line == NULL) {
        line = &list->line[list->n];
        line->at = calloc(most + 1, sizeof *line->at);
        if (line->at == NULL)
            return CAS_ERR_NOMEM;
        snprintf(line->words, sizeof line->words, "%s", words);
        snprintf(line->detail, sizeof line->detail, "%s", detail);
        list->n++;
    }
    line->at[line->n++] = at;
    return CAS_OK;
}

static bool is_under_way(const struct view_scene *scene, const struct inventory_server *server)
{
    size_t step = 0;
    const struct rollout *rollout = view_rollout_of(scene, server->id, &step);
    if (rollout == NULL)
        return false;
    enum rollout_step_state state = rollout->step[step].state;
    return state == STEP_RESERVED || state == STEP_GRANTED || state == STEP_PROVING ||
           state == STEP_CANCELLING;
}

/* Beside whatever else is to be said of it: who may not be touched is always named. */
static enum cas_err sort_held(const struct view_scene *scene,
                              size_t at,
                              struct status_list *list,
                              struct status_sums *sums)
{
    const struct inventory_server *server = inventory_at(scene->inventory, at);
    const struct inventory_live *live = &server->live;
    char words[160] = "", detail[160] = "";
    struct cas_text text = CAS_TEXT(words), detail_text = CAS_TEXT(detail);
    if (!inventory_is_held(server))
        return CAS_OK;
    sums->held++;
    cas_text_add(&text, "%s", live->held_reason);
    cas_text_add(&detail_text, "by %s", live->held_by);
    if (live->held_since_ms != 0)
        span_words(&detail_text, ", since ", view_age(scene, live->held_since_ms));
    return put(&list[STATUS_HELD], at, inventory_size(scene->inventory), words, detail);
}

static enum cas_err sort_server(const struct view_scene *scene,
                                size_t at,
                                struct status_list *list,
                                struct status_sums *sums)
{
    const struct inventory_server *server = inventory_at(scene->inventory, at);
    if (server->admission == ADMISSION_REVOKED)
        return CAS_OK;
    size_t most = inventory_size(scene->inventory);
    sums->approved++;
    enum cas_err held = sort_held(scene, at, list, sums);
    if (held != CAS_OK)
        return held;
    bool is_up = inventory_service_of(server, scene->now.mono_ms) == SERVICE_UP;
    int64_t sample_ms = server->value[SYMPTOM_workers].at_ms;
    if (is_up && sample_ms != 0 && view_age(scene, sample_ms) > sums->oldest_age_ms)
        sums->oldest_age_ms = view_age(scene, sample_ms);
    char words[160] = "", detail[160] = "";
    struct cas_text text = CAS_TEXT(words), detail_text = CAS_TEXT(detail);
    bool is_need = needs_you(scene, server, &text);
    if (!is_need && is_under_way(scene, server)) {
        sums->under_way++;
        return CAS_OK;
    }
    event_detail(scene, server, &detail_text);
    if (is_need)
        return put(&list[STATUS_NEED], at, most, words, detail);
    if (is_in_maintenance(scene, server, &text))
        return put(&list[STATUS_MAINTENANCE], at, most, words, "");
    if (is_on_watch(scene, server, &text))
        return put(&list[STATUS_WATCH], at, most, words, detail);
    sums->healthy += is_up;
    if (!is_up)
        return put(&list[STATUS_NEED], at, most, "health not known", server->live.health_reason);
    return CAS_OK;
}

static enum cas_err
items_json(const struct view_scene *scene, const struct status_list *list, json_t *document)
{
    json_t *items = json_array();
    enum cas_err err = CAS_OK;
    for (int c = 0; c < STATUS_CLASS_N; c++) {
        for (size_t i = 0; i < list[c].n && err == CAS_OK; i++) {
            const struct status_line *line = &list[c].line[i];
            json_t *item = json_object();
            view_set_text(item, "class", class_name[c]);
            view_set_count(item, "n", line->n);
            view_set_text(item, "words", line->words);
            view_set_text(item, "detail", line->detail);
            err = view_set_fold(item, "servers", scene->inventory, line->at, line->n);
            json_array_append_new(items, item);
        }
    }
    json_object_set_new(document, "items", items);
    return err;
}

static json_t *recent_json(const struct view_scene *scene)
{
    size_t proved = 0, failed = 0, ordered = 0, others = 0;
    for (size_t r = 0; r < rollout_book_size(scene->book); r++) {
        const struct rollout *rollout = rollout_at(scene->book, r);
        for (size_t s = 0; s < rollout->step_n; s++) {
            const struct rollout_step *step = &rollout->step[s];
            if (step->result_ms == 0 || view_age(scene, step->result_ms) > STATUS_RECENT_MS)
                continue;
            ordered++;
            proved += step->state == STEP_CLOSED;
            failed += step->state == STEP_FAILED || step->state == STEP_UNKNOWN;
        }
    }
    for (size_t i = 0; i < inventory_size(scene->inventory); i++) {
        const struct inventory_server *server = inventory_at(scene->inventory, i);
        bool is_ours = false;
        if (server->recycled_ms == 0 || view_age(scene, server->recycled_ms) > STATUS_RECENT_MS)
            continue;
        for (size_t r = 0; r < rollout_book_size(scene->book) && !is_ours; r++) {
            const struct rollout *rollout = rollout_at(scene->book, r);
            for (size_t s = 0; s < rollout->step_n && !is_ours; s++)
                is_ours = rollout->step[s].server_id == server->id &&
                          rollout->step[s].evidence.pid_after == server->live.pid;
        }
        others += !is_ours;
    }
    json_t *recent = json_object();
    view_set_count(recent, "hours", STATUS_RECENT_MS / 3600000);
    view_set_count(recent, "recycles", ordered);
    view_set_count(recent, "proved", proved);
    view_set_count(recent, "failed", failed);
    view_set_count(recent, "by_others", others);
    return recent;
}

/* Open rollouts; true when one of them waits for the operator. */
static bool open_rollouts(const struct view_scene *scene, json_t *document, json_t *next)
{
    json_t *list = json_array();
    bool is_waiting = false;
    for (size_t r = 0; r < rollout_book_size(scene->book); r++) {
        const struct rollout *rollout = rollout_at(scene->book, r);
        bool is_over = rollout->state == ROLLOUT_DONE || rollout->state == ROLLOUT_ENDED ||
                       rollout->state == ROLLOUT_MISSED;
        if (is_over)
            continue;
        bool needs_attention = false;
        json_t *item = view_rollout_json(scene, rollout, &needs_attention);
        json_object_del(item, "items");
        json_object_del(item, "next");
        json_array_append_new(list, item);
        char id[24], command[64];
        struct cas_text text = CAS_TEXT(command);
        view_rollout_id(rollout->seq, id);
        bool is_halted = rollout->state == ROLLOUT_HALTED || rollout->state == ROLLOUT_PAUSED;
        cas_text_add(&text, "casfleet %s %s", is_halted ? "why" : "recycle watch", id);
        view_add_next(next, command, NULL);
        is_waiting |= rollout->state == ROLLOUT_HALTED;
    }
    json_object_set_new(document, "rollouts", list);
    return is_waiting;
}

/* Who carries its users meanwhile, and whether the site's usual floor lets it go. */
static void carriers(const struct view_scene *scene,
                     const struct inventory_server *server,
                     struct cas_text *text)
{
    const char *site = server->label[LABEL_SITE];
    size_t others = 0;
    uint32_t size = 0;
    for (size_t i = 0; i < inventory_size(scene->inventory); i++) {
        const struct inventory_server *other = inventory_at(scene->inventory, i);
        if (strcmp(other->label[LABEL_SITE], site) != 0 || other->admission == ADMISSION_REVOKED)
            continue;
        size++;
        others += other != server && inventory_service_of(other, scene->now.mono_ms) == SERVICE_UP;
    }
    struct rollout_wish usual;
    rollout_wish_default(&usual, scene->now);
    uint32_t may = rollout_may_be_out(size, usual.floor_pct);
    uint32_t out = rollout_out_now(scene->book, scene->inventory, site, scene->now.mono_ms);
    bool is_out = inventory_service_of(server, scene->now.mono_ms) != SERVICE_UP;
    out -= is_out && out > 0 ? 1 : 0;
    cas_text_add(text, "%zu other%s can carry it; ", others, others == 1 ? "" : "s");
    if (may == 0)
        cas_text_add(text, "a site of %u lets none be out: say --floor", size);
    else if (out >= may)
        cas_text_add(text,
                     "%u of the other %u are out, which is all the floor allows",
                     out,
                     size - 1);
    else
        cas_text_add(text, "%u of %u may be out, %u of the others are", may, size, out);
}

/* The first thing to do for the worst line. */
static void suggest(const struct view_scene *scene, const struct status_list *need, json_t *next)
{
    for (size_t i = 0; i < need->n && json_array_size(next) < 4; i++) {
        const struct inventory_server *server = inventory_at(scene->inventory, need->line[i].at[0]);
        char command[160], detail[160] = "";
        struct cas_text text = CAS_TEXT(command), detail_text = CAS_TEXT(detail);
        /* What a recycle is for; a server that already failed in a rollout is looked at first. */
        bool is_sick = inventory_service_of(server, scene->now.mono_ms) == SERVICE_SICK &&
                       view_rollout_of(scene, server->id, &(size_t){0}) == NULL;
        bool is_ports = is_sick || strstr(need->line[i].words, "ports") != NULL;
        cas_text_add(&text,
                     is_ports ? "casfleet recycle plan %s" : "casfleet why %s",
                     server->name);
        if (is_ports)
            carriers(scene, server, &detail_text);
        view_add_next(next, command, detail);
    }
    if (scene->waiting_n > 0)
        view_add_next(next, "casfleet agent list --pending", "keys wait for approval");
}

/* Of the servers that lack the fix, the one whose worker has run longest: what is due next. */
static json_t *due_json(const struct view_scene *scene, json_t *next)
{
    const struct inventory_server *oldest = NULL;
    for (size_t i = 0; i < inventory_size(scene->inventory); i++) {
        const struct inventory_server *server = inventory_at(scene->inventory, i);
        bool is_one = server->admission == ADMISSION_APPROVED && server->live.pid != 0 &&
                      server->live.start_ms != 0 && server->has_build &&
                      compliance_has_fix(&server->build) == COMPLIANCE_LACKS;
        if (is_one && (oldest == NULL || server->live.start_ms < oldest->live.start_ms))
            oldest = server;
    }
    if (oldest == NULL || view_age(scene, oldest->live.start_ms) < STATUS_DUE_MS)
        return json_null();
    const char *site = oldest->label[LABEL_SITE];
    json_t *due = json_object();
    view_set_text(due, "server", oldest->name);
    view_set_text(due, "group", site);
    json_object_set_new(due, "age_ms", json_integer(view_age(scene, oldest->live.start_ms)));
    char command[160];
    struct cas_text text = CAS_TEXT(command);
    cas_text_add(&text,
                 site[0] == '\0' ? "casfleet recycle plan %s --at 'tonight 01:00'"
                                 : "casfleet recycle plan -l site=%s --at 'tonight 01:00'",
                 site[0] == '\0' ? oldest->name : site);
    view_add_next(next, command, "its oldest worker is due");
    return due;
}

static size_t site_n(const struct inventory *inventory)
{
    size_t n = 0;
    for (size_t i = 0; i < inventory_size(inventory); i++) {
        const char *site = inventory_at(inventory, i)->label[LABEL_SITE];
        bool is_new = site[0] != '\0';
        for (size_t k = 0; k < i && is_new; k++)
            is_new = strcmp(inventory_at(inventory, k)->label[LABEL_SITE], site) != 0;
        n += is_new;
    }
    return n;
}

enum cas_err view_status(const struct view_scene *scene, char **ret_document, bool *ret_attention)
{
    struct status_list *list = calloc(STATUS_CLASS_N, sizeof *list);
    json_t *document = view_begin(scene, "Status");
    json_t *next = json_array();
    enum cas_err err = list == NULL || document == NULL ? CAS_ERR_NOMEM : CAS_OK;
    struct status_sums sums = {0};
    for (size_t i = 0; i < inventory_size(scene->inventory) && err == CAS_OK; i++)
        err = sort_server(scene, i, list, &sums);
    if (err == CAS_OK)
        err = view_set_coming(scene, document, NULL);
    bool is_waiting = false;
    if (err == CAS_OK) {
        err = items_json(scene, list, document);
        is_waiting = open_rollouts(scene, document, next);
        suggest(scene, &list[STATUS_NEED], next);
        bool is_idle = json_array_size(json_object_get(document, "rollouts")) == 0;
        json_object_set_new(document, "due", is_idle ? due_json(scene, next) : json_null());
    }
    view_set_count(document, "servers", sums.approved);
    view_set_count(document, "sites", site_n(scene->inventory));
    view_set_count(document, "healthy", sums.healthy);
    view_set_count(document, "under_way", sums.under_way);
    json_object_set_new(document, "oldest_age_ms", json_integer(sums.oldest_age_ms));
    view_set_time(document, "started_ms", scene->started_ms);
    view_set_text(document, "trouble", scene->trouble);
    view_set_time(document, "trouble_ms", scene->trouble == NULL ? 0 : scene->trouble_ms);
    view_set_count(document, "waiting", scene->waiting_n);
    json_object_set_new(document, "recent", recent_json(scene));
    json_object_set_new(document, "next", next);
    bool is_attention =
        scene->trouble != NULL || is_waiting || (list != NULL && list[STATUS_NEED].n > 0);
    for (int c = 0; list != NULL && c < STATUS_CLASS_N; c++) {
        for (size_t i = 0; i < list[c].n; i++)
            free(list[c].line[i].at);
    }
    free(list);
    if (err != CAS_OK) {
        json_decref(document);
        return err;
    }
    *ret_attention = is_attention;
    return view_finish(document, ret_document);
}
