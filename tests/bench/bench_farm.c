#include "tests/bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/store/store.h"
#include "proto/base/file.h"

enum {
    START_US = 60000000,
    STEP_US = 2000,
    ASK_US = 60000000
};

static void path_in(const char *folder, const char *name, char ret_path[BENCH_PATH_BYTES])
{
    (void)snprintf(ret_path, BENCH_PATH_BYTES, "%.900s/%s", folder, name);
}

/* Runs to its end; what it said goes to ret_text. */
static void run(const char *folder, const char *const *argv, char *ret_text, size_t cap)
{
    struct cas_why why = {.text = ""};
    char out[BENCH_PATH_BYTES];
    char *data = NULL;
    size_t size = 0;
    int code = 0;
    path_in(folder, "said", out);
    (void)remove(out);
    struct bench_process process = bench_start(argv, out);
    int64_t until_us = bench_now_us() + START_US;
    while (!bench_has_ended(&process, &code) && bench_now_us() < until_us)
        bench_wait_us(STEP_US);
    bench_kill(&process);
    bench_check(file_read(out, 65536, FILE_PUBLIC, &data, &size, &why), &why);
    if (code != 0)
        bench_die("%s %s: exit code %d\n%s", argv[0], argv[1], code, data);
    (void)snprintf(ret_text, cap, "%s", data);
    free(data);
}

/* ---- the controller ---- */

static void keys_read(struct bench_farm *farm)
{
    struct cas_why why = {.text = ""};
    struct keys_controller keys;
    char path[BENCH_PATH_BYTES];
    path_in(farm->folder, "controller.pub", path);
    bench_check(keys_controller_load(path, &keys, &why), &why);
    farm->server = keys.curve;
}

static void operator_add(struct bench_farm *farm)
{
    struct cas_why why = {.text = ""};
    CAS_AUTO(keys) keys = NULL;
    char text[KEYS_TEXT_BYTES];
    char key[BENCH_PATH_BYTES];
    char program[BENCH_PATH_BYTES];
    char config[BENCH_PATH_BYTES];
    path_in(farm->folder, "bench.key", key);
    path_in(farm->folder, "casfleet-controller.conf", config);
    path_in(farm->bin, "controller/casfleet-controller", program);
    bench_check(keys_make(KEYS_CURVE, &keys), &why);
    bench_check(keys_save(keys, key, &why), &why);
    struct keys_public public = keys_public_of(keys);
    keys_text(&public, text);
    const char *add[] =
        {program, "operator", "add", "bench", "admin", text, "--config", config, NULL};
    char said[1024];
    run(farm->folder, add, said, sizeof said);
}

/* Through the store, as the controller itself would write them: a call of the command line each
 * would take an hour. */
static void peers_approve(const struct bench_farm *farm, const struct bench_peers *peers)
{
    struct cas_why why = {.text = ""};
    char path[BENCH_PATH_BYTES];
    const uint8_t leader_id[CAS_ID_BYTES] = {'b'};
    CAS_AUTO(store) store = NULL;
    struct inventory_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        bench_die("no memory");
    path_in(farm->folder, "controller.db", path);
    bench_check(store_open(path, leader_id, clock_now(), &store, &why), &why);
    bench_check(store_begin(store, &why), &why);
    for (size_t i = 0; i < peers->n; i++) {
        memset(server, 0, sizeof *server);
        (void)snprintf(server->name, sizeof server->name, "BENCH-%05zu", i + 1);
        (void)snprintf(server->label[LABEL_SITE], LABEL_BYTES, "S%02zu", i / 1000 + 1);
        (void)snprintf(server->approved_by, sizeof server->approved_by, "bench");
        memcpy(server->key, peers->peer[i].public.byte, CAS_KEY_BYTES);
        server->admission = ADMISSION_APPROVED;
        server->approved_ms = clock_now().wall_ms;
        bench_check(store_server_add(store, server, &why), &why);
    }
    bench_check(store_commit(store, &why), &why);
    free(server);
}

void bench_farm_make(struct bench_farm *farm, const char *bin, const struct bench_peers *peers)
{
    char text[4096];
    char program[BENCH_PATH_BYTES];
    *farm = (struct bench_farm){.is_bare = false};
    (void)snprintf(farm->bin, sizeof farm->bin, "%.900s", bin);
    bench_folder_make(farm->folder);
    path_in(bin, "controller/casfleet-controller", program);
    const char *init[] = {program,
                          "init",
                          "--state",
                          farm->folder,
                          "--agents",
                          "tcp://127.0.0.1:*",
                          "--operators",
                          "tcp://127.0.0.1:*",
                          NULL};
    run(farm->folder, init, text, sizeof text);
    keys_read(farm);
    operator_add(farm);
    peers_approve(farm, peers);
}

void bench_bare_make(struct bench_farm *farm)
{
    struct cas_why why = {.text = ""};
    char path[BENCH_PATH_BYTES];
    CAS_AUTO(keys) keys = NULL;
    *farm = (struct bench_farm){.is_bare = true};
    bench_folder_make(farm->folder);
    path_in(farm->folder, "curve.key", path);
    bench_check(keys_make(KEYS_CURVE, &keys), &why);
    bench_check(keys_save(keys, path, &why), &why);
    farm->server = keys_public_of(keys);
}

void bench_farm_launch(struct bench_farm *farm)
{
    char program[BENCH_PATH_BYTES];
    char config[BENCH_PATH_BYTES];
    char log[BENCH_PATH_BYTES];
    char endpoints[BENCH_PATH_BYTES];
    char key[BENCH_PATH_BYTES];
    path_in(farm->folder, "log", log);
    path_in(farm->folder, "endpoints", endpoints);
    (void)remove(endpoints);
    farm->start_n++;
    if (farm->is_bare) {
        path_in(farm->folder, "curve.key", key);
        bench_self(program);
        const char *argv[] = {program,
                              "bare",
                              farm->endpoint[0] != '\0' ? farm->endpoint : "tcp://127.0.0.1:*",
                              endpoints,
                              key,
                              NULL};
        farm->process = bench_start(argv, log);
        return;
    }
    path_in(farm->bin, "controller/casfleet-controller", program);
    path_in(farm->folder, "casfleet-controller.conf", config);
    const char *first[] = {program, "run", "--config", config, NULL};
    const char *again[] = {program,
                           "run",
                           "--config",
                           config,
                           "--agents",
                           farm->endpoint,
                           "--operators",
                           farm->operators,
                           NULL};
    farm->process = bench_start(farm->endpoint[0] != '\0' ? again : first, log);
}

static void value_read(const char *text, const char *name, char *ret_value, size_t cap)
{
    const char *at = strstr(text, name);
    if (at == NULL)
        return;
    at += strlen(name);
    (void)snprintf(ret_value, cap, "%.*s", (int)strcspn(at, "\n"), at);
}

static bool endpoints_read(struct bench_farm *farm)
{
    char path[BENCH_PATH_BYTES];
    char *text = NULL;
    size_t size = 0;
    path_in(farm->folder, "endpoints", path);
    if (file_read(path, 4096, FILE_PUBLIC, &text, &size, NULL) != CAS_OK)
        return false;
    if (farm->is_bare) {
        (void)snprintf(farm->endpoint, sizeof farm->endpoint, "%s", text);
    } else {
        value_read(text, "agents=", farm->endpoint, sizeof farm->endpoint);
        value_read(text, "operators=", farm->operators, sizeof farm->operators);
    }
    free(text);
    return true;
}

void bench_farm_start(struct bench_farm *farm)
{
    int code = 0;
    bench_farm_launch(farm);
    int64_t until_us = bench_now_us() + START_US;
    while (!endpoints_read(farm)) {
        if (bench_has_ended(&farm->process, &code) || bench_now_us() > until_us)
            bench_die("the server did not start (exit code %d): %s/log", code, farm->folder);
        bench_wait_us(STEP_US);
    }
}

void bench_farm_end(struct bench_farm *farm)
{
    bench_kill(&farm->process);
    bench_folder_free(farm->folder);
}

void bench_farm_ask(struct bench_farm *farm,
                    struct bench_peers *peers,
                    const char *const *arguments,
                    char *ret_text,
                    size_t cap)
{
    char cli[BENCH_PATH_BYTES];
    char public[BENCH_PATH_BYTES];
    char key[BENCH_PATH_BYTES];
    char out[BENCH_PATH_BYTES];
    struct cas_why why = {.text = ""};
    path_in(farm->bin, "controller/casfleet", cli);
    path_in(farm->folder, "controller.pub", public);
    path_in(farm->folder, "bench.key", key);
    path_in(farm->folder, "said", out);
    const char *argv[32] =
        {cli, "--controller", farm->operators, "--controller-keys", public, "--key", key};
    size_t n = 7;
    for (; *arguments != NULL && n + 1 < CAS_COUNT(argv); arguments++)
        argv[n++] = *arguments;
    (void)remove(out);
    struct bench_process process = bench_start(argv, out);
    int code = 0;
    int64_t until_us = bench_now_us() + ASK_US;
    while (!bench_has_ended(&process, &code) && bench_now_us() < until_us)
        bench_peers_serve(peers, 5);
    bench_kill(&process);
    char *data = NULL;
    size_t size = 0;
    bench_check(file_read(out, 4 * 1024 * 1024, FILE_PUBLIC, &data, &size, &why), &why);
    if (code != 0)
        bench_die("casfleet %s %s: exit code %d\n%s", argv[7], argv[8], code, data);
    (void)snprintf(ret_text, cap, "%s", data);
    free(data);
}

/* ---- an agent ---- */

static void text_write(const char *path, const char *text)
{
    struct cas_why why = {.text = ""};
    bench_check(file_write(path, cas_slice_of(text), FILE_PUBLIC, &why), &why);
}

static void agent_configure(const char *folder, const struct bench_farm *farm, char *ret_config)
{
    char text[4096];
    char path[BENCH_PATH_BYTES];
    path_in(folder, "server.ini", path);
    (void)snprintf(text,
                   sizeof text,
                   "name = BENCH-00001\nbuild = 15.0.1497.23\nleak_per_day = 2200\n"
                   "worker_age = 16d\ndevices = 3000\nspeed = 1\nseed = 7\n"
                   "effects = %.900s/effects.log\nstate = %.900s/server.state\n",
                   folder,
                   folder);
    text_write(path, text);
    path_in(folder, "agent.ini", ret_config);
    (void)snprintf(text,
                   sizeof text,
                   "controller = %.255s\ncontroller_keys = %.900s/controller.pub\n"
                   "state = %.900s\nhost = sim\nhost_settings = %.900s/server.ini\nsample = 1s\n",
                   farm->endpoint,
                   farm->folder,
                   folder,
                   folder);
    text_write(ret_config, text);
}

static void agent_key(const char *folder, struct keys_public *ret_key)
{
    struct cas_why why = {.text = ""};
    char path[BENCH_PATH_BYTES];
    CAS_AUTO(keys) keys = NULL;
    bool is_new = false;
    path_in(folder, "agent.key", path);
    bench_check(keys_load_or_make(path, KEYS_CURVE, &keys, &is_new, &why), &why);
    *ret_key = keys_public_of(keys);
}

/* Connected to a controller of its own: heartbeats and reports are part of what it costs. */
void bench_agent_run(const char *bin, int64_t span_us, struct bench_agent *ret_agent)
{
    enum {
        SETTLE_US = 5000000,
        SAMPLE_US = 1000000
    };
    char folder[BENCH_PATH_BYTES];
    char program[BENCH_PATH_BYTES];
    char config[BENCH_PATH_BYTES];
    char log[BENCH_PATH_BYTES];
    struct bench_peer peer = {.seq = 0};
    struct bench_peers peers = {.peer = &peer, .n = 1};
    struct bench_farm farm;
    bench_folder_make(folder);
    agent_key(folder, &peer.public);
    bench_farm_make(&farm, bin, &peers);
    bench_farm_start(&farm);
    agent_configure(folder, &farm, config);
    path_in(folder, "log", log);
    path_in(bin, "agent/casfleet-agent", program);
    const char *argv[] = {program, "--config", config, NULL};
    struct bench_process agent = bench_start(argv, log);
    bench_wait_us(SETTLE_US);
    struct bench_cpu before = bench_cpu_of(&agent);
    bench_wait_us(span_us);
    struct bench_cpu after = bench_cpu_of(&agent);
    ret_agent->sample_n = (uint64_t)(span_us / SAMPLE_US);
    ret_agent->sample_us = (double)(after.all_us - before.all_us) / (double)ret_agent->sample_n;
    ret_agent->rss_kib = bench_rss_kib(&agent);
    ret_agent->anon_kib = bench_status_kib(&agent, "RssAnon");
    ret_agent->file_kib = bench_status_kib(&agent, "RssFile");
    ret_agent->peak_kib = bench_status_kib(&agent, "VmHWM");
    if (ret_agent->rss_kib <= 0)
        bench_die("the agent did not stay");
    bench_kill(&agent);
    bench_farm_end(&farm);
    bench_folder_free(folder);
}
