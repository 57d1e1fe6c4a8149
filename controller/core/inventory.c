#include "controller/core/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "controller/core/inventory_inside.h"

const char *inventory_label_name(enum inventory_label label)
{
    switch (label) {
    case LABEL_SITE:
        return "site";
    case LABEL_ROLE:
        return "role";
    case LABEL_DAG:
        return "dag";
    case LABEL_POOL:
        return "pool";
    case LABEL_N:
        break;
    }
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t digits_at(struct cas_slice text, size_t at)
{
    size_t n = 0;
    while (at + n < text.size && is_digit(text.data[at + n]))
        n++;
    return n;
}

static size_t zeros_at(struct cas_slice text, size_t at, size_t digits)
{
    size_t n = 0;
    while (n + 1 < digits && text.data[at + n] == '0')
        n++;
    return n;
}

/* Two runs of digits by value: without leading zeros the longer is greater. */
static int compare_numbers(struct cas_slice a, size_t a_at, struct cas_slice b, size_t b_at)
{
    size_t a_n = digits_at(a, a_at);
    size_t b_n = digits_at(b, b_at);
    size_t a_zeros = zeros_at(a, a_at, a_n);
    size_t b_zeros = zeros_at(b, b_at, b_n);

    if (a_n - a_zeros != b_n - b_zeros)
        return a_n - a_zeros < b_n - b_zeros ? -1 : 1;
    return memcmp(a.data + a_at + a_zeros, b.data + b_at + b_zeros, a_n - a_zeros);
}

int inventory_compare(struct cas_slice a, struct cas_slice b)
{
    size_t a_at = 0;
    size_t b_at = 0;
    while (a_at < a.size && b_at < b.size) {
        if (is_digit(a.data[a_at]) && is_digit(b.data[b_at])) {
            int order = compare_numbers(a, a_at, b, b_at);
            if (order != 0)
                return order;
            a_at += digits_at(a, a_at);
            b_at += digits_at(b, b_at);
            continue;
        }
        char a_char = lower(a.data[a_at]);
        char b_char = lower(b.data[b_at]);
        if (a_char != b_char)
            return a_char < b_char ? -1 : 1;
        a_at++;
        b_at++;
    }
    if (a_at < a.size || b_at < b.size)
        return a_at < a.size ? 1 : -1;

    /* The same but for zeros in front: CAS1 before CAS01, and neither is the other. */
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return lower(a.data[i]) < lower(b.data[i]) ? -1 : 1;
    }
    return 0;
}

static size_t buckets(const struct inventory *inventory)
{
    return INVENTORY_BUCKETS * inventory->cap;
}

static size_t bucket_of_id(const struct inventory *inventory, uint32_t id)
{
    return (size_t)((id * 2654435761U) >> 8) & (buckets(inventory) - 1);
}

/* A key is a curve point, so any of its bytes are as good as a hash; a peer that grinds keys for
 * one bucket must be approved one by one first. */
static size_t bucket_of_key(const struct inventory *inventory, const uint8_t key[CAS_KEY_BYTES])
{
    uint32_t hash = 0;
    for (size_t i = 0; i < 8; i++)
        hash = hash * 31 + key[i];
    return (size_t)hash & (buckets(inventory) - 1);
}

static void enter_id(struct inventory *inventory, struct inventory_server *server)
{
    size_t bucket = bucket_of_id(inventory, server->id);
    while (inventory->by_id[bucket] != NULL)
        bucket = (bucket + 1) & (buckets(inventory) - 1);
    inventory->by_id[bucket] = server;
}

static void enter_key(struct inventory *inventory, struct inventory_server *server)
{
    size_t bucket = bucket_of_key(inventory, server->key);
    while (inventory->by_key[bucket] != NULL)
        bucket = (bucket + 1) & (buckets(inventory) - 1);
    inventory->by_key[bucket] = server;
}

/* All or nothing: the tables are filled anew. */
static enum cas_err make_room(struct inventory *inventory, size_t cap)
{
    struct inventory grown = {.size = inventory->size,
                              .cap = cap,
                              .ordered = malloc(cap * sizeof *grown.ordered),
                              .by_id = calloc(INVENTORY_BUCKETS * cap, sizeof *grown.by_id),
                              .by_key = calloc(INVENTORY_BUCKETS * cap, sizeof *grown.by_key)};
    if (grown.ordered == NULL || grown.by_id == NULL || grown.by_key == NULL) {
        free(grown.ordered);
        free(grown.by_id);
        free(grown.by_key);
        return CAS_ERR_NOMEM;
    }
    for (size_t i = 0; i < grown.size; i++) {
        grown.ordered[i] = inventory->ordered[i];
        enter_id(&grown, grown.ordered[i]);
        enter_key(&grown, grown.ordered[i]);
    }
    free(inventory->ordered);
    free(inventory->by_id);
    free(inventory->by_key);
    *inventory = grown;
    return CAS_OK;
}

enum cas_err inventory_open(struct inventory **ret_inventory)
{
    CAS_AUTO(inventory) inventory = calloc(1, sizeof *inventory);
    if (inventory == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = make_room(inventory, INVENTORY_FIRST);
    if (err != CAS_OK)
        return err;
    *ret_inventory = CAS_TAKE(inventory);
    return CAS_OK;
}

void inventory_free(struct inventory *inventory)
{
    if (inventory == NULL)
        return;
    for (size_t i = 0; i < inventory->size; i++) {
        inventory_server_clear(inventory->ordered[i]);
        free(inventory->ordered[i]);
    }
    free(inventory->ordered);
    free(inventory->by_id);
    free(inventory->by_key);
    free(inventory);
}

void inventory_server_clear(struct inventory_server *server)
{
    for (size_t i = 0; i < CAS_COUNT(server->value); i++) {
        free(server->value[i].reason);
        server->value[i].reason = NULL;
    }
    free(server->fact);
    server->fact = NULL;
    server->fact_n = 0;
    server->fact_cap = 0;
}

size_t inventory_size(const struct inventory *inventory)
{
    return inventory->size;
}

struct inventory_server *inventory_at(const struct inventory *inventory, size_t position)
{
    return position < inventory->size ? inventory->ordered[position] : NULL;
}

struct inventory_server *inventory_by_id(const struct inventory *inventory, uint32_t id)
{
    size_t bucket = bucket_of_id(inventory, id);
    while (inventory->by_id[bucket] != NULL) {
        if (inventory->by_id[bucket]->id == id)
            return inventory->by_id[bucket];
        bucket = (bucket + 1) & (buckets(inventory) - 1);
    }
    return NULL;
}

struct inventory_server *inventory_by_key(const struct inventory *inventory,
                                          const uint8_t key[CAS_KEY_BYTES])
{
    size_t bucket = bucket_of_key(inventory, key);
    while (inventory->by_key[bucket] != NULL) {
        if (memcmp(inventory->by_key[bucket]->key, key, CAS_KEY_BYTES) == 0)
            return inventory->by_key[bucket];
        bucket = (bucket + 1) & (buckets(inventory) - 1);
    }
    return NULL;
}

size_t inventory_place(const struct inventory *inventory, struct cas_slice name, bool *ret_is_there)
{
    size_t low = 0;
    size_t high = inventory->size;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (inventory_compare(cas_slice_of(inventory->ordered[middle]->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_is_there = low < inventory->size &&
                    inventory_compare(cas_slice_of(inventory->ordered[low]->name), name) == 0;
    return low;
}

struct inventory_server *inventory_by_name(const struct inventory *inventory, struct cas_slice name)
{
    bool is_there = false;
    size_t place = inventory_place(inventory, name, &is_there);
    return is_there ? inventory->ordered[place] : NULL;
}

enum cas_err inventory_add(struct inventory *inventory, const struct inventory_server *server)
{
    if (inventory->size >= FLEET_SERVERS)
        return CAS_ERR_TOO_MANY;
    bool is_there = false;
    size_t place = inventory_place(inventory, cas_slice_of(server->name), &is_there);
    if (is_there || inventory_by_id(inventory, server->id) != NULL ||
        inventory_by_key(inventory, server->key) != NULL)
        return CAS_ERR_EXISTS;

    enum cas_err err =
        inventory->size == inventory->cap ? make_room(inventory, 2 * inventory->cap) : CAS_OK;
    if (err != CAS_OK)
        return err;
    struct inventory_server *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return CAS_ERR_NOMEM;
    *copy = *server;
    memmove(inventory->ordered + place + 1,
            inventory->ordered + place,
            (inventory->size - place) * sizeof inventory->ordered[0]);
    inventory->ordered[place] = copy;
    inventory->size++;
    enter_id(inventory, copy);
    enter_key(inventory, copy);
    return CAS_OK;
}

enum cas_err inventory_set_key(struct inventory *inventory,
                               uint32_t id,
                               const uint8_t key[CAS_KEY_BYTES],
                               enum inventory_admission admission)
{
    struct inventory_server *server = inventory_by_id(inventory, id);
    if (server == NULL)
        return CAS_ERR_NOT_FOUND;
    const struct inventory_server *holder = inventory_by_key(inventory, key);
    if (holder != NULL && holder != server)
        return CAS_ERR_EXISTS;

    memcpy(server->key, key, CAS_KEY_BYTES);
    server->admission = admission;
    server->live = (struct inventory_live){0};
    /* Taking one out of open addressing leaves a hole; a key changes rarely, so all are entered
     * anew. */
    memset(inventory->by_key, 0, buckets(inventory) * sizeof *inventory->by_key);
    for (size_t i = 0; i < inventory->size; i++)
        enter_key(inventory, inventory->ordered[i]);
    return CAS_OK;
}
