/* inventory_inside.h - how does the inventory find a server? For the room's own files only.
 *
 * Servers are allocated one by one, so that pointers stay; an array in order of name, and two hash
 * tables with open addressing by id and by key. All three grow with the farm. */
#ifndef CONTROLLER_CORE_INVENTORY_INSIDE_H
#define CONTROLLER_CORE_INVENTORY_INSIDE_H

#include "controller/core/inventory.h"

enum {
    INVENTORY_FIRST = 64,  /* servers that there is room for at first: a power of two */
    INVENTORY_BUCKETS = 2, /* in each table for one server there is room for: they never fill */
};

_Static_assert((INVENTORY_FIRST & (INVENTORY_FIRST - 1)) == 0 && INVENTORY_BUCKETS >= 2 &&
                   (INVENTORY_BUCKETS & (INVENTORY_BUCKETS - 1)) == 0,
               "a table's size is a power of two, and half of it at most is used");

struct inventory {
    struct inventory_server **ordered; /* [cap] by name */
    size_t size, cap;
    struct inventory_server **by_id, **by_key; /* [INVENTORY_BUCKETS * cap] */
};

/* Case-blind; numbers by value, so CAS2 before CAS10; 0 only for the same name. */
int inventory_compare(struct cas_slice a, struct cas_slice b);
/* Position in order of name, or where it would stand; *ret_is_there tells. */
size_t
inventory_place(const struct inventory *inventory, struct cas_slice name, bool *ret_is_there);

#endif
