#include <stdlib.h>
#include <string.h>

#include "controller/view/view_json.h"
#include "proto/trust/keys.h"

enum {
    VIEW_AUDIT_MOST = 20
};

static void server_build(json_t *item, const struct inventory_server *server)
{
    if (!server->has_build) {
        view_set_text(item, "product", NULL);
        view_set_text(item, "build", NULL);
        view_set_text(item, "update", NULL);
        view_set_text(item, "fix", "unknown");
        return;
    }
    char build[64];
    struct cas_text text = CAS_TEXT(build);
    compliance_text(&server->build, &text);
    view_set_text(item, "build", build);
    view_set_text(item, "product", compliance_product(&server->build));
    char name[96];
    struct cas_text name_text = CAS_TEXT(name);
    compliance_name(&server->build, &name_text);
    view_set_text(item, "update", name);
    view_set_text(item, "fix", view_fix_words(compliance_has_fix(&server->build)));
}

/* null: not held by its own people, as far as is known. */
static json_t *server_held(const struct view_scene *scene, const struct inventory_server *server)
{
    const struct inventory_live *live = &server->live;
    if (!inventory_is_held(server))
        return json_null();
    json_t *held = json_object();
    view_set_text(held, "by", live->held_by);
    view_set_text(held, "reason", live->held_reason);
    view_set_time(held, "since_ms", live->held_since_ms);
    bool has_since = live->held_since_ms != 0;
    json_t *age = has_since ? json_integer(view_age(scene, live->held_since_ms)) : json_null();
    json_object_set_new(held, "age_ms", age);
    return held;
}

static void server_symptoms(json_t *item, const struct inventory_server *server)
{
    const struct inventory_value *value = server->value;
    view_set_value(item, "requests", &value[SYMPTOM_active_requests]);
    view_set_value(item, "private_bytes", &value[SYMPTOM_private_bytes]);
    view_set_value(item, "gc_time_pct", &value[SYMPTOM_gc_time_pct]);
    view_set_value(item, "close_wait", &value[SYMPTOM_close_wait]);
    view_set_value(item, "ports_used", &value[SYMPTOM_ports_used]);
    view_set_value(item, "ports_total", &value[SYMPTOM_ports_total]);
    const struct inventory_value *used = &value[SYMPTOM_ports_used];
    const struct inventory_value *total = &value[SYMPTOM_ports_total];
    bool is_known = used->is_known && total->is_known && total->value > 0;
    json_t *pct = is_known ? json_real(100.0 * used->value / total->value) : json_null();
    json_object_set_new(item, "ports_pct", pct);
}

json_t *view_server_json(const struct view_scene *scene, const struct inventory_server *server)
{
    json_t *item = json_object();
    if (item == NULL)
        return NULL;
    view_set_text(item, "name", server->name);
    for (int label = 0; label < LABEL_N; label++)
        view_set_text(item,
                      inventory_label_name((enum inventory_label)label),
                      server->label[label]);
    server_build(item, server);

    const struct inventory_live *live = &server->live;
    enum inventory_service service = inventory_service_of(server, scene->now.mono_ms);
    view_set_text(item, "state", inventory_service_words(service));
    json_object_set_new(item, "held", server_held(scene, server));
    view_set_text(item, "held_by", inventory_is_held(server) ? live->held_by : NULL);
    bool has_proof = live->proof_mono_ms != 0;
    int64_t proof_age_ms = scene->now.mono_ms - live->proof_mono_ms;
    json_object_set_new(item, "proof_age_ms", has_proof ? json_integer(proof_age_ms) : json_null());
    json_t *can_act = has_proof ? json_boolean(live->is_journal_writable) : json_null();
    json_object_set_new(item, "is_journal_writable", can_act);
    view_set_time(item, "heard_ms", live->heard_ms);
    int64_t sample_ms = server->value[SYMPTOM_workers].at_ms;
    json_t *sample_age = sample_ms == 0 ? json_null() : json_integer(view_age(scene, sample_ms));
    json_object_set_new(item, "sample_age_ms", sample_age);
    server_symptoms(item, server);
    json_object_set_new(item, "worker_pid", live->pid == 0 ? json_null() : json_integer(live->pid));
    bool has_worker = live->pid != 0 && live->start_ms != 0;
    json_t *worker_age = has_worker ? json_integer(view_age(scene, live->start_ms)) : json_null();
    json_object_set_new(item, "worker_age_ms", worker_age);

    size_t step = 0;
    const struct rollout *rollout = view_rollout_of(scene, server->id, &step);
    char id[24] = "";
    if (rollout != NULL)
        view_rollout_id(rollout->seq, id);
    view_set_text(item, "rollout", id);
    return item;
}

enum cas_err
view_server_list(const struct view_scene *scene, const size_t *at, size_t n, char **ret_document)
{
    json_t *document = view_begin(scene, "ServerList");
    json_t *items = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(items,
                              view_server_json(scene, inventory_at(scene->inventory, at[i])));
    json_object_set_new(document, "items", items);
    return view_finish(document, ret_document);
}

static const char *unit_words(enum unit unit)
{
    switch (unit) {
    case UNIT_COUNT:
        return "count";
    case UNIT_BYTES:
        return "bytes";
    case UNIT_PERCENT:
        return "percent";
    case UNIT_PER_S:
        return "per second";
    case UNIT_MS:
        return "ms";
    case UNIT_FLAG:
        return "flag";
    }
    return "count";
}

static json_t *server_all_symptoms(const struct view_scene *scene,
                                   const struct inventory_server *server)
{
    json_t *list = json_array();
    for (int s = 1; s < SYMPTOM_END; s++) {
        enum symptom symptom = (enum symptom)s;
        const struct inventory_value *value = &server->value[s];
        if (symptom_name(symptom) == NULL)
            continue;
        json_t *item = json_object();
        view_set_text(item, "name", symptom_name(symptom));
        view_set_text(item, "words", symptom_words(symptom));
        view_set_text(item, "unit", unit_words(symptom_unit(symptom)));
        view_set_value(item, "value", value);
        const char *reason = value->at_ms == 0 ? "never reported" : inventory_reason(value);
        view_set_text(item, "reason", value->is_known ? NULL : reason);
        json_t *age = value->at_ms == 0 ? json_null() : json_integer(view_age(scene, value->at_ms));
        json_object_set_new(item, "age_ms", age);
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *server_facts(const struct view_scene *scene, const struct inventory_server *server)
{
    json_t *list = json_array();
    for (size_t i = 0; i < server->fact_n; i++) {
        const struct inventory_fact *fact = &server->fact[i];
        json_t *item = json_object();
        view_set_text(item, "key", fact->key);
        view_set_text(item, "value", fact->is_known ? fact->value : NULL);
        view_set_text(item, "reason", fact->is_known ? NULL : fact->reason);
        json_object_set_new(item, "age_ms", json_integer(view_age(scene, fact->at_ms)));
        json_array_append_new(list, item);
    }
    return list;
}

static void add_event(json_t *list, int id, uint64_t count, int64_t last_ms)
{
    json_t *item = json_object();
    json_object_set_new(item, "id", json_integer(id));
    view_set_count(item, "n", (size_t)count);
    view_set_time(item, "last_ms", last_ms);
    json_array_append_new(list, item);
}

static json_t *server_steps(const struct view_scene *scene, const struct inventory_server *server)
{
    json_t *list = json_array();
    for (size_t r = rollout_book_size(scene->book); r > 0; r--) {
        const struct rollout *rollout = rollout_at(scene->book, r - 1);
        for (size_t s = 0; s < rollout->step_n; s++) {
            const struct rollout_step *step = &rollout->step[s];
            if (step->server_id != server->id)
                continue;
            json_t *item = json_object();
            char id[24];
            view_rollout_id(rollout->seq, id);
            view_set_text(item, "id", id);
            view_set_text(item, "state", rollout_step_words(step->state));
            view_set_text(item, "words", step->evidence.text);
            view_set_time(item, "closed_ms", step->closed_ms);
            json_array_append_new(list, item);
        }
    }
    return list;
}

static void on_audit(void *context, uint64_t id, const struct store_audit *audit)
{
    json_t *item = json_object();
    json_object_set_new(item, "id", json_integer((json_int_t)id));
    view_set_time(item, "at_ms", audit->at_ms);
    view_set_text(item, "who", audit->who);
    view_set_text(item, "verb", audit->verb);
    view_set_text(item, "words", audit->words);
    json_array_append_new(context, item);
}

static json_t *server_whole(const struct view_scene *scene, const struct inventory_server *server)
{
    json_t *item = view_server_json(scene, server);
    if (item == NULL)
        return NULL;
    struct keys_public key;
    memcpy(key.byte, server->key, sizeof key.byte);
    char fingerprint[KEYS_FINGERPRINT_BYTES];
    keys_fingerprint(&key, fingerprint);
    view_set_zone(scene, item, server->label[LABEL_SITE]);
    view_set_text(item, "fingerprint", fingerprint);
    view_set_time(item, "approved_ms", server->approved_ms);
    view_set_text(item, "approved_by", server->approved_by);
    view_set_text(item, "agent_ver", server->live.agent_ver);
    json_object_set_new(item, "skew_ms", json_integer(server->live.skew_ms));
    view_set_text(item, "maintenance", server->live.maintenance);
    view_set_text(item, "health_reason", server->live.health_reason);
    json_object_set_new(item, "facts", server_facts(scene, server));
    json_object_set_new(item, "symptoms", server_all_symptoms(scene, server));
    json_t *events = json_array();
    add_event(events, 4227, server->event_4227_n, server->event_4227_ms);
    add_event(events, 4231, server->event_4231_n, server->event_4231_ms);
    json_object_set_new(item, "events", events);
    json_object_set_new(item, "steps", server_steps(scene, server));

    json_t *audit = json_array();
    struct cas_why why = {0};
    enum cas_err err =
        store_audit_read(scene->store, server->name, VIEW_AUDIT_MOST, on_audit, audit, &why);
    view_set_text(item, "audit_error", err == CAS_OK ? NULL : why.text);
    json_object_set_new(item, "audit", audit);
    return item;
}

enum cas_err
view_server_show(const struct view_scene *scene, const size_t *at, size_t n, char **ret_document)
{
    json_t *document = view_begin(scene, "Server");
    json_t *items = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(items, server_whole(scene, inventory_at(scene->inventory, at[i])));
    json_object_set_new(document, "items", items);
    return view_finish(document, ret_document);
}
