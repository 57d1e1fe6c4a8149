/* probe.h - what does the answer of this server's own health page say?
 *
 * Pure: an address taken apart, pieces of an answer put together, an end judged. Used by
 * host_windows_http.c; tested on any system. */
#ifndef AGENT_HOST_PROBE_H
#define AGENT_HOST_PROBE_H

#include "agent/host/scene.h"

enum {
    PROBE_HOST_BYTES = 16,
    PROBE_PATH_BYTES = 256,
    PROBE_PIECES = 64, /* reads of one body: the page is one line */
};

struct probe_url {
    bool is_tls;
    char host[PROBE_HOST_BYTES]; /* 127.0.0.1, ::1 or localhost */
    uint16_t port;
    char path[PROBE_PATH_BYTES]; /* from its slash on */
};
/* http or https, an address of this machine alone, port 1..65535 (80 and 443 when not said).
 * CAS_ERR_FORMAT, CAS_ERR_RANGE the port, CAS_ERR_TOO_LONG the path, CAS_ERR_DENIED another host:
 * its certificate would not be looked at. */
CAS_CHECK enum cas_err
probe_url_parse(const char *url, struct probe_url *ret_url, struct cas_why *why);

/* An answer as it comes in. Zero-initialise. */
struct probe_body {
    char text[SCENE_BODY_BYTES];
    size_t used;
    size_t piece_n;
    bool is_too_long; /* more bytes than fit, or PROBE_PIECES reads and no end */
};
/* Room for the next read: one byte more than fits, so that too long a body is seen as such. */
size_t probe_body_room(const struct probe_body *body);
void probe_body_add(struct probe_body *body, const char *bytes, size_t size);

/* How a probe ended. */
struct probe_end {
    uint32_t status; /* HTTP; 0 none */
    uint32_t error;  /* of WinHTTP; 0 none */
    uint32_t tls;    /* its flags of a failed certificate; 0 none */
    bool is_late;    /* given up at its deadline */
    int64_t spent_ms;
    bool has_length;
    uint32_t length; /* of the body, as the server said */
    const struct probe_body *body;
};
/* Status and body when there is an answer. The reason is empty for 200 with a body that fits, else
 * it says why this is not the page of a healthy server; words: English text of the error with its
 * number, "" none.
 */
void probe_judge(const struct probe_end *end, const char *words, struct scene_probe *ret_probe);

#endif
