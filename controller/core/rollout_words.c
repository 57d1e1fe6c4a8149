#include "controller/core/rollout.h"

#include "controller/core/rollout_inside.h"

const char *rollout_state_words(enum rollout_state state)
{
    switch (state) {
    case ROLLOUT_SCHEDULED:
        return "scheduled";
    case ROLLOUT_RUNNING:
        return "running";
    case ROLLOUT_PAUSED:
        return "paused";
    case ROLLOUT_HALTED:
        return "halted";
    case ROLLOUT_DONE:
        return "done";
    case ROLLOUT_ENDED:
        return "ended";
    case ROLLOUT_MISSED:
        return "missed";
    }
    return "?";
}

const char *rollout_step_words(enum rollout_step_state state)
{
    switch (state) {
    case STEP_PENDING:
        return "to go";
    case STEP_RESERVED:
        return "offered";
    case STEP_GRANTED:
        return "acting";
    case STEP_PROVING:
        return "proving";
    case STEP_CLOSED:
        return "proved";
    case STEP_FAILED:
        return "failed";
    case STEP_UNKNOWN:
        return "unknown";
    case STEP_CANCELLING:
        return "cancelling";
    case STEP_CANCELLED:
        return "cancelled";
    case STEP_SKIPPED:
        return "skipped";
    }
    return "?";
}

const char *rollout_reason_words(enum rollout_reason reason)
{
    static const char *const words[] = {
        [REASON_NONE] = "",
        [REASON_GAP] = "resting between waves",
        [REASON_SETTLING] = "requests have not settled",
        [REASON_FLOOR] = "one more out would break the floor",
        [REASON_WINDOW_EARLY] = "the window has not opened",
        [REASON_WINDOW_CLOSED] = "the window has closed",
        [REASON_SILENT] = "silent",
        [REASON_UNHEALTHY] = "health is not known",
        [REASON_DRAINED] = "drained",
        [REASON_MAINTENANCE] = "in maintenance",
        [REASON_REVOKED] = "revoked",
        [REASON_JOURNAL] = "its journal cannot be written",
        [REASON_SLOT] = "held by another rollout",
        [REASON_NO_CLAIM] = "did not answer the offer",
        [REASON_NO_RESULT] = "no outcome in time",
        [REASON_NO_PROOF] = "not healthy in time",
        [REASON_AGENT_FAILED] = "the agent failed to do it",
        [REASON_AGENT_UNKNOWN] = "the agent does not know whether it was done",
        [REASON_NACK] = "the agent refused",
        [REASON_EVIDENCE] = "done, but the worker is still the old one",
        [REASON_STOP_RULE] = "stop rule",
        [REASON_PAUSED] = "paused by an operator",
        [REASON_OPERATOR] = "an operator's decision",
        [REASON_MISSED] = "its start was missed",
        [REASON_WAVE] = "an earlier wave is not through",
        [REASON_RETRY] = "retried, alone",
        [REASON_SKEW] = "its clock is off",
        [REASON_AT_ONCE] = "as many as allowed at once are under way",
        [REASON_LATE_PROOF] = "proved after its deadline",
        [REASON_FIXED] = "has the fix",
        [REASON_NO_DATA] = "health is not known",
        [REASON_RAM] = "two workers do not fit in memory, or it is not known",
        [REASON_NEIGHBOUR] = "resting: a server of its site was recycled by itself",
        [REASON_BY_ITSELF] = "recycled by itself",
        [REASON_NO_LEAK] = "does not leak",
        [REASON_YOUNG] = "recycled recently",
        [REASON_FROZEN] = "the farm is frozen",
        [REASON_HELD] = "held on the server by its own people",
        [REASON_FORGOT] = "its journal was lost or set back after the grant",
    };
    bool is_known = (size_t)reason < CAS_COUNT(words) && words[reason] != NULL;
    return is_known ? words[reason] : "?";
}

static const char *const ram_words[] = {
    [PLAN_RAM_FIT] = "fit",
    [PLAN_RAM_KNOWN] = "known",
    [PLAN_RAM_ANY] = "any",
};

const char *rollout_ram_words(enum plan_ram ram)
{
    return (size_t)ram < CAS_COUNT(ram_words) ? ram_words[ram] : "?";
}

bool rollout_ram_from(struct cas_slice words, enum plan_ram *ret_ram)
{
    size_t at = 0;
    while (at < CAS_COUNT(ram_words) && !cas_slice_is(words, ram_words[at]))
        at++;
    if (at < CAS_COUNT(ram_words))
        *ret_ram = (enum plan_ram)at;
    return at < CAS_COUNT(ram_words);
}

bool rollout_is_open(const struct rollout *rollout)
{
    switch (rollout->state) {
    case ROLLOUT_SCHEDULED:
    case ROLLOUT_RUNNING:
    case ROLLOUT_PAUSED:
    case ROLLOUT_HALTED:
        return true;
    case ROLLOUT_DONE:
    case ROLLOUT_ENDED:
    case ROLLOUT_MISSED:
        break;
    }
    return false;
}

bool rollout_takes_out(const struct rollout *rollout)
{
    return rollout->body.verb == VERB_recycle || rollout->body.verb == VERB_drain;
}

bool rollout_is_under_way(const struct rollout_step *step)
{
    return step->state == STEP_RESERVED || step->state == STEP_GRANTED ||
           step->state == STEP_PROVING || step->state == STEP_CANCELLING;
}

bool rollout_is_through(const struct rollout_step *step)
{
    return step->state != STEP_PENDING && !rollout_is_under_way(step);
}

bool rollout_is_owed(const struct rollout_step *step)
{
    return step->evidence.seq == 0 && step->evidence.state != COMMAND_NONE;
}

bool rollout_is_grant_alive(const struct rollout_step *step, int64_t mono_ms)
{
    return step->granted_mono_ms != 0 && mono_ms - step->granted_mono_ms < GRANT_LIFE_MS;
}

bool rollout_is_late(const struct rollout_step *step)
{
    return step->reason == REASON_NO_CLAIM || step->reason == REASON_NO_RESULT ||
           step->reason == REASON_NO_PROOF || step->reason == REASON_NACK;
}

/* Only where the agent has told no outcome yet: what it has told it will tell again, unasked. */
bool rollout_may_ask(const struct rollout_step *step)
{
    if (!step->holds_slot || step->evidence.seq != 0)
        return false;
    if (step->state == STEP_UNKNOWN)
        return step->reason != REASON_FORGOT;
    return step->state == STEP_FAILED &&
           (rollout_is_late(step) || (step->reason == REASON_OPERATOR && !rollout_is_owed(step)));
}

bool rollout_may_prove(const struct rollout_step *step)
{
    if (step->state == STEP_PROVING)
        return true;
    if (!step->holds_slot || step->evidence.seq == 0)
        return false;
    /* What the agent does not know its server may show: as after a restart of the agent. */
    if (step->state == STEP_UNKNOWN)
        return step->evidence.state == COMMAND_UNKNOWN;
    return step->state == STEP_FAILED && step->evidence.state == COMMAND_DONE &&
           step->reason != REASON_EVIDENCE;
}

enum rollout_freed rollout_freed_by(const struct rollout_step *step)
{
    if (rollout_may_prove(step))
        return FREED_BY_PROOF;
    bool is_awaited = rollout_may_ask(step) || step->state == STEP_RESERVED ||
                      step->state == STEP_GRANTED || step->state == STEP_CANCELLING;
    return is_awaited ? FREED_BY_ANSWER : FREED_BY_NOTHING;
}

struct rollout_tally rollout_tally_of(const struct rollout *rollout)
{
    struct rollout_tally tally = {0};
    for (size_t i = 0; i < rollout->step_n; i++) {
        switch (rollout->step[i].state) {
        case STEP_PENDING:
        case STEP_CANCELLED:
            tally.to_go++;
            break;
        case STEP_RESERVED:
        case STEP_GRANTED:
        case STEP_PROVING:
        case STEP_CANCELLING:
            tally.running++;
            break;
        case STEP_CLOSED:
            tally.proved++;
            break;
        case STEP_FAILED:
            tally.failed++;
            break;
        case STEP_UNKNOWN:
            tally.unknown++;
            break;
        case STEP_SKIPPED:
            tally.skipped++;
            break;
        }
    }
    return tally;
}
