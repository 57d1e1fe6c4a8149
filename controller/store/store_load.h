/* store_load.h - what did servers carry at a time that is kept?
 *
 * A third door of store: readings of active requests out of the kept reports, by time. Reports have
 * no index by time; they are found by bisection of their order of arrival. Reads only. Used by ask
 * for `recycle simulate`. */
#ifndef CONTROLLER_STORE_STORE_LOAD_H
#define CONTROLLER_STORE_STORE_LOAD_H

#include "controller/store/store.h"

enum {
    STORE_LOAD_LATE_MS = 10 * 60 * 1000, /* reports that came later than this are not looked at */
};
struct store_load {
    const char *pool;
    void *context;
    /* Is this sample worth being read? at_ms: its agent's wall clock. */
    bool (*wants)(void *context, uint32_t server_id, int64_t at_ms);
    /* A sample that was wanted and has a value. */
    void (*tell)(void *context, uint32_t server_id, int64_t at_ms, double requests);
};
/* Samples of from_ms..to_ms of reports that came until late_ms after, in order of arrival. Cost: a
 * step for each report of the time, a decoding for each sample wanted.
 * CAS_ERR_CORRUPT, CAS_ERR_FORMAT, CAS_ERR_IO, CAS_ERR_NOMEM */
CAS_CHECK enum cas_err store_loads_read(struct store *store,
                                        const struct store_load *load,
                                        int64_t from_ms,
                                        int64_t to_ms,
                                        int64_t late_ms,
                                        struct cas_why *why);
/* When the oldest kept report came; 0: none is kept. */
CAS_CHECK enum cas_err
store_loads_since(struct store *store, int64_t *ret_since_ms, struct cas_why *why);

#endif
