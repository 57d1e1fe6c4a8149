/* redact.h - how is a report made fit to be sent to strangers?
 *
 * Names of hosts and users, and addresses, each become a stand-in: host-1, user-2, ip-3. The same
 * name has the same stand-in everywhere in what one redactor wrote, so that the report still tells
 * a story. Rather one word too many is replaced than one too few: a version of four small numbers
 * looks like an address, so known versions are not handed in. Pure: memory only. Used by
 * agent_selftest.c. */
#ifndef AGENT_REDACT_H
#define AGENT_REDACT_H

#include "proto/base/cas.h"

enum {
    REDACT_NAMES = 256, /* told apart; what is beyond has the stand-in "hidden" */
    REDACT_NAME_BYTES = 256
};
enum redact_kind {
    REDACT_HOST,
    REDACT_USER,
    REDACT_ADDRESS,
    REDACT_KIND_N
};

struct redact_name {
    char name[REDACT_NAME_BYTES];
    enum redact_kind kind;
    unsigned number;
};
/* Zero-initialise. */
struct redact {
    struct redact_name name[REDACT_NAMES];
    size_t name_n;
    unsigned number_n[REDACT_KIND_N];
};

/* A name that is known to be one: from now on it is replaced wherever it stands as a word, in any
 * case of letters. Of a dotted host its first label and its domain are known too. Names of one
 * letter and longer than REDACT_NAME_BYTES are passed over. */
void redact_know(struct redact *redact, enum redact_kind kind, const char *name);
/* The text with stand-ins for known names and for what looks like one: IPv4 and IPv6 addresses,
 * DOMAIN\user, user@domain, \\server, //host, names of three labels or more, and the folder of a
 * user below \Users\ or /home/. Appends to out. */
void redact_text(struct redact *redact, struct cas_slice text, struct cas_text *out);

#endif
