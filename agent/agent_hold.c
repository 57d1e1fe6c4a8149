#include <stdio.h>
#include <string.h>

#include "agent/agent_program.h"
#include "agent/hold/hold.h"
#include "agent/place.h"
#include "proto/base/clock.h"
#include "proto/base/file.h"

static int failed(enum cas_err err, const struct cas_why *why)
{
    agent_say(err, why);
    return err == CAS_ERR_DENIED ? AGENT_EXIT_DENIED : AGENT_EXIT_REFUSED;
}

static void line_print(FILE *out, const char *before, const struct hold *hold)
{
    char text[REASON_BYTES + 2 * CAS_NAME_BYTES];
    struct cas_text line = CAS_TEXT(text);
    cas_text_clear(&line);
    hold_words(hold, &line);
    if (hold->since_ms != 0) {
        cas_text_add(&line, ", since ");
        cas_text_utc(&line, hold->since_ms);
    }
    (void)fprintf(out, "%s%s\n", before, text);
}

/* A folder that is not there is the usual mistake: another configuration, or never started. */
static enum cas_err
state_check(const struct agent_options *options, struct agent_paths *ret_paths, struct cas_why *why)
{
    agent_paths_of(options, ret_paths);
    if (file_exists(options->state))
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_NOT_FOUND,
                    "state: %s: no such folder; name the agent's own with --config or --state",
                    options->state);
}

int agent_hold(const struct agent_call *call)
{
    struct cas_why why = {.text = ""};
    struct agent_paths paths;
    struct hold before;
    struct hold hold = {.is_held = true, .since_ms = clock_now().wall_ms};
    struct cas_slice reason = cas_slice_of(call->options->reason);
    enum cas_err err = hold_check_reason(reason, &why);
    if (err == CAS_OK)
        err = cas_slice_copy(reason, hold.reason, sizeof hold.reason);
    if (err == CAS_OK)
        err = state_check(call->options, &paths, &why);
    if (err != CAS_OK)
        return failed(err, &why);
    place_user(hold.by);
    hold_read(paths.hold, &before);
    bool is_known = before.is_held && before.since_ms != 0; /* else the file itself is broken */
    if (is_known && strcmp(before.by, hold.by) == 0 && strcmp(before.reason, hold.reason) == 0) {
        line_print(stdout, "is already ", &before);
        return AGENT_EXIT_FINE;
    }
    if (is_known) {
        line_print(stderr, "casfleet-agent: is already ", &before);
        (void)fprintf(stderr, "next        casfleet-agent release, then hold again\n");
        return AGENT_EXIT_FAILED;
    }
    err = hold_write(paths.hold, &hold, &why);
    if (err != CAS_OK)
        return failed(err, &why);
    line_print(stdout, "", &hold);
    (void)printf("An agent that runs sees it within 3 s; an act under way is finished first.\n"
                 "next        casfleet-agent release, once this server may be touched again\n");
    return AGENT_EXIT_FINE;
}

int agent_release(const struct agent_call *call)
{
    struct cas_why why = {.text = ""};
    struct agent_paths paths;
    struct hold before;
    struct hold hold = {.is_held = false, .since_ms = clock_now().wall_ms};
    enum cas_err err = state_check(call->options, &paths, &why);
    if (err != CAS_OK)
        return failed(err, &why);
    place_user(hold.by);
    hold_read(paths.hold, &before);
    if (!before.is_held) {
        (void)printf("is not held\n");
        return AGENT_EXIT_FINE;
    }
    err = hold_write(paths.hold, &hold, &why);
    if (err != CAS_OK)
        return failed(err, &why);
    line_print(stdout, "released; was ", &before);
    return AGENT_EXIT_FINE;
}
