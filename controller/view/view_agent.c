#include <string.h>

#include "controller/view/view_json.h"
#include "proto/trust/keys.h"

static void set_key(json_t *item, const uint8_t byte[CAS_KEY_BYTES])
{
    struct keys_public key;
    memcpy(key.byte, byte, sizeof key.byte);
    char fingerprint[KEYS_FINGERPRINT_BYTES], text[KEYS_TEXT_BYTES];
    keys_fingerprint(&key, fingerprint);
    keys_text(&key, text);
    view_set_text(item, "fingerprint", fingerprint);
    view_set_text(item, "key", text);
}

static json_t *waiting_json(const struct view_waiting *waiting)
{
    json_t *item = json_object();
    view_set_text(item, "name", NULL);
    view_set_text(item, "state", "waiting");
    set_key(item, waiting->key);
    view_set_text(item, "address", waiting->address);
    view_set_time(item, "first_ms", waiting->first_ms);
    view_set_time(item, "heard_ms", waiting->last_ms);
    view_set_count(item, "tries", (size_t)waiting->tries);
    return item;
}

static json_t *agent_json(const struct inventory_server *server)
{
    json_t *item = json_object();
    view_set_text(item, "name", server->name);
    bool is_approved = server->admission == ADMISSION_APPROVED;
    view_set_text(item, "state", is_approved ? "approved" : "revoked");
    set_key(item, server->key);
    view_set_text(item, "agent_ver", server->live.agent_ver);
    json_object_set_new(item, "connected", json_boolean(server->live.is_connected));
    view_set_time(item, "heard_ms", server->live.heard_ms);
    view_set_time(item, "approved_ms", server->approved_ms);
    view_set_text(item, "approved_by", server->approved_by);
    return item;
}

enum cas_err
view_agent_list(const struct view_scene *scene, bool is_pending_only, char **ret_document)
{
    json_t *document = view_begin(scene, "AgentList");
    json_t *items = json_array();
    for (size_t i = 0; !is_pending_only && i < inventory_size(scene->inventory); i++)
        json_array_append_new(items, agent_json(inventory_at(scene->inventory, i)));
    for (size_t i = 0; i < scene->waiting_n; i++)
        json_array_append_new(items, waiting_json(&scene->waiting[i]));
    json_object_set_new(document, "items", items);
    json_t *next = json_array();
    if (scene->waiting_n > 0)
        view_add_next(next,
                      "casfleet agent approve NAME --key FINGERPRINT",
                      "compare with `casfleet-agent --fingerprint` on that server first");
    json_object_set_new(document, "next", next);
    return view_finish(document, ret_document);
}
