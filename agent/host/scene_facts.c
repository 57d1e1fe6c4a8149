#include "agent/host/scene.h"

#include <string.h>

struct fact_list {
    struct host_fact *fact;
    size_t cap;
    size_t n;
};

bool scene_fact_add(struct host_fact *fact,
                    size_t cap,
                    size_t *n,
                    const char *key,
                    const char *value,
                    const char *reason)
{
    if (*n >= cap)
        return false;
    struct host_fact *made = &fact[(*n)++];
    *made = (struct host_fact){.is_known = value != NULL};
    struct cas_text key_text = CAS_TEXT(made->key);
    struct cas_text value_text = CAS_TEXT(made->value);
    struct cas_text reason_text = CAS_TEXT(made->reason);
    cas_text_add(&key_text, "%s", key);
    cas_text_add(&value_text, "%s", value != NULL ? value : "");
    cas_text_add(&reason_text, "%s", value != NULL ? "" : reason);
    scene_clean(made->value);
    scene_clean(made->reason);
    return true;
}

static void
add(struct fact_list *list, const char *key, const char *value, const struct scene_reason *reason)
{
    bool is_known = reason == NULL || reason->text[0] == '\0';
    const char *words = is_known ? "not told" : reason->text;
    (void)scene_fact_add(list->fact, list->cap, &list->n, key, is_known ? value : NULL, words);
}

static void
add_number(struct fact_list *list, const char *key, double value, const struct scene_reason *reason)
{
    char digits[32] = "";
    struct cas_text text = CAS_TEXT(digits);
    bool is_known = cas_is_number(value) && value >= 0;
    cas_text_add(&text, "%.0f", is_known ? value : 0);
    add(list, key, is_known ? digits : NULL, reason);
}

/* ---- Exchange ---- */

static bool build_of(const char *version, struct capture_build *ret_build)
{
    enum capture_build_form form;
    return capture_build_parse(cas_slice_of(version), ret_build, &form, NULL) == CAS_OK;
}

/* The fourth part differs by the security update installed; the first three only after a
 * cumulative update that went half through. */
static bool is_mismatch(const struct scene_exchange *exchange)
{
    struct capture_build file;
    struct capture_build registry;
    if (!exchange->has_file || !exchange->has_registry)
        return false;
    if (!build_of(exchange->file, &file) || !build_of(exchange->registry, &registry))
        return strcmp(exchange->file, exchange->registry) != 0;
    return file.part[0] != registry.part[0] || file.part[1] != registry.part[1] ||
           file.part[2] != registry.part[2];
}

static void add_build(const struct scene *scene, struct fact_list *list)
{
    const struct scene_exchange *exchange = &scene->exchange;
    struct scene_reason reason = scene->no_exchange;
    struct cas_text text = CAS_TEXT(reason.text);
    const char *product = NULL;
    struct capture_build build;
    if (reason.text[0] == '\0' && !exchange->has_file) {
        cas_text_clear(&text);
        cas_text_add(&text,
                     "%s%s%s",
                     exchange->missing.text[0] != '\0' ? exchange->missing.text
                                                       : "ExSetup.exe was not found",
                     exchange->has_registry ? "; the registry says " : "",
                     exchange->has_registry ? exchange->registry : "");
    }
    add(list, "exchange.build", exchange->file, &reason);
    if (exchange->has_file && build_of(exchange->file, &build))
        product = capture_product(&build);
    else if (exchange->has_registry && build_of(exchange->registry, &build))
        product = capture_product(&build);
    if (reason.text[0] == '\0' && product == NULL) {
        cas_text_clear(&text);
        cas_text_add(&text, "no Exchange of 2013 or later has version %s", exchange->file);
    }
    if (product != NULL)
        reason.text[0] = '\0';
    add(list, "exchange.product", product, &reason);
}

static void add_exchange(const struct scene *scene, struct fact_list *list)
{
    const struct scene_exchange *exchange = &scene->exchange;
    const char *roles = exchange->has_mailbox && exchange->has_cas ? "both"
                        : exchange->has_mailbox                    ? "mailbox"
                        : exchange->has_cas                        ? "cas"
                                                                   : NULL;
    add_build(scene, list);
    struct scene_reason reason = scene->no_exchange;
    struct cas_text text = CAS_TEXT(reason.text);
    if (reason.text[0] == '\0' && roles == NULL)
        cas_text_add(&text, "the registry has no role's key");
    add(list, "exchange.roles", roles, &reason);
    add(list, "setup.running", exchange->is_setup_running ? "yes" : "no", &scene->no_exchange);
    if (scene->no_exchange.text[0] != '\0' || !is_mismatch(exchange))
        return;
    char words[128];
    struct cas_text told = CAS_TEXT(words);
    cas_text_clear(&told);
    cas_text_add(&told,
                 "the registry says %s, ExSetup.exe is %s: an update went half through",
                 exchange->registry,
                 exchange->file);
    add(list, "exchange.mismatch", words, NULL);
}

/* What anybody holds inactive, with our own; the pool's maintenance tells only what keeps clients
 * off. */
static void add_states(const struct scene *scene, struct fact_list *list)
{
    char words[256];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    if (scene->states == NULL || scene->no_states.text[0] != '\0') {
        add(list, "exchange.inactive", NULL, &scene->no_states);
        return;
    }
    for (size_t i = 0; i < scene->states->row_n; i++) {
        const struct scene_state *row = &scene->states->row[i];
        if (!row->is_active)
            cas_text_add(&text,
                         "%s%s by %s",
                         text.used > 0 ? ", " : "",
                         row->component,
                         row->requester);
    }
    add(list, "exchange.inactive", text.used > 0 ? words : "none", NULL);
    if (scene->states->refused_n > 0)
        add(list, "exchange.states", NULL, &scene->states->refused);
}

/* ---- the pool's settings ---- */

/* As appcmd takes it, days as hours. */
static void add_span(struct fact_list *list, const char *key, bool has_span, int64_t span_ms)
{
    char words[64];
    struct cas_text text = CAS_TEXT(words);
    long long span_s = (long long)span_ms / 1000;
    cas_text_clear(&text);
    if (span_ms > 0)
        cas_text_add(&text, "%02lld:%02lld:%02lld", span_s / 3600, span_s / 60 % 60, span_s % 60);
    else
        cas_text_add(&text, "off");
    if (has_span)
        add(list, key, words, NULL);
}

static void add_limit(struct fact_list *list, const char *key, bool has_limit, int64_t limit)
{
    if (has_limit && limit > 0)
        add_number(list, key, (double)limit, NULL);
    else if (has_limit)
        add(list, key, "off", NULL);
}

/* Limits left by somebody recycle the pool at any hour; Microsoft's own checker marks them red. */
static void add_settings(const struct scene *scene, struct fact_list *list)
{
    const struct capture_settings *settings = &scene->settings;
    if (scene->no_settings.text[0] != '\0') {
        add(list, "pool.settings", NULL, &scene->no_settings);
        return;
    }
    add_span(list, "pool.restart.time", settings->has_restart_time_ms, settings->restart_time_ms);
    add_limit(list,
              "pool.restart.requests",
              settings->has_restart_requests,
              settings->restart_requests);
    add_limit(list,
              "pool.restart.memory_kb",
              settings->has_restart_memory_kb,
              settings->restart_memory_kb);
    add_limit(list,
              "pool.restart.private_kb",
              settings->has_restart_private_kb,
              settings->restart_private_kb);
    add_number(list, "pool.restart.schedules", (double)settings->schedule_n, NULL);
    if (settings->has_overlap_off)
        add(list, "pool.overlap", settings->overlap_off != 0 ? "off" : "on", NULL);
    add_span(list,
             "pool.shutdown_limit",
             settings->has_shutdown_limit_ms,
             settings->shutdown_limit_ms);
    add_span(list, "pool.idle_timeout", settings->has_idle_timeout_ms, settings->idle_timeout_ms);
    add_limit(list, "pool.queue_length", settings->has_queue_length, settings->queue_length);
}

/* ---- all of them ---- */

static void add_probes(const struct scene *scene, struct fact_list *list)
{
    static const char *const keys[SCENE_PROBES] = {"health.443", "health.444"};
    const char *host_name = scene->no_system.text[0] == '\0' ? scene->system.host_name : "";
    for (size_t i = 0; i < SCENE_PROBES; i++) {
        const struct scene_probe *probe = &scene->probe[i];
        bool is_made = probe->status != 0 || probe->reason.text[0] != '\0';
        struct scene_reason reason = scene->no_probe;
        if (reason.text[0] != '\0' || !is_made)
            continue;
        enum pool_health health = scene_probe_judge(probe, i, host_name, &reason);
        const char *words = health == HEALTH_GOOD ? "good" : reason.text;
        add(list, keys[i], words, NULL);
    }
}

void scene_facts(const struct scene *scene, struct host_fact *ret_fact, size_t cap, size_t *ret_n)
{
    struct fact_list list = {.fact = ret_fact, .cap = cap};
    const struct scene_system *system = &scene->system;
    add(&list, "host.kind", "windows", NULL);
    add(&list,
        "host.name",
        system->host_name[0] != '\0' ? system->host_name : NULL,
        &scene->no_system);
    add(&list, "os.name", system->os_name[0] != '\0' ? system->os_name : NULL, &scene->no_system);
    add_exchange(scene, &list);
    add_states(scene, &list);
    add_number(&list, "ports.start", (double)scene->ports.first, &scene->no_ports);
    add_number(&list, "ports.n", (double)scene->ports.number, &scene->no_ports);
    add_number(&list, "ram.bytes", scene->memory.total_bytes, &scene->no_memory);
    add(&list, "reboot.pending", system->is_reboot_pending ? "yes" : "no", &scene->no_system);
    if (scene->no_system.text[0] == '\0' && system->is_reboot_pending)
        add(&list, "reboot.reason", system->reboot_reason, NULL);
    add_settings(scene, &list);
    add_probes(scene, &list);
    *ret_n = list.n;
}
