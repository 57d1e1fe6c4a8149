/* need.h - does this server need a recycle, and can it bear one?
 *
 * Pure: what was measured, how old it is, and a verdict of three: yes, no, not known. Not known is
 * never folded into one of the others; who asks decides what it means, and says so. Source of the
 * signs: Microsoft KB 4456227, as in symptoms.def. Used by rollout, shown by view. */
#ifndef CONTROLLER_CORE_NEED_H
#define CONTROLLER_CORE_NEED_H

#include "controller/core/inventory.h"

enum {
    NEED_FRESH_MS = 10 * 60 * 1000, /* a reading older than this says nothing of now */
    NEED_STRANDED_N = 100,          /* requests older than any heartbeat may be */
    NEED_PORTS_PCT = 50,            /* of the dynamic range; below, days are left */
};

/* Both workers of an overlapped recycle are in memory at once, for up to 90 s: what is available
 * against the private bytes of the worker there is. */
enum need_ram {
    RAM_UNKNOWN,
    RAM_FITS,
    RAM_SHORT
};
/* words may be NULL: "two workers do not fit: 1.2 GB free, the worker has 3.1 GB (12 s old)" */
enum need_ram
need_ram_of(const struct inventory_server *server, int64_t wall_ms, struct cas_text *words);
/* Available less private bytes; only when it is known. */
double need_ram_spare(const struct inventory_server *server);

/* Is the known leak there? One sign is enough; none needs stranded requests and ports measured. */
enum need_leak {
    LEAK_UNKNOWN,
    LEAK_NONE,
    LEAK_SIGNS
};
/* words may be NULL: "no leak seen: 0 stranded requests, 3 % of its ports (12 s old)" */
enum need_leak
need_leak_of(const struct inventory_server *server, int64_t wall_ms, struct cas_text *words);

/* How the server stands now, in one line for a dossier: "up; worker 4120 for 6 d; 612 requests; 0
 * stranded; 3 % of ports; 4.1 GB free; heard 2 s ago; not known: ...". */
void need_picture(const struct inventory_server *server,
                  struct cas_now now,
                  struct cas_text *words);

#endif
