/* asks.h - what may an operator ask, and which role does it take?
 *
 * Printed from asks.def. Pure. Used by controller/ask (who may), controller/cli (help, spelling)
 * and the manual. */
#ifndef PROTO_WIRE_ASKS_H
#define PROTO_WIRE_ASKS_H

#include "proto/base/cas.h"

enum ask_verb {
    ASK_NONE = 0,
#define ASK(symbol, name, role, words) ASK_##symbol,
#include "proto/wire/asks.def"
#undef ASK
    ASK_END, /* one more than the last */
};

/* Each role may do what those before it may. */
enum ask_role {
    ASK_NOBODY = 0, /* an operator without a role: may ask nothing */
    ASK_VIEWER = 1,
    ASK_OPERATOR = 2,
    ASK_ADMIN = 3,
    ASK_NEVER = 4, /* what a verb outside the table takes; no operator has it */
};

enum ask_verb ask_from(struct cas_slice name); /* "server.list"; ASK_NONE when unknown */
const char *ask_name(enum ask_verb verb);      /* "server.list"; NULL when unknown */
const char *ask_words(enum ask_verb verb);     /* one line for help; NULL when unknown */
enum ask_role ask_role(enum ask_verb verb);    /* the least role that may; ASK_NEVER when unknown */

/* Default deny: false for unknown verbs, and for roles outside VIEWER..ADMIN. */
bool ask_is_allowed(enum ask_role has, enum ask_verb verb);

const char *
ask_role_name(enum ask_role role); /* "viewer" "operator" "admin"; NULL for the others */
enum ask_role ask_role_from(struct cas_slice name); /* ASK_NOBODY when unknown */

#endif
