/* scene_raw.h - what do the records that Windows' own calls fill say?
 *
 * Performance counters as PDH hands them over (an array of names and values) become rows of a
 * scene, numbers of the TCP table become states. Pure, and without any type of Windows, so that all
 * of it is tested on any system. Used by host_windows_pdh.c and host_windows_net.c. */
#ifndef AGENT_HOST_SCENE_RAW_H
#define AGENT_HOST_SCENE_RAW_H

#include "agent/host/scene.h"

enum {
    SCENE_ITEMS = 16384, /* instances of one counter: a process each, at most */
};

/* ---- scene_counters.c ---- */

/* The English path a counter is added by: "\Memory\Available Bytes", "\Processor(_Total)\...",
 * "\Process(*)\Private Bytes". A pool's name never stands in it: ( ) # / \ and * mean something
 * else there. */
void scene_counters_path(enum capture_counter kind, struct cas_text *path);
/* Has it a value for each instance, so that its array is asked for? */
bool scene_counters_is_array(enum capture_counter kind);

/* All empty, and every counter absent without a reason yet. */
void scene_counters_clear(struct scene_counters *counters);
/* The one value of a counter that is no array. NAN: it had none. */
void scene_counters_add_value(struct scene_counters *counters,
                              enum capture_counter kind,
                              double value);

struct scene_item {
    const uint16_t *name; /* UTF-16, name_n units, borrowed */
    size_t name_n;
    double value; /* NAN: none in this sample */
};
/* The items of one counter's array, in the order they came. Kept are: of Process and .NET CLR
 * Memory the worker processes (w3wp, w3wp_p4120_r3), of W3SVC_W3WP the pool's workers
 * (4120_<pool>), of HTTP Service Request Queues the pool's queue. Names that are equal are numbered
 * as counter paths do (w3wp, w3wp#1), as PDH leaves that out in arrays; the order within one sample
 * is the same for all counters of an object, so the numbers fit together. A name beyond
 * SCENE_INSTANCE_BYTES is cut between characters. Returns how many were kept; what finds no room
 * counts in dropped_n. The pool's name is compared without regard to ASCII case; when no instance
 * has it, the characters that must not stand in instance names ( ) # / \ * match what providers
 * write instead. The queue's row is called as the pool. */
size_t scene_counters_add_array(struct scene_counters *counters,
                                enum capture_counter kind,
                                const char *pool,
                                const struct scene_item *item, /* [item_n] */
                                size_t item_n);
/* Changes when a worker of the pool begins or ends, as far as its counters tell. */
uint64_t scene_counters_workers(const struct scene_counters *counters);

/* UTF-16 as UTF-8, cut between characters, terminated; half a pair becomes U+FFFD. */
void scene_text(const uint16_t *unit, size_t unit_n, char *ret_text, size_t cap);

/* ---- scene_sockets.c ---- */

/* MIB_TCP_STATE; CAPTURE_STATE_UNKNOWN for a number without a meaning here. */
enum capture_state scene_socket_state(uint32_t mib_state);
/* Ports of the TCP table: network order in the lower half, anything in the upper. */
uint16_t scene_socket_port(uint32_t mib_port);

#endif
