#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/failpoint.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "tests/story/stage.h"
#include "tests/story/stage_disk.h"
#include "tests/story/stage_sql.h"

enum {
    BOOT_MS = 3 * 3600 * 1000, /* how long machines have been up when a story begins */
    AGENT_RESTART_MS = 2000,
    CLOSED_EVERY = 8 /* of so many ends of an agent one has its journals read from the disk anew */
};
static const char week[] = "2026-11-23T00:00:00Z"; /* a Monday */
static uint64_t stories; /* of this program: names of files and databases */

struct cas_now stage_now(const struct story *s, const struct stage_clock *clock)
{
    return (struct cas_now){.wall_ms = s->now_ms + clock->wall_off_ms,
                            .mono_ms = s->now_ms - clock->mono_base_ms};
}

void stage_need(enum cas_err err, const struct cas_why *why, const char *what)
{
    if (err == CAS_OK)
        return;
    (void)fprintf(stderr, "stage: %s: %s: %s\n", what, cas_err_words(err), why->text);
    abort();
}

struct stage_server *stage_find(struct story *s, const char *name)
{
    for (size_t i = 0; i < s->server_n; i++) {
        if (strcmp(s->server[i]->name, name) == 0)
            return s->server[i];
    }
    (void)fprintf(stderr, "stage: no server %s\n", name);
    abort();
}

uint64_t story_throw(struct story *s, uint64_t below)
{
    s->dice += 0x9e3779b97f4a7c15u;
    uint64_t z = s->dice;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

static void random_bytes(void *context, uint8_t *ret_bytes, size_t size)
{
    struct stage_server *server = context;
    for (size_t i = 0; i < size; i++)
        ret_bytes[i] = (uint8_t)story_throw(server->story, 256);
}

static struct keys *keys_from(struct story *s, enum keys_kind kind)
{
    uint8_t seed[CAS_KEY_BYTES];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)story_throw(s, 256);
    struct keys *keys = NULL;
    stage_need(keys_make_from(kind, seed, &keys), &(struct cas_why){""}, "keys");
    return keys;
}

/* ---- the host: the model, with places to die in ---- */

/* The process ends here: nothing below on the stack owns anything but what agent_free frees. */
static void die(struct stage_server *server, enum stage_fault fault)
{
    stage_mark_fault(server->story, fault);
    server->dies_at = POINT_NONE;
    server->is_dying = true;
    longjmp(server->way_out, 1);
}

static struct stage_server *server_of(struct host *host)
{
    return ((struct stage_host *)host)->server;
}

static enum cas_err host_read(struct host *host,
                              struct cas_now now,
                              const char *pool,
                              struct host_reading *ret_reading,
                              size_t cap,
                              size_t *ret_n,
                              struct cas_why *why)
{
    struct host *model = server_of(host)->model;
    return model->ops->read(model, now, pool, ret_reading, cap, ret_n, why);
}

static enum cas_err host_pool(struct host *host,
                              struct cas_now now,
                              const char *pool,
                              struct host_pool *ret_pool,
                              struct cas_why *why)
{
    struct stage_server *server = server_of(host);
    enum cas_err err = server->model->ops->pool(server->model, now, pool, ret_pool, why);
    server->seen_health = err == CAS_OK ? ret_pool->health : HEALTH_UNKNOWN;
    server->seen_in_service =
        err == CAS_OK && !ret_pool->is_drained && ret_pool->maintenance[0] == '\0';
    return err;
}

static enum cas_err host_events(struct host *host,
                                struct cas_now now,
                                const char *bookmark,
                                struct host_event *ret_event,
                                size_t cap,
                                size_t *ret_n,
                                char ret_bookmark[REASON_BYTES],
                                struct cas_why *why)
{
    struct host *model = server_of(host)->model;
    return model->ops->events(model, now, bookmark, ret_event, cap, ret_n, ret_bookmark, why);
}

static enum cas_err host_facts(struct host *host,
                               struct cas_now now,
                               struct host_fact *ret_fact,
                               size_t cap,
                               size_t *ret_n,
                               struct cas_why *why)
{
    struct host *model = server_of(host)->model;
    return model->ops->facts(model, now, ret_fact, cap, ret_n, why);
}

static enum cas_err host_begin(struct host *host,
                               struct cas_now now,
                               enum verb verb,
                               const char *pool,
                               const uint8_t cmd_id[CAS_ID_BYTES],
                               int64_t deadline_ms,
                               struct cas_why *why)
{
    struct stage_server *server = server_of(host);
    if (server->dies_at == POINT_INTENT)
        die(server, FAULT_dies_intent);
    enum cas_err err =
        server->model->ops->begin(server->model, now, verb, pool, cmd_id, deadline_ms, why);
    if (server->dies_at == POINT_ACT && verb == VERB_recycle)
        die(server, FAULT_dies_act);
    return err;
}

static enum cas_err
host_poll(struct host *host, struct cas_now now, struct host_act *ret_act, struct cas_why *why)
{
    struct host *model = server_of(host)->model;
    return model->ops->poll(model, now, ret_act, why);
}

static const struct host_ops stage_host_ops = {
    .read = host_read,
    .pool = host_pool,
    .events = host_events,
    .facts = host_facts,
    .begin = host_begin,
    .poll = host_poll,
};

/* ---- an agent's process ---- */

static void agent_send_up(void *context, struct cas_slice frame)
{
    struct stage_server *server = context;
    if (server->dies_at == POINT_OUTCOME && stage_type(frame) == MESSAGE_result)
        die(server, FAULT_dies_outcome);
    stage_send_up(server, frame);
}

void stage_agent_end(struct stage_server *server)
{
    stage_disk_story(server->story->number);
    agent_free(server->agent);
    server->agent = NULL;
    if (story_throw(server->story, CLOSED_EVERY) == 0)
        stage_disk_closed(server->disk);
    server->stopped_until_ms = 0;
    server->is_dying = false;
    host_sim_revive(server->model);
    stage_net_lost(server);
}

static void ends_by_fault(struct stage_server *server)
{
    struct story *s = server->story;
    stage_effects(server);
    stage_agent_end(server);
    stage_line_add(s, false, "dies %s", server->name);
    if (server->dies_restart_ms >= 0)
        server->restart_ms = s->now_ms + server->dies_restart_ms;
}

static void agent_begin(struct stage_server *server)
{
    struct story *s = server->story;
    stage_disk_story(s->number);
    struct cas_now now = stage_now(s, &server->clock);
    struct agent_settings settings = {.host = &server->host.host,
                                      .self = server->key,
                                      .command = keys_public_of(s->command_keys),
                                      .ledger_path = server->ledger_path,
                                      .outbox_path = server->outbox_path,
                                      .hold_path =
                                          s->settings.has_no_holds ? NULL : server->hold_path,
                                      .outbox_bytes = s->settings.outbox_bytes,
                                      .sample_ms = s->settings.sample_ms,
                                      .pool = {STAGE_POOL},
                                      .pool_n = 1,
                                      .seed = s->settings.seed + server->index,
                                      .send = agent_send_up,
                                      .random = random_bytes,
                                      .context = server};
    struct cas_why why = {.text = ""};
    stage_need(agent_open(&settings, now, &server->agent, &why), &why, server->name);
    server->restart_ms = 0;
    server->due_ms = s->now_ms;
    server->dial_ms = s->now_ms + 500;
}

static void after_call(struct stage_server *server)
{
    if (server->is_dying || host_sim_is_dead(server->model))
        ends_by_fault(server);
    else
        stage_effects(server);
}

/* A time beyond what the agent asked for is harmless; one in the past would stand still. */
static void due_set(struct stage_server *server, int64_t due_mono_ms)
{
    struct story *s = server->story;
    int64_t due_ms =
        due_mono_ms >= INT64_MAX / 2 ? s->now_ms + 60000 : due_mono_ms + server->clock.mono_base_ms;
    server->due_ms = due_ms > s->now_ms ? due_ms : s->now_ms + 1;
}

static void agent_step(struct stage_server *server)
{
    if (setjmp(server->way_out) == 0)
        due_set(server, agent_tick(server->agent, stage_now(server->story, &server->clock)));
    after_call(server);
}

void stage_agent_connected(struct stage_server *server)
{
    if (setjmp(server->way_out) == 0)
        agent_on_connected(server->agent, stage_now(server->story, &server->clock));
    server->due_ms = server->story->now_ms;
    after_call(server);
}

void stage_agent_frame(struct stage_server *server, struct cas_slice bytes)
{
    if (server->dies_at == POINT_GRANT && stage_type(bytes) == MESSAGE_grant) {
        server->dies_at = POINT_NONE;
        stage_mark_fault(server->story, FAULT_dies_grant);
        ends_by_fault(server);
        return;
    }
    if (setjmp(server->way_out) == 0)
        agent_on_frame(server->agent, bytes, stage_now(server->story, &server->clock));
    server->due_ms = server->story->now_ms;
    after_call(server);
}

/* ---- the controller's process ---- */

static void controller_begin(struct story *s)
{
    stage_disk_story(s->number);
    char operators[512];
    struct cas_text text = CAS_TEXT(operators);
    cas_text_clear(&text);
    cas_text_add(&text, "%s-operators", s->files);
    struct controller_settings settings = {.store_path = s->uri,
                                           .operators_path = operators,
                                           .command_keys = s->command_keys,
                                           .commit_ms = s->settings.commit_ms,
                                           .send = stage_send_down,
                                           .noted = stage_noted,
                                           .context = s};
    for (size_t i = 0; i < CAS_ID_BYTES; i++)
        settings.leader_id[i] = (uint8_t)story_throw(s, 256);
    struct cas_why why = {.text = ""};
    struct cas_now now = stage_now(s, &s->controller_clock);
    stage_need(controller_open(&settings, now, &s->controller, &why), &why, "controller");
    s->controller_restart_ms = 0;
    s->controller_due_ms = s->now_ms;
    s->is_usurped = false;
    stage_admissions(s); /* a restored database may have lost a word */
    if (s->is_disk_full)
        store_page_limit(controller_store(s->controller), 1);
}

static void controller_end(struct story *s)
{
    s->commits_before += controller_counts_of(s->controller).commits;
    controller_free(s->controller);
    s->controller = NULL;
    s->controller_stopped_until_ms = 0;
    s->is_controller_dying = false;
    for (size_t i = 0; i < s->server_n; i++) {
        if (s->server[i]->is_up)
            stage_net_lost(s->server[i]);
    }
    stage_line_add(s, false, "the controller dies");
}

/* After each call: has it died meanwhile, and until when may it sleep? */
static void controller_after(struct story *s)
{
    stage_mark_steps(s);
    bool is_over = s->dies_after > 0 && story_commits(s) >= s->dies_after;
    if (s->is_controller_dying || is_over) {
        s->dies_after = 0;
        controller_end(s);
        if (s->dies_restart_ms >= 0)
            s->controller_restart_ms = s->now_ms + s->dies_restart_ms;
        return;
    }
    int64_t wait_ms = controller_wait_ms(s->controller, stage_now(s, &s->controller_clock));
    int64_t due_ms = s->now_ms + (wait_ms > 0 ? wait_ms : 1);
    if (due_ms < s->controller_due_ms || s->controller_due_ms <= s->now_ms)
        s->controller_due_ms = due_ms;
}

void stage_controller_frame(struct story *s, const struct channel_frame *frame)
{
    controller_frame(s->controller, frame, stage_now(s, &s->controller_clock));
    controller_after(s);
}

static void controller_step(struct story *s)
{
    if (s->controller_stopped_until_ms <= s->now_ms)
        s->controller_stopped_until_ms = 0;
    struct cas_why why = {.text = ""};
    enum cas_err err = controller_tick(s->controller, stage_now(s, &s->controller_clock), &why);
    if (err == CAS_ERR_FENCED && s->is_usurped) {
        stage_line_add(s, true, "the controller is fenced");
        controller_end(s);
        return;
    }
    if (err != CAS_OK)
        stage_break(s, "the controller ends by itself: %s", why.text);
    controller_after(s);
}

/* ---- time ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A process that is stopped does nothing, and goes on where it was. */
static int64_t agent_due(const struct stage_server *server)
{
    return server->due_ms > server->stopped_until_ms ? server->due_ms : server->stopped_until_ms;
}

static int64_t controller_due(const struct story *s)
{
    return s->controller_due_ms > s->controller_stopped_until_ms ? s->controller_due_ms
                                                                 : s->controller_stopped_until_ms;
}

static int64_t next_due(const struct story *s)
{
    int64_t due_ms = stage_net_due(s);
    if (s->controller != NULL)
        due_ms = least(due_ms, controller_due(s));
    else if (s->controller_restart_ms > 0)
        due_ms = least(due_ms, s->controller_restart_ms);
    for (size_t i = 0; i < s->server_n; i++) {
        const struct stage_server *server = s->server[i];
        if (server->agent != NULL)
            due_ms = least(due_ms, agent_due(server));
        else if (server->restart_ms > 0)
            due_ms = least(due_ms, server->restart_ms);
    }
    return due_ms;
}

static void pass_instant(struct story *s)
{
    if (s->controller == NULL && s->controller_restart_ms > 0 &&
        s->now_ms >= s->controller_restart_ms)
        controller_begin(s);
    stage_net_pass(s);
    for (size_t i = 0; i < s->server_n; i++) {
        struct stage_server *server = s->server[i];
        if (server->agent == NULL && server->restart_ms > 0 && s->now_ms >= server->restart_ms)
            agent_begin(server);
        if (server->agent != NULL && s->now_ms >= agent_due(server))
            agent_step(server);
    }
    if (s->controller != NULL && s->now_ms >= controller_due(s))
        controller_step(s);
}

static void pass_until(struct story *s, int64_t end_ms)
{
    stage_disk_story(s->number);
    for (;;) {
        int64_t due_ms = next_due(s);
        if (due_ms > end_ms)
            break;
        if (due_ms > s->now_ms)
            s->now_ms = due_ms;
        pass_instant(s);
    }
    s->now_ms = end_ms;
}

void story_pass(struct story *s, int64_t span_ms)
{
    pass_until(s, s->now_ms + span_ms);
}

int64_t stage_clock_next(const struct story *s, const char *clock)
{
    int64_t hour = 0, minute = 0, second = 0;
    size_t size = strlen(clock);
    bool is_good =
        size >= 5 && cas_parse_i64((struct cas_slice){clock, 2}, 0, 23, &hour, NULL) == CAS_OK;
    is_good =
        is_good && cas_parse_i64((struct cas_slice){clock + 3, 2}, 0, 59, &minute, NULL) == CAS_OK;
    if (is_good && size == 8)
        is_good = cas_parse_i64((struct cas_slice){clock + 6, 2}, 0, 59, &second, NULL) == CAS_OK;
    CAS_ASSERT(is_good);
    int64_t day_ms = 24 * 3600 * 1000;
    int64_t at_ms = s->now_ms / day_ms * day_ms + ((hour * 60 + minute) * 60 + second) * 1000;
    return at_ms >= s->now_ms ? at_ms : at_ms + day_ms;
}

int64_t story_utc(const char *text)
{
    int64_t wall_ms = 0;
    struct cas_why why = {.text = ""};
    stage_need(cas_parse_utc(cas_slice_of(text), &wall_ms, &why), &why, "an instant");
    return wall_ms;
}

void story_wall_until(struct story *s, const char *text, int64_t *wall_now_ms)
{
    int64_t wall_ms = story_utc(text);
    story_pass(s, wall_ms - *wall_now_ms);
    *wall_now_ms = wall_ms;
}

void story_until(struct story *s, const char *clock)
{
    pass_until(s, stage_clock_next(s, clock));
}

int64_t story_now(const struct story *s)
{
    return s->now_ms;
}

/* ---- begin and end ---- */

static int64_t start_of(const char *start)
{
    static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    struct story at = {.now_ms = 0};
    stage_need(cas_parse_utc(cas_slice_of(week), &at.now_ms, NULL), &(struct cas_why){""}, week);
    for (size_t i = 0; i < CAS_COUNT(days); i++) {
        if (strncmp(start, days[i], 3) == 0)
            at.now_ms += (int64_t)i * 24 * 3600 * 1000;
    }
    return stage_clock_next(&at, start + 4);
}

static void
operator_add(struct story *s, struct cas_text *text, const char *who, struct keys_public *ret)
{
    char key[KEYS_TEXT_BYTES];
    struct keys *keys = keys_from(s, KEYS_CURVE);
    *ret = keys_public_of(keys);
    keys_free(keys);
    keys_text(ret, key);
    cas_text_add(text, "%s %s\n", who, key);
}

static void operators_write(struct story *s)
{
    char path[512], lines[320];
    struct cas_text at = CAS_TEXT(path), text = CAS_TEXT(lines);
    cas_text_clear(&at);
    cas_text_clear(&text);
    cas_text_add(&at, "%s-operators", s->files);
    operator_add(s, &text, "anna admin", &s->operator_key);
    operator_add(s, &text, "vera viewer", &s->viewer_key);
    struct cas_why why = {.text = ""};
    stage_need(file_write(path, (struct cas_slice){lines, text.used}, FILE_PUBLIC, &why),
               &why,
               path);
}

static void line_drop(void *arg, enum event event, const char *text)
{
    (void)arg;
    (void)event;
    if (getenv("STORY_LOG") != NULL)
        (void)fprintf(stderr, "%s\n", text);
}

static struct cas_now log_now(void *arg)
{
    const struct story *s = *(struct story **)arg;
    return (struct cas_now){.wall_ms = s == NULL ? 0 : s->now_ms,
                            .mono_ms = s == NULL ? 0 : s->now_ms};
}
static struct story *told; /* whose time the log tells */

static void effects_broken(void *context, const char *words)
{
    stage_break(context, "%s", words);
}

struct story *story_begin(const struct story_settings *settings)
{
    struct cas_why why = {.text = ""};
    stage_need(keys_start(&why), &why, "keys");
    stage_disk_on();
    stage_disk_seed(settings->seed);
    struct story *s = calloc(1, sizeof *s);
    CAS_ASSERT(s != NULL);
    s->settings = *settings;
    if (s->settings.commit_ms == 0)
        s->settings.commit_ms = 100;
    s->dice = settings->seed * 0x9e3779b97f4a7c15u + 1;
    s->number = ++stories;
    struct cas_text files = CAS_TEXT(s->files);
    cas_text_add(&files,
                 "%s/%llu-%llu",
                 settings->folder,
                 (unsigned long long)s->number,
                 (unsigned long long)settings->seed);
    s->now_ms = start_of(settings->start);
    s->net = (struct story_net){.delay_ms = 2};
    told = s;
    log_set_stage(&(struct log_stage){.now = log_now, .line = line_drop, .arg = &told});
    s->controller_clock.mono_base_ms = s->now_ms - BOOT_MS;
    s->command_keys = keys_from(s, KEYS_SIGN);
    s->check = check_make(effects_broken, s);
    operators_write(s);
    struct cas_text uri = CAS_TEXT(s->uri);
    cas_text_clear(&uri);
    cas_text_add(&uri, "file:/story-%llu?vfs=memdb", (unsigned long long)s->number);
    stage_disk_story(s->number);
    stage_need(store_memory_open(s->uri, &s->memory, &why), &why, s->uri);
    controller_begin(s);
    return s;
}

void story_free(struct story *s)
{
    if (s == NULL)
        return;
    stage_disk_story(s->number);
    failpoint_set(NULL);
    stage_sql_full(s->uri, false);
    for (size_t i = 0; i < s->server_n; i++) {
        struct stage_server *server = s->server[i];
        agent_free(server->agent);
        host_free(server->model);
        keys_free(server->keys);
        stage_disk_wipe(server->disk);
        (void)remove(server->hold_path);
        free(server);
    }
    controller_free(s->controller);
    store_memory_free(s->memory);
    stage_sql_drop(NULL);
    keys_free(s->command_keys);
    stage_net_free(s);
    check_free(s->check);
    free(s->document);
    free(s->line);
    told = NULL;
    free(s);
}

/* ---- servers ---- */

static struct stage_server *server_add(struct story *s, const char *site, const char *name)
{
    CAS_ASSERT(s->server_n < STORY_SERVERS);
    struct stage_server *server = calloc(1, sizeof *server);
    CAS_ASSERT(server != NULL);
    server->story = s;
    server->index = s->server_n;
    struct cas_text name_text = CAS_TEXT(server->name), site_text = CAS_TEXT(server->site);
    struct cas_text disk = CAS_TEXT(server->disk);
    struct cas_text ledger = CAS_TEXT(server->ledger_path), outbox = CAS_TEXT(server->outbox_path);
    cas_text_add(&name_text, "%s", name);
    cas_text_add(&site_text, "%s", site);
    cas_text_add(&disk, "/%s", name);
    cas_text_add(&ledger, "%s.ledger", server->disk);
    cas_text_add(&outbox, "%s.outbox", server->disk);
    struct cas_text hold = CAS_TEXT(server->hold_path);
    cas_text_add(&hold, "%s-%s.hold", s->files, name);
    server->keys = keys_from(s, KEYS_CURVE);
    server->key = keys_public_of(server->keys);
    server->clock.mono_base_ms = s->now_ms - BOOT_MS - (int64_t)story_throw(s, 100000);
    struct host_sim_settings model;
    host_sim_settings_init(&model);
    struct cas_text model_name = CAS_TEXT(model.name);
    cas_text_clear(&model_name);
    cas_text_add(&model_name, "%s", name);
    model.seed = s->settings.seed * 64 + server->index;
    model.worker_age_ms = 6 * 3600 * 1000;
    struct cas_why why = {.text = ""};
    struct cas_now now = stage_now(s, &server->clock);
    stage_need(host_sim_open(&model, now, &server->model, &why), &why, name);
    server->host = (struct stage_host){.host = {.ops = &stage_host_ops}, .server = server};
    s->server[s->server_n++] = server;
    agent_begin(server);
    return server;
}

void story_stranger(struct story *s, const char *name)
{
    (void)server_add(s, "", name);
}

static void approve(struct story *s, struct stage_server *server)
{
    char key[KEYS_TEXT_BYTES], arg[3][160];
    keys_text(&server->key, key);
    (void)snprintf(arg[0], sizeof arg[0], "name=%s", server->name);
    (void)snprintf(arg[1], sizeof arg[1], "key=%s", key);
    (void)snprintf(arg[2], sizeof arg[2], "site=%s", server->site);
    int exit_code = story_ask(s, "agent.approve", arg[0], arg[1], arg[2], NULL);
    stage_need(exit_code == 0 ? CAS_OK : CAS_ERR_BUG, &(struct cas_why){""}, s->error);
    struct inventory *inventory = controller_inventory(s->controller);
    server->server_id = inventory_by_name(inventory, cas_slice_of(server->name))->id;
    check_approved(s->check, server->index, server->name, server->site, server->server_id);
}

void story_site(struct story *s, const char *site, const char *names)
{
    const char *at = names;
    while (*at != '\0') {
        char name[STORY_NAME_BYTES];
        size_t size = strcspn(at, " ");
        stage_need(cas_slice_copy((struct cas_slice){at, size}, name, sizeof name),
                   &(struct cas_why){""},
                   names);
        approve(s, server_add(s, site, name));
        story_pass(s, 100); /* the operators' rate is limited too */
        at += size + strspn(at + size, " ");
    }
    story_pass(s, 12000);
}

/* ---- what goes wrong ---- */

void story_agent_dies(struct story *s, const char *name, enum story_point at, int64_t restart_ms)
{
    struct stage_server *server = stage_find(s, name);
    server->dies_restart_ms = restart_ms;
    if (at != POINT_NOW) {
        server->dies_at = at;
    } else if (server->agent != NULL) {
        server->dies_at = POINT_NONE;
        ends_by_fault(server);
    }
}

void story_agent_starts(struct story *s, const char *name)
{
    struct stage_server *server = stage_find(s, name);
    if (server->agent == NULL)
        agent_begin(server);
}

void story_power_fails(struct story *s, const char *name, int64_t restart_ms)
{
    struct stage_server *server = stage_find(s, name);
    story_agent_dies(s, name, POINT_NOW, restart_ms);
    stage_disk_story(s->number);
    if (stage_disk_cut(server->disk) > 0)
        stage_line_add(s, false, "the disk of %s loses what was not synced", name);
}

void story_journals_lost(struct story *s, const char *name, int64_t restart_ms)
{
    struct stage_server *server = stage_find(s, name);
    story_agent_dies(s, name, POINT_NOW, restart_ms);
    stage_disk_story(s->number);
    stage_disk_wipe(server->disk);
    stage_line_add(s, false, "the journals of %s are moved away", name);
}

void story_controller_dies(struct story *s, int64_t restart_ms)
{
    if (s->controller != NULL)
        controller_end(s);
    s->controller_restart_ms = restart_ms >= 0 ? s->now_ms + restart_ms : 0;
}

void story_controller_dies_after(struct story *s, uint64_t commit_n, int64_t restart_ms)
{
    s->dies_after = commit_n == 0 ? 0 : story_commits(s) + commit_n;
    s->dies_restart_ms = restart_ms;
}

void story_controller_starts(struct story *s)
{
    if (s->controller == NULL)
        controller_begin(s);
}

bool story_controller_is_stopped(const struct story *s)
{
    return s->controller != NULL && s->controller_stopped_until_ms > s->now_ms;
}

bool story_controller_is_dead(const struct story *s)
{
    return s->controller == NULL;
}

uint64_t story_commits(const struct story *s)
{
    uint64_t here = s->controller == NULL ? 0 : controller_counts_of(s->controller).commits;
    return s->commits_before + here;
}

void story_usurp(struct story *s)
{
    if (s->is_disk_full || s->is_usurped)
        return; /* it cannot write its name either; and once is enough until ours has noticed */
    stage_disk_story(s->number);
    CAS_AUTO(store) other = NULL;
    static const uint8_t leader_id[CAS_ID_BYTES] = {'o', 't', 'h', 'e', 'r'};
    struct cas_why why = {.text = ""};
    struct cas_now now = stage_now(s, &s->controller_clock);
    stage_need(controller_flush(s->controller, now, &why), &why, "usurp");
    stage_need(store_open(s->uri, leader_id, now, &other, &why), &why, "usurp");
    s->is_usurped = true;
}

void story_backup(struct story *s)
{
    struct cas_why why = {.text = ""};
    struct cas_now now = stage_now(s, &s->controller_clock);
    /* A disk that is full keeps nothing of what was gathered: then the backup has nothing of it. */
    if (s->controller != NULL && !story_controller_is_stopped(s) &&
        controller_flush(s->controller, now, &why) != CAS_OK)
        why.text[0] = '\0';
    stage_need(store_memory_mark(s->memory, &why), &why, "backup");
}

void story_restore(struct story *s)
{
    struct cas_why why = {.text = ""};
    CAS_ASSERT(s->controller == NULL);
    s->has_restore = true;
    for (size_t i = 0; i < s->rollout_n; i++) {
        s->rollout[i].is_stopped = false; /* it has lost that as well */
        s->rollout[i].is_ordered = false; /* its number may be another plan's */
    }
    check_restored(s->check);
    stage_need(store_memory_back(s->memory, &why), &why, "restore");
}

void story_keep(struct story *s)
{
    stage_disk_story(s->number);
    stage_sql_keep(s->uri);
    stage_disk_keep();
}

void story_reseed(struct story *s, uint64_t seed)
{
    s->settings.seed = seed;
    s->dice = seed * 0x9e3779b97f4a7c15u + 1;
    s->trace = 0xcbf29ce484222325u;
    told = s;
    stage_disk_story(s->number);
    stage_disk_seed(seed);
}
