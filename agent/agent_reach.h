/* agent_reach.h - what does it mean, how far a connection to the controller came?
 *
 * Pure. Used by agent_check.c. */
#ifndef AGENT_AGENT_REACH_H
#define AGENT_AGENT_REACH_H

#include "proto/channel/channel.h"

enum reach {
#define FOUND(name, exit, sentence, next) REACH_##name,
#include "agent/agent_check.def"
#undef FOUND
    REACH_N
};
struct reach_row {
    const char *name;
    const char *sentence;
    const char *next;
    int exit; /* enum agent_exit */
};
const struct reach_row *reach_row(enum reach reach);

struct reach_seen {
    enum channel_state state;
    struct channel_progress progress;
    bool has_key;
    bool is_over; /* the deadline has passed */
};
/* False: not decided yet, never when the deadline has passed. */
bool reach_of(const struct reach_seen *seen, enum reach *ret_reach);
/* The endpoint without a fixed source port, which a running agent may hold: it is the same
 * controller. */
void reach_endpoint(const char *endpoint, char ret_endpoint[OPTIONS_TEXT_BYTES]);

#endif
