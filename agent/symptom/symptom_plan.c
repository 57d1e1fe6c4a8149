#include "agent/symptom/symptom.h"

#include <string.h>

static const int64_t pace_least_ms = 1000;
static const int64_t pace_most_ms = 86400000;

enum {
    EVENT_PORT_REUSED = 4227,
    EVENT_PORTS_OUT = 4231,
    FACTS_MS = 600000
};

struct symptom_pace symptom_pace_usual(void)
{
    return (struct symptom_pace){
        .sample_ms = SAMPLE_MS,
        .events_ms = TICK_MS,
        .facts_ms = FACTS_MS,
        .report_ms = REPORT_MS,
    };
}

static int64_t bounded(int64_t span_ms)
{
    if (span_ms < pace_least_ms)
        return pace_least_ms;
    return span_ms > pace_most_ms ? pace_most_ms : span_ms;
}

void symptom_plan_init(struct symptom_plan *plan,
                       const struct symptom_pace *pace,
                       struct cas_now now,
                       uint64_t phase)
{
    *plan = (struct symptom_plan){
        .pace =
            {
                .sample_ms = bounded(pace->sample_ms),
                .events_ms = bounded(pace->events_ms),
                .facts_ms = bounded(pace->facts_ms),
                .report_ms = bounded(pace->report_ms),
            },
        .is_urgent = true,
    };
    /* Due now, but on the grid of the phase: the first step after that is a part of a span. */
    plan->next_sample_ms = now.mono_ms - (int64_t)(phase % (uint64_t)plan->pace.sample_ms);
    plan->next_events_ms = now.mono_ms - (int64_t)(phase % (uint64_t)plan->pace.events_ms);
    plan->next_facts_ms = now.mono_ms - (int64_t)(phase % (uint64_t)plan->pace.facts_ms);
    plan->next_report_ms = now.mono_ms - (int64_t)(phase % (uint64_t)plan->pace.report_ms);
}

unsigned symptom_plan_due(const struct symptom_plan *plan, struct cas_now now)
{
    unsigned due = 0;
    if (plan->is_sample_urgent || now.mono_ms >= plan->next_sample_ms)
        due |= SYMPTOM_DUE_SAMPLE;
    if (now.mono_ms >= plan->next_events_ms)
        due |= SYMPTOM_DUE_EVENTS;
    if (now.mono_ms >= plan->next_facts_ms)
        due |= SYMPTOM_DUE_FACTS;
    if (plan->is_urgent || now.mono_ms >= plan->next_report_ms)
        due |= SYMPTOM_DUE_REPORT;
    return due;
}

/* The next point of the grid after now. */
static void step(int64_t *next_ms, int64_t pace_ms, int64_t now_ms)
{
    if (*next_ms <= now_ms)
        *next_ms += ((now_ms - *next_ms) / pace_ms + 1) * pace_ms;
}

void symptom_plan_done(struct symptom_plan *plan, unsigned due, struct cas_now now)
{
    /* A sample taken at once because of a change must not put off the next one on the grid. */
    if ((due & SYMPTOM_DUE_SAMPLE) != 0) {
        step(&plan->next_sample_ms, plan->pace.sample_ms, now.mono_ms);
        plan->is_sample_urgent = false;
    }
    if ((due & SYMPTOM_DUE_EVENTS) != 0)
        step(&plan->next_events_ms, plan->pace.events_ms, now.mono_ms);
    if ((due & SYMPTOM_DUE_FACTS) != 0)
        step(&plan->next_facts_ms, plan->pace.facts_ms, now.mono_ms);
    if ((due & SYMPTOM_DUE_REPORT) != 0) {
        step(&plan->next_report_ms, plan->pace.report_ms, now.mono_ms);
        plan->is_urgent = false;
    }
}

int64_t symptom_plan_wait_ms(const struct symptom_plan *plan, struct cas_now now)
{
    if (plan->is_urgent || plan->is_sample_urgent)
        return 0;
    int64_t next_ms = plan->next_sample_ms;
    if (plan->next_events_ms < next_ms)
        next_ms = plan->next_events_ms;
    if (plan->next_facts_ms < next_ms)
        next_ms = plan->next_facts_ms;
    if (plan->next_report_ms < next_ms)
        next_ms = plan->next_report_ms;
    return next_ms > now.mono_ms ? next_ms - now.mono_ms : 0;
}

bool symptom_plan_pool(struct symptom_plan *plan, const struct host_pool *pool)
{
    struct host_worker newest = {0};
    if (pool->worker_n > 0)
        newest = pool->worker[pool->worker_n - 1];
    bool is_same = plan->has_pool && plan->pid == newest.pid && plan->start_ms == newest.start_ms &&
                   plan->health == pool->health && plan->is_drained == pool->is_drained &&
                   strcmp(plan->maintenance, pool->maintenance) == 0;
    if (is_same)
        return false;
    plan->has_pool = true;
    plan->pid = newest.pid;
    plan->start_ms = newest.start_ms;
    plan->health = pool->health;
    plan->is_drained = pool->is_drained;
    memcpy(plan->maintenance, pool->maintenance, sizeof plan->maintenance);
    plan->is_sample_urgent = true;
    plan->is_urgent = true;
    return true;
}

bool symptom_plan_event(struct symptom_plan *plan, uint32_t id)
{
    if (id != EVENT_PORT_REUSED && id != EVENT_PORTS_OUT)
        return false;
    plan->is_urgent = true;
    return true;
}
