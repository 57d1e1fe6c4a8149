#include "agent/host/host_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/options.h"

struct sim_options {
#define OPTION(name, kind, preset, least, most, words) OPTIONS_MEMBER_##kind(name)
#include "agent/host/host_sim.def"
#undef OPTION
};

static const struct options_row option_rows[] = {
#define OPTION(name, kind, preset, least, most, words) \
    OPTIONS_ROW(struct sim_options, name, kind, preset, least, most, words),
#include "agent/host/host_sim.def"
#undef OPTION
};

static const struct options_program option_program = {
    .name = "sim",
    .words = "a modelled server",
    .usage = "",
    .config = "",
    .row = option_rows,
    .row_n = CAS_COUNT(option_rows),
};

static void text_put(const char *from, char *to, size_t cap)
{
    struct cas_text text = {.data = to, .cap = cap};
    cas_text_clear(&text);
    cas_text_add(&text, "%s", from);
    CAS_ASSERT(!text.is_cut);
}

static void settings_from(const struct sim_options *options, struct host_sim_settings *settings)
{
    *settings = (struct host_sim_settings){
        .devices = (uint32_t)options->devices,
        .leak_per_day = (double)options->leak_per_day,
        .worker_age_ms = options->worker_age_ms,
        .speed = (double)options->speed,
        .seed = (uint64_t)options->seed,
        .ram_bytes = (uint64_t)options->ram_bytes,
    };
    text_put(options->name, settings->name, sizeof settings->name);
    text_put(options->build, settings->build, sizeof settings->build);
    text_put(options->roles, settings->roles, sizeof settings->roles);
    text_put(options->effects, settings->effects, sizeof settings->effects);
    text_put(options->failure, settings->failure, sizeof settings->failure);
    text_put(options->state, settings->state, sizeof settings->state);
    text_put(options->foreign, settings->foreign, sizeof settings->foreign);
}

void host_sim_settings_init(struct host_sim_settings *ret_settings)
{
    struct sim_options options;
    enum cas_err err = options_parse(&option_program, "presets", cas_slice_of(""), &options, NULL);
    CAS_ASSERT(err == CAS_OK);
    settings_from(&options, ret_settings);
}

static bool is_build(const char *text)
{
    size_t dot_n = 0;
    bool is_digit = false;
    for (const char *at = text; *at != '\0'; at++) {
        bool was_digit = is_digit;
        is_digit = *at >= '0' && *at <= '9';
        if (!is_digit && (*at != '.' || !was_digit))
            return false;
        dot_n += is_digit ? 0 : 1;
    }
    return is_digit && dot_n == 3;
}

/* The setting that cannot be used; NULL when all can. */
static const char *settings_fault(const struct host_sim_settings *settings,
                                  const char **ret_key,
                                  const char **ret_value)
{
    static const char limits[] = "";
    *ret_value = limits;
    if (!cas_is_name(cas_slice_of(settings->name))) {
        *ret_key = "name";
        *ret_value = settings->name;
        return "a name has 1 to 63 of A-Z a-z 0-9 . _ -";
    }
    if (!is_build(settings->build)) {
        *ret_key = "build";
        *ret_value = settings->build;
        return "a build is four numbers, as 15.1.1466.3";
    }
    if (strcmp(settings->roles, "both") != 0 && strcmp(settings->roles, "cas") != 0) {
        *ret_key = "roles";
        *ret_value = settings->roles;
        return "roles are both or cas";
    }
    if (!sim_is_failure(settings->failure)) {
        *ret_key = "failure";
        *ret_value = settings->failure;
        return "failures are never-healthy, hangs, dies, unchanged, recycle-fails, silent-after";
    }
    if (!cas_is_number(settings->speed) || settings->speed <= 0 || settings->speed > 1e5) {
        *ret_key = "speed";
        return "a speed is above 0, at most 100000";
    }
    if (!cas_is_number(settings->leak_per_day) || settings->leak_per_day < 0 ||
        settings->leak_per_day > 1e6) {
        *ret_key = "leak_per_day";
        return "a leak is 0 to 1000000 a day";
    }
    if (settings->worker_age_ms < 0 || settings->worker_age_ms > 400 * (int64_t)SIM_DAY_MS) {
        *ret_key = "worker_age";
        return "a worker's age is 0 to 400 days";
    }
    return NULL;
}

enum cas_err sim_settings_check(const struct host_sim_settings *settings, struct cas_why *why)
{
    const char *key = "";
    const char *value = "";
    const char *fault = settings_fault(settings, &key, &value);
    if (fault == NULL)
        return CAS_OK;
    return cas_fail(why, CAS_ERR_CONFIG, "%s = %.64s: %s", key, value, fault);
}

/* The line that sets the key; 0: none does. */
static int line_of(const char *text, const char *key)
{
    int line = 1;
    size_t size = strlen(key);
    for (const char *at = text; at != NULL; line++) {
        const char *from = at + strspn(at, " \t");
        size_t same = 0;
        while (same < size && (from[same] == key[same] || (from[same] == '-' && key[same] == '_')))
            same++;
        const char *after = from + same;
        after += strspn(after, " \t");
        if (same == size && (*after == '=' || *after == ':'))
            return line;
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return 0;
}

static enum cas_err settings_load(const char *path,
                                  const char *data,
                                  size_t size,
                                  struct host_sim_settings *ret_settings,
                                  struct cas_why *why)
{
    struct sim_options options;
    enum cas_err err =
        options_parse(&option_program, path, (struct cas_slice){data, size}, &options, why);
    if (err != CAS_OK)
        return err;
    struct host_sim_settings settings;
    settings_from(&options, &settings);
    const char *key = "";
    const char *value = "";
    const char *fault = settings_fault(&settings, &key, &value);
    if (fault != NULL)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "%s:%d: %s = %.64s: %s",
                        path,
                        line_of(data, key),
                        key,
                        value,
                        fault);
    *ret_settings = settings;
    return CAS_OK;
}

enum cas_err host_sim_settings_load(const char *path,
                                    struct host_sim_settings *ret_settings,
                                    struct cas_why *why)
{
    char *data = NULL;
    size_t size = 0;
    enum cas_err err = file_read(path, CONFIG_BYTES, FILE_PUBLIC, &data, &size, why);
    if (err != CAS_OK)
        return err;
    err = settings_load(path, data, size, ret_settings, why);
    free(data);
    return err;
}
