#include "controller/hub/hub_room.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/file.h"

enum {
    HUB_OPERATORS_BYTES = 256 * 1024,
    HUB_OPERATORS = 1024
};

static size_t slot_from(const struct hub *hub, const uint8_t key[CAS_KEY_BYTES])
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++)
        value = value << 8 | (uint64_t)(key[i] ^ key[i + 16]);
    value ^= value >> 33;
    value *= 0x9E3779B97F4A7C15u;
    value ^= value >> 29;
    return (size_t)value & (hub->slot_n - 1);
}

struct hub_entry *hub_find(const struct hub *hub, const uint8_t key[CAS_KEY_BYTES])
{
    if (hub->slot_n == 0)
        return NULL;
    for (size_t at = slot_from(hub, key);; at = (at + 1) & (hub->slot_n - 1)) {
        if (hub->slot[at] == 0)
            return NULL;
        struct hub_entry *entry = hub->entry[hub->slot[at] - 1];
        if (memcmp(entry->key.byte, key, CAS_KEY_BYTES) == 0)
            return entry;
    }
}

static void slot_put(struct hub *hub, size_t position)
{
    size_t at = slot_from(hub, hub->entry[position]->key.byte);
    while (hub->slot[at] != 0)
        at = (at + 1) & (hub->slot_n - 1);
    hub->slot[at] = (uint32_t)position + 1;
}

/* Half empty at least, so that a search ends soon. */
static enum cas_err slots_grow(struct hub *hub)
{
    if ((hub->entry_n + 1) * 2 <= hub->slot_n)
        return CAS_OK;
    size_t slot_n = hub->slot_n > 0 ? hub->slot_n * 2 : 64;
    uint32_t *slot = calloc(slot_n, sizeof *slot);
    if (slot == NULL)
        return CAS_ERR_NOMEM;
    free(hub->slot);
    hub->slot = slot;
    hub->slot_n = slot_n;
    for (size_t i = 0; i < hub->entry_n; i++)
        slot_put(hub, i);
    return CAS_OK;
}

enum cas_err
hub_add(struct hub *hub, const uint8_t key[CAS_KEY_BYTES], struct hub_entry **ret_entry)
{
    /* Revoked keys are never forgotten: they get a share of their own beside the fleet's. */
    if (hub->entry_n >= 2 * PEER_MAX)
        return CAS_ERR_TOO_MANY;
    if (hub->entry_n == hub->entry_cap) {
        size_t cap = hub->entry_cap > 0 ? hub->entry_cap * 2 : 32;
        struct hub_entry **grown = realloc(hub->entry, cap * sizeof(*grown));
        if (grown == NULL)
            return CAS_ERR_NOMEM;
        hub->entry = grown;
        hub->entry_cap = cap;
    }
    enum cas_err err = slots_grow(hub);
    if (err != CAS_OK)
        return err;
    struct hub_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return CAS_ERR_NOMEM;
    memcpy(entry->key.byte, key, CAS_KEY_BYTES);
    hub->entry[hub->entry_n] = entry;
    slot_put(hub, hub->entry_n);
    hub->entry_n++;
    *ret_entry = entry;
    return CAS_OK;
}

enum cas_err hub_open(struct hub **ret_hub)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return CAS_ERR_NOMEM;
    *ret_hub = hub;
    return CAS_OK;
}

void hub_free(struct hub *hub)
{
    if (hub == NULL)
        return;
    for (size_t i = 0; i < hub->entry_n; i++)
        free(hub->entry[i]);
    free(hub->entry);
    free(hub->slot);
    free(hub->by_server);
    free(hub);
}

static enum cas_err server_room(struct hub *hub, uint32_t server_id)
{
    if (server_id < hub->server_cap)
        return CAS_OK;
    size_t cap = hub->server_cap > 0 ? hub->server_cap : 64;
    while (cap <= server_id)
        cap *= 2;
    uint32_t *grown = realloc(hub->by_server, cap * sizeof *grown);
    if (grown == NULL)
        return CAS_ERR_NOMEM;
    memset(grown + hub->server_cap, 0, (cap - hub->server_cap) * sizeof *grown);
    hub->by_server = grown;
    hub->server_cap = cap;
    return CAS_OK;
}

static void waiting_forget(struct hub *hub, const uint8_t key[CAS_KEY_BYTES])
{
    for (size_t i = 0; i < hub->waiting_n; i++) {
        if (memcmp(hub->waiting[i].key, key, CAS_KEY_BYTES) != 0)
            continue;
        hub->waiting_n--;
        memmove(&hub->waiting[i],
                &hub->waiting[i + 1],
                (hub->waiting_n - i) * sizeof hub->waiting[0]);
        return;
    }
}

static size_t position_of(const struct hub *hub, const struct hub_entry *entry)
{
    size_t at = slot_from(hub, entry->key.byte);
    while (hub->entry[hub->slot[at] - 1] != entry)
        at = (at + 1) & (hub->slot_n - 1);
    return hub->slot[at] - 1;
}

enum cas_err hub_admit_server(struct hub *hub, uint32_t server_id, const uint8_t key[CAS_KEY_BYTES])
{
    struct hub_entry *entry = hub_find(hub, key);
    if (entry != NULL && entry->standing == HUB_APPROVED &&
        (entry->peer.is_operator || entry->peer.server_id != server_id))
        return CAS_ERR_EXISTS;
    enum cas_err err = server_room(hub, server_id);
    if (err == CAS_OK && entry == NULL)
        err = hub_add(hub, key, &entry);
    if (err != CAS_OK)
        return err;
    hub_revoke_server(hub, server_id);
    struct keys_public same = entry->key;
    *entry =
        (struct hub_entry){.peer = {.server_id = server_id}, .key = same, .standing = HUB_APPROVED};
    hub->by_server[server_id] = (uint32_t)position_of(hub, entry) + 1;
    waiting_forget(hub, key);
    return CAS_OK;
}

static struct hub_entry *server_entry(const struct hub *hub, uint32_t server_id)
{
    if (server_id >= hub->server_cap || hub->by_server[server_id] == 0)
        return NULL;
    return hub->entry[hub->by_server[server_id] - 1];
}

void hub_revoke_server(struct hub *hub, uint32_t server_id)
{
    struct hub_entry *entry = server_entry(hub, server_id);
    if (entry == NULL)
        return;
    entry->standing = HUB_REVOKED;
    entry->peer.has_route = false;
    hub->by_server[server_id] = 0;
}

const struct channel_route *hub_route(const struct hub *hub, uint32_t server_id)
{
    const struct hub_entry *entry = server_entry(hub, server_id);
    return entry != NULL && entry->standing == HUB_APPROVED && entry->peer.has_route
               ? &entry->peer.route
               : NULL;
}

void hub_forget_route(struct hub *hub, uint32_t server_id)
{
    struct hub_entry *entry = server_entry(hub, server_id);
    if (entry != NULL)
        entry->peer.has_route = false;
}

bool hub_next(const struct hub *hub,
              size_t *next,
              uint32_t *ret_server_id,
              struct channel_route *ret_route)
{
    for (; *next < hub->server_cap; (*next)++) {
        const struct channel_route *route = hub_route(hub, (uint32_t)*next);
        if (route == NULL)
            continue;
        *ret_server_id = (uint32_t)*next;
        *ret_route = *route;
        (*next)++;
        return true;
    }
    return false;
}

/* ---- operators ---- */

struct operator_line {
    struct ask_operator who;
    struct keys_public key;
};

static struct cas_slice word_next(struct cas_slice *rest)
{
    while (rest->size > 0 &&
           (rest->data[0] == ' ' || rest->data[0] == '\t' || rest->data[0] == '\r')) {
        rest->data++;
        rest->size--;
    }
    struct cas_slice word = {rest->data, 0};
    while (word.size < rest->size && rest->data[word.size] != ' ' &&
           rest->data[word.size] != '\t' && rest->data[word.size] != '\r')
        word.size++;
    rest->data += word.size;
    rest->size -= word.size;
    return word;
}

enum cas_err hub_operator_parse(struct cas_slice line,
                                struct ask_operator *ret_who,
                                struct keys_public *ret_key,
                                struct cas_why *why)
{
    struct cas_slice name = word_next(&line), role = word_next(&line), key = word_next(&line);
    if (word_next(&line).size > 0 || key.size == 0)
        return cas_fail(why, CAS_ERR_CONFIG, "a line is NAME ROLE KEY");
    struct ask_operator who = {0};
    if (!cas_is_name(name) || cas_slice_copy(name, who.name, sizeof who.name) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "\"%.*s\" is not a name: 1 to 63 of letters, digits, . _ -",
                        (int)(name.size < 80 ? name.size : 80),
                        name.data);
    who.role = ask_role_from(role);
    if (who.role == ASK_NOBODY)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "\"%.*s\" is not a role: viewer, operator or admin",
                        (int)(role.size < 80 ? role.size : 80),
                        role.data);
    enum cas_err err = keys_parse(key, ret_key, why);
    if (err != CAS_OK)
        return CAS_ERR_CONFIG;
    *ret_who = who;
    return CAS_OK;
}

static enum cas_err line_check(const struct hub *hub,
                               const struct operator_line *known,
                               size_t known_n,
                               const struct operator_line *line,
                               struct cas_why *why)
{
    for (size_t i = 0; i < known_n; i++) {
        if (keys_same(&known[i].key, &line->key))
            return cas_fail(why, CAS_ERR_CONFIG, "the key of %s once more", known[i].who.name);
        if (strcmp(known[i].who.name, line->who.name) == 0)
            return cas_fail(why, CAS_ERR_CONFIG, "operator %s once more", known[i].who.name);
    }
    const struct hub_entry *entry = hub_find(hub, line->key.byte);
    if (entry != NULL && !entry->peer.is_operator)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "operator %s: this is the key of an agent",
                        line->who.name);
    return CAS_OK;
}

static enum cas_err lines_read(const struct hub *hub,
                               const char *path,
                               struct cas_slice text,
                               struct operator_line *ret_line,
                               size_t *ret_n,
                               struct cas_why *why)
{
    size_t n = 0;
    for (size_t number = 1; text.size > 0; number++) {
        const char *end = memchr(text.data, '\n', text.size);
        struct cas_slice line = {text.data, end != NULL ? (size_t)(end - text.data) : text.size};
        size_t step = end != NULL ? line.size + 1 : line.size;
        text = (struct cas_slice){text.data + step, text.size - step};
        struct cas_slice rest = line;
        struct cas_slice word = word_next(&rest);
        if (word.size == 0 || word.data[0] == '#')
            continue;
        if (n == HUB_OPERATORS)
            return cas_fail(why,
                            CAS_ERR_CONFIG,
                            "%s:%zu: more than %d operators",
                            path,
                            number,
                            HUB_OPERATORS);
        struct cas_why inner = {0};
        enum cas_err err = hub_operator_parse(line, &ret_line[n].who, &ret_line[n].key, &inner);
        if (err == CAS_OK)
            err = line_check(hub, ret_line, n, &ret_line[n], &inner);
        if (err != CAS_OK)
            return cas_fail(why, err, "%s:%zu: %s", path, number, inner.text);
        n++;
    }
    *ret_n = n;
    return CAS_OK;
}

bool hub_is_operator(const struct hub *hub, const uint8_t key[CAS_KEY_BYTES])
{
    const struct hub_entry *entry = hub_find(hub, key);
    return entry != NULL && entry->peer.is_operator && entry->standing == HUB_APPROVED;
}

/* Those no longer named are refused from now on; those still named keep their connection. */
static enum cas_err lines_take(struct hub *hub, const struct operator_line *line, size_t n)
{
    /* Room first: what follows must not stop half-way. */
    for (size_t i = 0; i < n; i++) {
        struct hub_entry *entry = hub_find(hub, line[i].key.byte);
        enum cas_err err = entry == NULL ? hub_add(hub, line[i].key.byte, &entry) : CAS_OK;
        if (err != CAS_OK)
            return err;
        if (!entry->peer.is_operator)
            entry->standing = HUB_GONE;
        entry->peer.is_operator = true;
    }
    for (size_t i = 0; i < hub->entry_n; i++) {
        if (hub->entry[i]->peer.is_operator)
            hub->entry[i]->standing = HUB_GONE;
    }
    for (size_t i = 0; i < n; i++) {
        struct hub_entry *entry = hub_find(hub, line[i].key.byte);
        entry->standing = HUB_APPROVED;
        entry->peer.operator_ = line[i].who;
        waiting_forget(hub, line[i].key.byte);
    }
    return CAS_OK;
}

enum cas_err
hub_operators_take(struct hub *hub, const char *path, struct cas_slice text, struct cas_why *why)
{
    size_t n = 0;
    struct operator_line *line = malloc(HUB_OPERATORS * sizeof *line);
    if (line == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = lines_read(hub, path, text, line, &n, why);
    if (err == CAS_OK)
        err = lines_take(hub, line, n);
    free(line);
    return err;
}

enum cas_err hub_operators_load(struct hub *hub, const char *path, struct cas_why *why)
{
    char *data = NULL;
    size_t size = 0;
    enum cas_err err = file_read(path, HUB_OPERATORS_BYTES, FILE_PUBLIC, &data, &size, why);
    if (err != CAS_OK)
        return err;
    err = hub_operators_take(hub, path, (struct cas_slice){data, size}, why);
    free(data);
    return err;
}
