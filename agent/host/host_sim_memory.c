#include "agent/host/host_sim.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [HOST_SIM_RECYCLE] = "recycle",
    [HOST_SIM_DRAIN] = "drain",
    [HOST_SIM_UNDRAIN] = "undrain",
    [HOST_SIM_OUT] = "out",
    [HOST_SIM_IN] = "in",
    [HOST_SIM_SELF] = "self",
};

const char *sim_kind_name(enum host_sim_kind kind)
{
    return kind_names[kind];
}

static bool kind_from(struct cas_slice name, enum host_sim_kind *ret_kind)
{
    for (size_t i = HOST_SIM_RECYCLE; i < CAS_COUNT(kind_names); i++) {
        if (cas_slice_is(name, kind_names[i])) {
            *ret_kind = (enum host_sim_kind)i;
            return true;
        }
    }
    return false;
}

static void worker_push(struct sim_memory *memory, const struct host_sim_effect *effect)
{
    if (memory->worker_n > 0)
        memory->worker[memory->worker_n - 1].until_ms = effect->model_ms;
    if (memory->worker_n == SIM_WORKERS) {
        memmove(&memory->worker[0],
                &memory->worker[1],
                (SIM_WORKERS - 1) * sizeof memory->worker[0]);
        memory->worker_n--;
    }
    /* A process starts after the call that asked for it, also where time stands still. */
    memory->worker[memory->worker_n++] = (struct sim_worker){
        .pid = effect->pid_after,
        .start_wall_ms = effect->at_ms + 1,
        .since_ms = effect->model_ms,
        .until_ms = INT64_MAX,
        .is_sick = strcmp(effect->outcome, "sick") == 0,
    };
    memory->recycle_n++;
}

static void memory_out(struct sim_memory *memory, const struct host_sim_effect *effect)
{
    if (memory->is_out)
        return;
    memory->is_out = true;
    memory->is_out_told = false;
    memcpy(memory->out_id, effect->cmd_id, CAS_ID_BYTES);
}

static void memory_turn(struct sim_memory *memory, bool is_drained, int64_t at_ms)
{
    if (memory->is_drained == is_drained)
        return;
    memory->front_turned = sim_front(memory, at_ms);
    memory->turned_ms = at_ms;
    memory->is_drained = is_drained;
}

void sim_apply(struct sim_memory *memory, const struct host_sim_effect *effect)
{
    memory->seq = effect->seq;
    switch (effect->kind) {
    case HOST_SIM_RECYCLE:
        if (effect->pid_after == effect->pid_before)
            return;
        worker_push(memory, effect);
        memory_out(memory, effect);
        memory->is_silent = strcmp(effect->outcome, "silent") == 0;
        return;
    case HOST_SIM_SELF:
        worker_push(memory, effect);
        return;
    case HOST_SIM_DRAIN:
        memory_turn(memory, true, effect->model_ms);
        memory_out(memory, effect);
        return;
    case HOST_SIM_UNDRAIN:
        memory_turn(memory, false, effect->model_ms);
        return;
    case HOST_SIM_OUT:
        memory->is_out_told = true;
        return;
    case HOST_SIM_IN:
        memory->is_out = false;
        return;
    }
}

uint32_t sim_next_pid(const struct host_sim_settings *settings, const struct sim_memory *memory)
{
    uint32_t last = memory->worker_n > 0 ? memory->worker[memory->worker_n - 1].pid : 0;
    uint64_t n = memory->recycle_n + memory->seq;
    uint32_t pid = last;
    /* Windows hands out multiples of four. */
    while (pid == last)
        pid = 1000 + 4 * (uint32_t)(sim_hash(settings->seed, 'p', n++) % 6000);
    return pid;
}

void sim_effect_print(const char *server,
                      const struct host_sim_effect *effect,
                      struct cas_text *text)
{
    char hex[2 * CAS_ID_BYTES + 1];
    cas_hex(effect->cmd_id, CAS_ID_BYTES, hex);
    cas_text_add(
        text,
        "{\"at_ms\":%lld,\"mono_ms\":%lld,\"server\":\"%s\",\"effect\":\"%s\",\"cmd_id\":\"%s\",",
        (long long)effect->at_ms,
        (long long)effect->mono_ms,
        server,
        sim_kind_name(effect->kind),
        hex);
    cas_text_add(
        text,
        "\"pid_before\":%u,\"pid_after\":%u,\"outcome\":\"%s\",\"seq\":%llu,\"model_ms\":%lld}\n",
        effect->pid_before,
        effect->pid_after,
        effect->outcome,
        (unsigned long long)effect->seq,
        (long long)effect->model_ms);
}

/* What stands after "key": up to the comma or brace, without quotes; our own lines only, which
 * hold no escapes. Empty when there is none. */
static struct cas_slice line_value(struct cas_slice line, const char *key)
{
    char mark[32];
    struct cas_text text = CAS_TEXT(mark);
    cas_text_add(&text, "\"%s\":", key);
    for (size_t i = 0; i + text.used < line.size; i++) {
        if (memcmp(line.data + i, mark, text.used) != 0)
            continue;
        size_t from = i + text.used;
        size_t until = from;
        while (until < line.size && line.data[until] != ',' && line.data[until] != '}')
            until++;
        if (until == line.size)
            break;
        bool is_text = until - from >= 2 && line.data[from] == '"' && line.data[until - 1] == '"';
        if (is_text)
            return (struct cas_slice){line.data + from + 1, until - from - 2};
        return (struct cas_slice){line.data + from, until - from};
    }
    return (struct cas_slice){"", 0};
}

static bool line_number(struct cas_slice line, const char *key, int64_t most, int64_t *ret_value)
{
    return cas_parse_i64(line_value(line, key),
                         most == INT64_MAX ? INT64_MIN : 0,
                         most,
                         ret_value,
                         NULL) == CAS_OK;
}

enum cas_err
sim_effect_parse(struct cas_slice line, const char *server, struct host_sim_effect *ret_effect)
{
    struct host_sim_effect effect = {0};
    int64_t pid_before = 0;
    int64_t pid_after = 0;
    int64_t seq = 0;
    if (line.size == 0 || line.data[line.size - 1] != '}')
        return CAS_ERR_FORMAT;
    if (!cas_slice_is(line_value(line, "server"), server))
        return CAS_ERR_NOT_FOUND;
    bool is_whole = line_number(line, "at_ms", INT64_MAX, &effect.at_ms) &&
                    line_number(line, "mono_ms", INT64_MAX, &effect.mono_ms) &&
                    line_number(line, "model_ms", INT64_MAX, &effect.model_ms) &&
                    line_number(line, "pid_before", UINT32_MAX, &pid_before) &&
                    line_number(line, "pid_after", UINT32_MAX, &pid_after) &&
                    line_number(line, "seq", INT64_MAX - 1, &seq) &&
                    kind_from(line_value(line, "effect"), &effect.kind);
    if (!is_whole || cas_unhex(line_value(line, "cmd_id"), effect.cmd_id, CAS_ID_BYTES) != CAS_OK ||
        cas_slice_copy(line_value(line, "outcome"), effect.outcome, sizeof effect.outcome) !=
            CAS_OK)
        return CAS_ERR_FORMAT;
    effect.pid_before = (uint32_t)pid_before;
    effect.pid_after = (uint32_t)pid_after;
    effect.seq = (uint64_t)seq;
    *ret_effect = effect;
    return CAS_OK;
}

/* key, member of struct sim_state, least, most. A line "worker PID" begins a worker; the rows of
 * WORKER_ROWS belong to the one begun last. */
#define STATE_ROWS(ROW)                                       \
    ROW(seq, memory.seq, 0, INT64_MAX - 1)                    \
    ROW(origin_ms, memory.origin_ms, INT64_MIN, INT64_MAX)    \
    ROW(anchor_wall_ms, anchor_wall_ms, INT64_MIN, INT64_MAX) \
    ROW(anchor_ms, anchor_ms, INT64_MIN, INT64_MAX)           \
    ROW(recycle_n, memory.recycle_n, 0, INT64_MAX - 1)        \
    ROW(is_drained, memory.is_drained, 0, 1)                  \
    ROW(turned_ms, memory.turned_ms, INT64_MIN, INT64_MAX)    \
    ROW(is_out, memory.is_out, 0, 1)                          \
    ROW(is_out_told, memory.is_out_told, 0, 1)                \
    ROW(is_silent, memory.is_silent, 0, 1)
#define WORKER_ROWS(ROW)                                    \
    ROW(start_wall_ms, start_wall_ms, INT64_MIN, INT64_MAX) \
    ROW(since_ms, since_ms, INT64_MIN, INT64_MAX)           \
    ROW(until_ms, until_ms, INT64_MIN, INT64_MAX)           \
    ROW(is_sick, is_sick, 0, 1)

enum cas_err sim_state_write(const char *path, const struct sim_state *state, struct cas_why *why)
{
    char data[SIM_STATE_BYTES];
    char hex[2 * CAS_ID_BYTES + 1];
    struct cas_text text = CAS_TEXT(data);
    cas_text_clear(&text);
#define ROW(key, member, low, high) cas_text_add(&text, #key " %lld\n", (long long)state->member);
    STATE_ROWS(ROW)
#undef ROW
    cas_text_add(&text, "front_ppm %lld\n", (long long)(state->memory.front_turned * 1e6));
    cas_hex(state->memory.out_id, CAS_ID_BYTES, hex);
    cas_text_add(&text, "out_id %s\n", hex);
    for (size_t i = 0; i < state->memory.worker_n; i++) {
        const struct sim_worker *worker = &state->memory.worker[i];
        cas_text_add(&text, "worker %u\n", worker->pid);
#define ROW(key, member, low, high) cas_text_add(&text, #key " %lld\n", (long long)worker->member);
        WORKER_ROWS(ROW)
#undef ROW
    }
    return file_write(path, (struct cas_slice){data, text.used}, FILE_PUBLIC, why);
}

static enum cas_err state_worker(struct sim_state *state, struct cas_slice value)
{
    int64_t pid = 0;
    if (state->memory.worker_n == SIM_WORKERS ||
        cas_parse_i64(value, 1, UINT32_MAX, &pid, NULL) != CAS_OK)
        return CAS_ERR_CORRUPT;
    state->memory.worker[state->memory.worker_n++].pid = (uint32_t)pid;
    return CAS_OK;
}

static enum cas_err state_set(struct sim_state *state, struct cas_slice key, struct cas_slice value)
{
    int64_t number = 0;
    if (cas_slice_is(key, "out_id"))
        return cas_unhex(value, state->memory.out_id, CAS_ID_BYTES);
    if (cas_slice_is(key, "worker"))
        return state_worker(state, value);
    if (cas_slice_is(key, "front_ppm")) {
        enum cas_err err = cas_parse_i64(value, 0, 1000000, &number, NULL);
        state->memory.front_turned = (double)number / 1e6;
        return err;
    }
#define ROW(name, member, low, high)                                      \
    if (cas_slice_is(key, #name)) {                                       \
        if (cas_parse_i64(value, (low), (high), &number, NULL) != CAS_OK) \
            return CAS_ERR_CORRUPT;                                       \
        TARGET->member = (__typeof__(TARGET->member))number;              \
        return CAS_OK;                                                    \
    }
#define TARGET state
    STATE_ROWS(ROW)
#undef TARGET
    if (state->memory.worker_n == 0)
        return CAS_ERR_CORRUPT;
    struct sim_worker *worker = &state->memory.worker[state->memory.worker_n - 1];
#define TARGET worker
    WORKER_ROWS(ROW)
#undef TARGET
#undef ROW
    return CAS_ERR_CORRUPT;
}

/* The next line without its end; false at the end of the data. */
static bool line_next(struct cas_slice *data, struct cas_slice *ret_line)
{
    if (data->size == 0)
        return false;
    const char *end = memchr(data->data, '\n', data->size);
    size_t size = end != NULL ? (size_t)(end - data->data) : data->size;
    *ret_line = (struct cas_slice){data->data, size};
    size_t used = end != NULL ? size + 1 : size;
    data->data += used;
    data->size -= used;
    return true;
}

static enum cas_err
state_parse(const char *path, struct cas_slice data, struct sim_state *state, struct cas_why *why)
{
    struct cas_slice line;
    for (int number = 1; line_next(&data, &line); number++) {
        const char *gap = memchr(line.data, ' ', line.size);
        size_t size = gap != NULL ? (size_t)(gap - line.data) : line.size;
        struct cas_slice key = {line.data, size};
        struct cas_slice value = {"", 0};
        if (gap != NULL)
            value = (struct cas_slice){gap + 1, line.size - size - 1};
        if (state_set(state, key, value) != CAS_OK)
            return cas_fail(why,
                            CAS_ERR_CORRUPT,
                            "%s:%d: not a line of a model's memory: \"%.*s\"",
                            path,
                            number,
                            (int)(line.size > 80 ? 80 : line.size),
                            line.data);
    }
    if (state->memory.worker_n == 0)
        return cas_fail(why, CAS_ERR_CORRUPT, "%s: no worker in this model's memory", path);
    return CAS_OK;
}

enum cas_err sim_state_read(const char *path, struct sim_state *ret_state, struct cas_why *why)
{
    char *data = NULL;
    size_t size = 0;
    enum cas_err err = file_read(path, SIM_STATE_BYTES, FILE_PUBLIC, &data, &size, why);
    if (err != CAS_OK)
        return err;
    struct sim_state state = {0};
    err = state_parse(path, (struct cas_slice){data, size}, &state, why);
    free(data);
    if (err == CAS_OK)
        *ret_state = state;
    return err;
}

/* The state file was lost: the log tells which worker ran at first, the settings how old it was. */
static void state_begin(const struct host_sim_settings *settings,
                        const struct host_sim_effect *first,
                        struct sim_state *state)
{
    state->memory = (struct sim_memory){.origin_ms = first->model_ms,
                                        .turned_ms = first->model_ms,
                                        .front_turned = 1,
                                        .worker_n = 1};
    state->memory.worker[0] = (struct sim_worker){
        .pid = first->pid_before,
        .start_wall_ms = first->at_ms - settings->worker_age_ms,
        .since_ms = first->model_ms - settings->worker_age_ms,
        .until_ms = INT64_MAX,
    };
}

enum cas_err sim_state_replay(const struct host_sim_settings *settings,
                              struct sim_state *state,
                              struct cas_why *why)
{
    char *data = NULL;
    size_t size = 0;
    enum cas_err err = file_read(settings->effects, SIM_LOG_BYTES, FILE_PUBLIC, &data, &size, why);
    if (err == CAS_ERR_NOT_FOUND)
        return CAS_OK;
    if (err != CAS_OK)
        return err;
    struct cas_slice rest = {data, size};
    struct cas_slice line;
    while (line_next(&rest, &line)) {
        struct host_sim_effect effect;
        if (sim_effect_parse(line, settings->name, &effect) != CAS_OK ||
            effect.seq <= state->memory.seq)
            continue;
        if (state->memory.worker_n == 0)
            state_begin(settings, &effect, state);
        sim_apply(&state->memory, &effect);
        state->anchor_wall_ms = effect.at_ms;
        state->anchor_ms = effect.model_ms;
    }
    free(data);
    return CAS_OK;
}
