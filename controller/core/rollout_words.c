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
    switch (reason) {
    case REASON_NONE:
        return "";
    case REASON_GAP:
        return "resting between waves";
    case REASON_SETTLING:
        return "requests have not settled";
    case REASON_FLOOR:
        return "one more out would break the floor";
    case REASON_WINDOW_EARLY:
        return "the window has not opened";
    case REASON_WINDOW_CLOSED:
        return "the window has closed";
    case REASON_SILENT:
        return "silent";
    case REASON_UNHEALTHY:
        return "health is not known";
    case REASON_DRAINED:
        return "drained";
    case REASON_MAINTENANCE:
        return "in maintenance";
    case REASON_REVOKED:
        return "revoked";
    case REASON_JOURNAL:
        return "its journal cannot be written";
    case REASON_SLOT:
        return "held by another rollout";
    case REASON_NO_CLAIM:
        return "did not answer the offer";
    case REASON_NO_RESULT:
        return "no outcome in time";
    case REASON_NO_PROOF:
        return "not healthy in time";
    case REASON_AGENT_FAILED:
        return "the agent failed to do it";
    case REASON_AGENT_UNKNOWN:
        return "the agent does not know whether it was done";
    case REASON_NACK:
        return "the agent refused";
    case REASON_EVIDENCE:
        return "done, but the worker is still the old one";
    case REASON_STOP_RULE:
        return "stop rule";
    case REASON_PAUSED:
        return "paused by an operator";
    case REASON_OPERATOR:
        return "waits for an operator";
    case REASON_MISSED:
        return "its start was missed";
    case REASON_WAVE:
        return "an earlier wave is not through";
    case REASON_RETRY:
        return "retried, alone";
    case REASON_SKEW:
        return "its clock is off";
    case REASON_AT_ONCE:
        return "as many as allowed at once are under way";
    case REASON_LATE_PROOF:
        return "proved after its deadline";
    case REASON_FIXED:
        return "has the fix";
    case REASON_NO_DATA:
        return "health is not known";
    }
    return "?";
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

bool rollout_is_late(const struct rollout_step *step)
{
    switch (step->reason) {
    case REASON_NO_CLAIM:
    case REASON_NO_RESULT:
    case REASON_NO_PROOF:
    case REASON_NACK:
        return true;
    case REASON_NONE:
    case REASON_GAP:
    case REASON_SETTLING:
    case REASON_FLOOR:
    case REASON_WINDOW_EARLY:
    case REASON_WINDOW_CLOSED:
    case REASON_SILENT:
    case REASON_UNHEALTHY:
    case REASON_DRAINED:
    case REASON_MAINTENANCE:
    case REASON_REVOKED:
    case REASON_JOURNAL:
    case REASON_SLOT:
    case REASON_AGENT_FAILED:
    case REASON_AGENT_UNKNOWN:
    case REASON_EVIDENCE:
    case REASON_STOP_RULE:
    case REASON_PAUSED:
    case REASON_OPERATOR:
    case REASON_MISSED:
    case REASON_WAVE:
    case REASON_RETRY:
    case REASON_SKEW:
    case REASON_AT_ONCE:
    case REASON_LATE_PROOF:
    case REASON_FIXED:
    case REASON_NO_DATA:
        break;
    }
    return false;
}

/* Only where the agent has told no outcome yet: what it has told it will tell again, unasked. */
bool rollout_may_ask(const struct rollout_step *step)
{
    if (!step->holds_slot || step->evidence.seq != 0)
        return false;
    if (step->state == STEP_UNKNOWN)
        return true;
    return step->state == STEP_FAILED &&
           (rollout_is_late(step) || (step->reason == REASON_OPERATOR && !rollout_is_owed(step)));
}

bool rollout_may_prove(const struct rollout_step *step)
{
    if (step->state == STEP_PROVING)
        return true;
    return step->state == STEP_FAILED && step->holds_slot && step->evidence.seq != 0 &&
           step->evidence.state == COMMAND_DONE && step->reason != REASON_EVIDENCE;
}

struct rollout_tally rollout_tally_of(const struct rollout *rollout)
{
    struct rollout_tally tally = {0};
    for (size_t i = 0; i < rollout->step_n; i++) {
        switch (rollout->step[i].state) {
        case STEP_PENDING:
        case STEP_CANCELLED:
            tally.untouched_n++;
            break;
        case STEP_RESERVED:
        case STEP_GRANTED:
        case STEP_PROVING:
        case STEP_CANCELLING:
            tally.under_way_n++;
            break;
        case STEP_CLOSED:
            tally.closed_n++;
            break;
        case STEP_FAILED:
        case STEP_UNKNOWN:
            tally.failed_n++;
            break;
        case STEP_SKIPPED:
            tally.skipped_n++;
            break;
        }
    }
    return tally;
}
