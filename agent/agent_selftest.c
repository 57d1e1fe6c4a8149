#include "agent/agent_program.h"

#include <stdio.h>
#include <string.h>

#include "agent/redact.h"
#include "agent/service.h"

enum {
    RATES_MS = 1100, /* between the first look and the last: rates need two samples */
    LOOK_MS = 200
};

/* How long the calls of one kind took, at most. */
struct span {
    int64_t most_ms;
};

struct selftest {
    struct host *host;
    const char *pool_name;
    struct redact *redact; /* NULL: everything as it is */
    struct host_reading reading[SYMPTOM_END];
    size_t reading_n;
    struct host_fact fact[HOST_FACTS];
    size_t fact_n;
    struct host_pool pool;
    size_t event_n;
    int64_t event_at_ms; /* of the newest */
    uint32_t event_id;
    struct span read_span, pool_span, events_span, facts_span;
    struct cas_why read_why, pool_why, events_why, facts_why; /* of the last call */
    size_t missing_n;                                         /* of what is needed */
};

static bool is_needed_symptom(enum symptom symptom)
{
    static const enum symptom needed[] = {
#define NEED_SYMPTOM(name) SYMPTOM_##name,
#define NEED_FACT(key)
#include "agent/agent_selftest.def"
#undef NEED_SYMPTOM
#undef NEED_FACT
    };
    for (size_t i = 0; i < CAS_COUNT(needed); i++) {
        if (needed[i] == symptom)
            return true;
    }
    return false;
}

static bool is_needed_fact(const char *key)
{
    static const char *const needed[] = {
#define NEED_SYMPTOM(name)
#define NEED_FACT(key) key,
#include "agent/agent_selftest.def"
#undef NEED_SYMPTOM
#undef NEED_FACT
    };
    for (size_t i = 0; i < CAS_COUNT(needed); i++) {
        if (strcmp(needed[i], key) == 0)
            return true;
    }
    return false;
}

/* ---- looking ---- */

static void span_end(struct span *span, int64_t begin_ms)
{
    int64_t took_ms = clock_now().mono_ms - begin_ms;
    if (took_ms > span->most_ms)
        span->most_ms = took_ms;
}

static void facts_look(struct selftest *test)
{
    struct cas_now now = clock_now();
    test->facts_why.text[0] = '\0';
    size_t n = 0;
    if (test->host->ops->facts(test->host, now, test->fact, HOST_FACTS, &n, &test->facts_why) ==
        CAS_OK)
        test->fact_n = n;
    span_end(&test->facts_span, now.mono_ms);
}

static void pool_look(struct selftest *test)
{
    struct cas_now now = clock_now();
    test->pool_why.text[0] = '\0';
    if (test->host->ops->pool(test->host, now, test->pool_name, &test->pool, &test->pool_why) !=
        CAS_OK)
        test->pool.health = HEALTH_UNKNOWN;
    span_end(&test->pool_span, now.mono_ms);
}

static void read_look(struct selftest *test)
{
    struct cas_now now = clock_now();
    test->read_why.text[0] = '\0';
    size_t n = 0;
    if (test->host->ops->read(test->host,
                              now,
                              test->pool_name,
                              test->reading,
                              CAS_COUNT(test->reading),
                              &n,
                              &test->read_why) == CAS_OK)
        test->reading_n = n;
    span_end(&test->read_span, now.mono_ms);
}

static void events_look(struct selftest *test)
{
    static struct host_event event[HOST_EVENTS];
    struct cas_now now = clock_now();
    char bookmark[REASON_BYTES];
    if (test->host->ops->events(test->host,
                                now,
                                "",
                                event,
                                HOST_EVENTS,
                                &test->event_n,
                                bookmark,
                                &test->events_why) == CAS_OK &&
        test->event_n > 0) {
        test->event_at_ms = event[test->event_n - 1].at_ms;
        test->event_id = event[test->event_n - 1].id;
    }
    span_end(&test->events_span, now.mono_ms);
}

static bool is_complete(const struct selftest *test)
{
    bool is_good = test->read_why.text[0] == '\0' && test->pool_why.text[0] == '\0' &&
                   test->facts_why.text[0] == '\0' && test->pool.health != HEALTH_UNKNOWN &&
                   test->pool.worker_n > 0;
    for (size_t i = 0; i < test->reading_n; i++)
        is_good =
            is_good && (test->reading[i].is_known || !is_needed_symptom(test->reading[i].symptom));
    for (size_t i = 0; i < test->fact_n; i++)
        is_good = is_good && (test->fact[i].is_known || !is_needed_fact(test->fact[i].key));
    return is_good;
}

/* What takes a while is begun by one call and answered by a later one: looks until all is there or
 * the deadline has passed. */
static void look(struct selftest *test, int64_t deadline_ms)
{
    int64_t begin_ms = clock_now().mono_ms;
    events_look(test);
    for (;;) {
        facts_look(test);
        pool_look(test);
        read_look(test);
        int64_t passed_ms = clock_now().mono_ms - begin_ms;
        if (passed_ms >= deadline_ms || (passed_ms >= RATES_MS && is_complete(test)))
            return;
        service_wait(LOOK_MS);
    }
}

/* ---- telling ---- */

struct line {
    const char *name;
    bool is_known;
    bool is_needed;
    bool is_plain; /* holds no name: shown as it is */
    const char *value;
    int64_t took_ms;
    const char *reason;
};

static void put_text(struct selftest *test, const char *text, bool is_plain, struct cas_text *out)
{
    if (test->redact != NULL && !is_plain)
        redact_text(test->redact, cas_slice_of(text), out);
    else
        cas_text_add(out, "%s", text);
}

static void line_print(struct selftest *test, const struct line *line)
{
    char value[512];
    char reason[1024];
    struct cas_text value_text = CAS_TEXT(value);
    struct cas_text reason_text = CAS_TEXT(reason);
    cas_text_clear(&value_text);
    cas_text_clear(&reason_text);
    put_text(test, line->is_known ? line->value : "-", line->is_plain, &value_text);
    put_text(test, line->reason, false, &reason_text);
    bool is_lacking = !line->is_known && line->is_needed;
    test->missing_n += is_lacking ? 1 : 0;
    (void)printf("%-18s %-7s %-26s %6lld ms%s%s%s\n",
                 line->name,
                 line->is_known ? "ok" : "missing",
                 value,
                 (long long)line->took_ms,
                 is_lacking ? "  needed" : "",
                 reason[0] != '\0' ? "  " : "",
                 reason);
}

static void facts_print(struct selftest *test)
{
    struct line whole = {.name = "facts",
                         .is_known = false,
                         .is_needed = true,
                         .took_ms = test->facts_span.most_ms,
                         .reason = test->facts_why.text};
    if (test->facts_why.text[0] != '\0')
        line_print(test, &whole);
    for (size_t i = 0; i < test->fact_n && test->facts_why.text[0] == '\0'; i++) {
        const struct host_fact *fact = &test->fact[i];
        struct line line = {.name = fact->key,
                            .is_known = fact->is_known,
                            .is_needed = is_needed_fact(fact->key),
                            .is_plain = strcmp(fact->key, "exchange.build") == 0,
                            .value = fact->value,
                            .took_ms = test->facts_span.most_ms,
                            .reason = fact->is_known ? "" : fact->reason};
        line_print(test, &line);
    }
}

static void pool_print(struct selftest *test)
{
    const struct host_pool *pool = &test->pool;
    char value[256];
    struct cas_text text = CAS_TEXT(value);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", pool_health_name(pool->health));
    struct line line = {.name = "pool.health",
                        .is_known = pool->health != HEALTH_UNKNOWN,
                        .is_needed = true,
                        .value = value,
                        .took_ms = test->pool_span.most_ms,
                        .reason =
                            test->pool_why.text[0] != '\0' ? test->pool_why.text : pool->reason};
    line_print(test, &line);
    cas_text_clear(&text);
    for (size_t i = 0; i < pool->worker_n; i++)
        cas_text_add(&text, "%s%u", i > 0 ? " " : "", (unsigned)pool->worker[i].pid);
    line.name = "pool.workers";
    line.is_known = pool->worker_n > 0;
    line.reason = line.is_known                    ? ""
                  : test->pool_why.text[0] != '\0' ? test->pool_why.text
                                                   : "no worker process of the pool runs";
    line_print(test, &line);
}

static void events_print(struct selftest *test)
{
    char value[128];
    struct cas_text text = CAS_TEXT(value);
    cas_text_clear(&text);
    cas_text_add(&text, "%zu", test->event_n);
    if (test->event_n > 0) {
        cas_text_add(&text, ", last %u at ", (unsigned)test->event_id);
        cas_text_utc(&text, test->event_at_ms);
    }
    struct line line = {.name = "events",
                        .is_known = test->events_why.text[0] == '\0',
                        .is_needed = true,
                        .is_plain = true,
                        .value = value,
                        .took_ms = test->events_span.most_ms,
                        .reason = test->events_why.text};
    line_print(test, &line);
}

static void readings_print(struct selftest *test)
{
    struct line whole = {.name = "symptoms",
                         .is_needed = true,
                         .took_ms = test->read_span.most_ms,
                         .reason = test->read_why.text};
    if (test->read_why.text[0] != '\0')
        line_print(test, &whole);
    for (size_t i = 0; i < test->reading_n && test->read_why.text[0] == '\0'; i++) {
        const struct host_reading *reading = &test->reading[i];
        char value[128];
        struct cas_text text = CAS_TEXT(value);
        cas_text_clear(&text);
        cas_text_add(&text, "%.15g", reading->value);
        if (reading->pid != 0)
            cas_text_add(&text, " of %u", (unsigned)reading->pid);
        struct line line = {.name = symptom_name(reading->symptom),
                            .is_known = reading->is_known,
                            .is_needed = is_needed_symptom(reading->symptom),
                            .is_plain = true,
                            .value = value,
                            .took_ms = test->read_span.most_ms,
                            .reason = reading->is_known ? "" : reading->reason};
        line_print(test, &line);
    }
}

/* The server's own name is known to be one, wherever it turns up. */
static void names_know(struct selftest *test)
{
    for (size_t i = 0; i < test->fact_n && test->redact != NULL; i++) {
        if (test->fact[i].is_known && strcmp(test->fact[i].key, "host.name") == 0)
            redact_know(test->redact, REDACT_HOST, test->fact[i].value);
    }
}

int agent_selftest(const struct agent_call *call)
{
    static struct selftest test;
    static struct redact redact;
    const struct agent_options *options = call->options;
    struct cas_why why = {.text = ""};
    enum cas_err err = agent_host_check(options, &why);
    if (err == CAS_OK)
        err = agent_host_make(options, &test.host, &why);
    if (err != CAS_OK)
        return agent_refused(&why);
    test.pool_name = options->pools.item[0];
    test.redact = options->redact ? &redact : NULL;
    look(&test, options->deadline_ms);
    names_know(&test);
    (void)printf("casfleet-agent %s, host %s, pool %s\n",
                 CASFLEET_VERSION,
                 options->host,
                 test.pool_name);
    facts_print(&test);
    pool_print(&test);
    events_print(&test);
    readings_print(&test);
    host_free(test.host);
    if (test.missing_n > 0)
        (void)printf("\n%zu needed and missing\n", test.missing_n);
    else
        (void)printf("\nevery needed source answers\n");
    return test.missing_n > 0 ? AGENT_EXIT_FAILED : AGENT_EXIT_FINE;
}
