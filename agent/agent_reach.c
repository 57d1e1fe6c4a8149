#include "agent/agent_reach.h"

#include <string.h>

#include "agent/agent_program.h"

enum {
    FAILED_MOST = 3 /* tries in a row that tell enough */
};

static const struct reach_row reach_rows[] = {
#define FOUND(name, exit, sentence, next) {#name, sentence, next, AGENT_EXIT_##exit},
#include "agent/agent_check.def"
#undef FOUND
};

const struct reach_row *reach_row(enum reach reach)
{
    CAS_ASSERT((size_t)reach < CAS_COUNT(reach_rows));
    return &reach_rows[reach];
}

static bool reach_of_tries(const struct reach_seen *seen, enum reach *ret_reach)
{
    const struct channel_progress *progress = &seen->progress;
    if (progress->is_connected && !seen->has_key) {
        *ret_reach = REACH_NO_KEY;
        return true;
    }
    if (!seen->is_over && (progress->is_connected || progress->failed_n < FAILED_MOST))
        return false;
    *ret_reach = progress->is_connected ? REACH_SILENT
                 : progress->is_named   ? REACH_NO_TCP
                                        : REACH_NO_NAME;
    return true;
}

bool reach_of(const struct reach_seen *seen, enum reach *ret_reach)
{
    if (!seen->has_key)
        return reach_of_tries(seen, ret_reach);
    switch (seen->state) {
    case CHANNEL_UP:
        *ret_reach = REACH_APPROVED;
        return true;
    case CHANNEL_WAITING:
        *ret_reach = seen->progress.is_refused ? REACH_REFUSED : REACH_WAITING;
        return true;
    case CHANNEL_WRONG_KEY:
        *ret_reach = REACH_WRONG_KEY;
        return true;
    case CHANNEL_CONNECTING:
        break;
    }
    return reach_of_tries(seen, ret_reach);
}

void reach_endpoint(const char *endpoint, char ret_endpoint[OPTIONS_TEXT_BYTES])
{
    const char *behind = strchr(endpoint, ';');
    struct cas_text text = {.data = ret_endpoint, .cap = OPTIONS_TEXT_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text,
                 "%s%s",
                 behind != NULL ? "tcp://" : "",
                 behind != NULL ? behind + 1 : endpoint);
}
