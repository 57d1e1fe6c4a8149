/* inventory_inside.h - how does the inventory find a server? For the room's own files only.
 *
 * Servers are allocated one by one, so that pointers stay; an array in order of name, and two hash
 * tables with open addressing by id and by key. */
#ifndef CONTROLLER_CORE_INVENTORY_INSIDE_H
#define CONTROLLER_CORE_INVENTORY_INSIDE_H

#include "controller/core/inventory.h"

enum {
    INVENTORY_BUCKETS = 32768, /* a power of two, over twice FLEET_SERVERS */
};
_Static_assert(INVENTORY_BUCKETS > 2 * FLEET_SERVERS, "the tables must never fill");

struct inventory {
    struct inventory_server **ordered; /* [size] by name */
    size_t size;
    struct inventory_server *by_id[INVENTORY_BUCKETS];
    struct inventory_server *by_key[INVENTORY_BUCKETS];
};

/* Case-blind; numbers by value, so CAS2 before CAS10; 0 only for the same name. */
int inventory_compare(struct cas_slice a, struct cas_slice b);
/* Position in order of name, or where it would stand; *ret_is_there tells. */
size_t
inventory_place(const struct inventory *inventory, struct cas_slice name, bool *ret_is_there);

#endif
