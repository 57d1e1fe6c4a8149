#include "proto/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/file.h"

enum {
    LOG_TOKEN =
        1000 /* one line; a gate gains one token a millisecond-thousandth, so one line a second */
};

static const struct log_event_row rows[] = {
#define EVENT(name, number, level, meaning, remedy) \
    {EVENT_##name, #name, LOG_##level, meaning, remedy},
#include "proto/base/events.def"
#undef EVENT
};

/* How often an event may still be told: a bucket that holds LOG_BURST lines and gains one a second.
 */
struct log_gate {
    int64_t tokens;
    int64_t filled_ms; /* mono */
    uint64_t more_n;   /* counted, not told */
    int64_t more_since_ms;
    bool is_used;
};

static struct log_gate gates[CAS_COUNT(rows)];
static enum log_level level_most = LOG_INFO;
static FILE *log_file;
static struct log_stage log_stage;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

const struct log_event_row *log_event_rows(size_t *ret_row_n)
{
    *ret_row_n = CAS_COUNT(rows);
    return rows;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

enum cas_err log_level_from(struct cas_slice name, enum log_level *ret_level)
{
    for (size_t i = 0; i < CAS_COUNT(level_names); i++) {
        if (cas_slice_is(name, level_names[i])) {
            *ret_level = (enum log_level)i;
            return CAS_OK;
        }
    }
    return CAS_ERR_FORMAT;
}

static struct cas_now now_here(void)
{
    return log_stage.now != NULL ? log_stage.now(log_stage.arg) : clock_now();
}

/* Adds text; what is not clean UTF-8, and every control character, as \xNN: a line stays one line,
 * and a terminal takes no orders from a peer. */
static void add_escaped(struct cas_text *line, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t step = 1;
        while (step < left && step < 4 && !cas_is_clean_text((struct cas_slice){text, step}))
            step++;
        if (cas_is_clean_text((struct cas_slice){text, step})) {
            cas_text_add(line, "%.*s", (int)step, text);
        } else {
            step = 1;
            cas_text_add(line, "\\x%02x", (unsigned)(unsigned char)text[0]);
        }
        text += step;
        left -= step;
    }
}

static void write_line(const struct log_event_row *row, struct cas_now now, const char *words)
{
    static char data[LOG_LINE_BYTES];
    struct cas_text line = {.data = data, .cap = sizeof data - 3};
    char name[48];
    size_t size = strlen(row->name);
    CAS_ASSERT(size < sizeof name);
    for (size_t i = 0; i <= size; i++)
        name[i] = row->name[i] >= 'A' && row->name[i] <= 'Z' ? (char)(row->name[i] - 'A' + 'a')
                                                             : row->name[i];
    cas_text_clear(&line);
    cas_text_utc(&line, now.wall_ms);
    cas_text_add(&line, " %s %s ", log_level_name(row->level), name);
    add_escaped(&line, words);
    memcpy(data + line.used, line.is_cut ? "..." : "", line.is_cut ? 4 : 1);
    if (log_stage.line != NULL) {
        log_stage.line(log_stage.arg, row->event, data);
        return;
    }
    /* In one write: a C library that does not buffer stderr would write byte by byte. */
    size_t end = strlen(data);
    data[end++] = '\n';
    FILE *file = log_file != NULL ? log_file : stderr;
    if ((fwrite(data, 1, end, file) != end || fflush(file) != 0) && file != stderr) {
        clearerr(file);
        (void)fwrite(data, 1, end, stderr);
    }
}

static void fill(struct log_gate *gate, int64_t mono_ms)
{
    if (!gate->is_used) {
        *gate = (struct log_gate){.tokens = LOG_BURST * LOG_TOKEN,
                                  .filled_ms = mono_ms,
                                  .is_used = true};
        return;
    }
    int64_t gone_ms = mono_ms - gate->filled_ms;
    if (gone_ms <= 0)
        return;
    int64_t room = LOG_BURST * LOG_TOKEN - gate->tokens;
    gate->tokens += gone_ms < room ? gone_ms : room;
    gate->filled_ms = mono_ms;
}

static void tell_more(size_t index, struct cas_now now)
{
    struct log_gate *gate = &gates[index];
    char words[64];
    struct cas_text text = CAS_TEXT(words);
    cas_text_add(&text, "and %llu more in ", (unsigned long long)gate->more_n);
    cas_text_span(&text, (now.mono_ms - gate->more_since_ms) / 1000 * 1000);
    gate->more_n = 0;
    gate->tokens -= LOG_TOKEN;
    write_line(&rows[index], now, words);
}

/* Whether this one is told; counts it otherwise. */
static bool pass(size_t index, struct cas_now now)
{
    struct log_gate *gate = &gates[index];
    fill(gate, now.mono_ms);
    if (gate->more_n > 0) {
        if (now.mono_ms - gate->more_since_ms < LOG_SUMMARY_MS) {
            gate->more_n++;
            return false;
        }
        tell_more(index, now);
    }
    if (gate->tokens < LOG_TOKEN) {
        gate->more_n = 1;
        gate->more_since_ms = now.mono_ms;
        return false;
    }
    gate->tokens -= LOG_TOKEN;
    return true;
}

void log_event(enum event event, const char *fmt, ...)
{
    size_t index = 0;
    while (index < CAS_COUNT(rows) && rows[index].event != event)
        index++;
    CAS_ASSERT(index < CAS_COUNT(rows));
    if (rows[index].level > level_most)
        return;
    struct cas_now now = now_here();
    if (!pass(index, now))
        return;
    char words[LOG_LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    write_line(&rows[index], now, size < 0 ? "" : words);
}

static void tell_due(int64_t age_ms)
{
    struct cas_now now = now_here();
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        if (gates[i].more_n > 0 && now.mono_ms - gates[i].more_since_ms >= age_ms) {
            fill(&gates[i], now.mono_ms);
            tell_more(i, now);
        }
    }
}

void log_tick(void)
{
    tell_due(LOG_SUMMARY_MS);
}

void log_set_level(enum log_level most)
{
    level_most = most;
}

enum cas_err log_open(const char *path, struct cas_why *why)
{
    FILE *file = NULL;
    if (path != NULL && path[0] != '\0') {
        struct cas_why reason = {.text = ""};
        enum cas_err err = file_stream_append(path, &file, &reason);
        if (err != CAS_OK)
            return cas_fail(why, CAS_ERR_IO, "log: %s", reason.text);
    }
    if (log_file != NULL)
        (void)fclose(log_file);
    log_file = file;
    return CAS_OK;
}

void log_close(void)
{
    tell_due(0);
    if (log_file != NULL)
        (void)fclose(log_file);
    log_file = NULL;
    level_most = LOG_INFO;
}

void log_set_stage(const struct log_stage *stage)
{
    log_stage = stage != NULL ? *stage : (struct log_stage){0};
    memset(gates, 0, sizeof gates);
}
