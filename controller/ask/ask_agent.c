#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ask/ask_room.h"
#include "proto/trust/keys.h"

enum {
    PREFIX_LEAST = 9
}; /* two groups of a fingerprint, "8c1e-02d4" */

enum cas_err ask_agent_list(struct ask_call *call)
{
    bool is_pending_only = ask_has(call, "pending");
    return view_agent_list(&call->view, is_pending_only, &call->reply->document);
}

static bool fingerprint_begins(const uint8_t byte[CAS_KEY_BYTES], struct cas_slice prefix)
{
    struct keys_public key;
    char fingerprint[KEYS_FINGERPRINT_BYTES];
    memcpy(key.byte, byte, sizeof key.byte);
    keys_fingerprint(&key, fingerprint);
    return prefix.size >= PREFIX_LEAST && prefix.size <= strlen(fingerprint) &&
           memcmp(fingerprint, prefix.data, prefix.size) == 0;
}

/* A whole key (64 hex digits), or the beginning of the fingerprint of one key that waits. */
static enum cas_err
find_key(struct ask_call *call, struct cas_slice text, struct keys_public *ret_key)
{
    if (text.size == KEYS_TEXT_BYTES - 1)
        return keys_parse(text, ret_key, &call->why);
    const struct view_waiting *found = NULL;
    for (size_t i = 0; i < call->scene->waiting_n; i++) {
        if (!fingerprint_begins(call->scene->waiting[i].key, text))
            continue;
        if (found != NULL)
            return cas_fail(&call->why,
                            CAS_ERR_RANGE,
                            "--key %.*s: more than one waiting key begins so: give more of it",
                            (int)text.size,
                            text.data);
        found = &call->scene->waiting[i];
    }
    if (found == NULL)
        return cas_fail(
            &call->why,
            CAS_ERR_NOT_FOUND,
            "--key %.*s: no waiting key begins so (at least %d characters of a fingerprint, or "
            "all 64 of the key); casfleet agent list --pending shows who waits",
            (int)(text.size < 80 ? text.size : 80),
            text.data == NULL ? "" : text.data,
            PREFIX_LEAST);
    memcpy(ret_key->byte, found->key, sizeof ret_key->byte);
    return CAS_OK;
}

static enum cas_err labels_of(struct ask_call *call, char ret_label[LABEL_N][LABEL_BYTES])
{
    enum cas_err err = CAS_OK;
    for (int l = 0; l < LABEL_N && err == CAS_OK; l++)
        err = ask_get_label(call, (enum inventory_label)l, ret_label[l]);
    return err;
}

enum cas_err ask_agent_approve(struct ask_call *call)
{
    struct cas_slice name_text = ask_get(call, "name");
    char name[CAS_NAME_BYTES], label[LABEL_N][LABEL_BYTES] = {{0}};
    if (!cas_is_name(name_text) || cas_slice_copy(name_text, name, sizeof name) != CAS_OK)
        return cas_fail(&call->why,
                        CAS_ERR_FORMAT,
                        "\"%.*s\" is no server name: 1 to 63 of letters, digits, . _ -",
                        (int)(name_text.size < 80 ? name_text.size : 80),
                        name_text.data == NULL ? "" : name_text.data);
    struct keys_public key;
    if (!ask_has(call, "key") && call->scene->waiting_n != 1)
        return cas_fail(
            &call->why,
            CAS_ERR_MISSING,
            "%zu keys wait: say which with --key FINGERPRINT; casfleet agent list --pending "
            "shows them",
            call->scene->waiting_n);
    if (!ask_has(call, "key"))
        memcpy(key.byte, call->scene->waiting[0].key, sizeof key.byte);
    enum cas_err err = ask_has(call, "key") ? find_key(call, ask_get(call, "key"), &key) : CAS_OK;
    if (err == CAS_OK)
        err = labels_of(call, label);
    if (err != CAS_OK)
        return err;
    char fingerprint[KEYS_FINGERPRINT_BYTES], words[160];
    keys_fingerprint(&key, fingerprint);
    snprintf(words, sizeof words, "key %s", fingerprint);
    struct store_audit audit = ask_audit(call, name, words);
    err = call->scene->approve(call->scene->context, name, key.byte, label, &audit, &call->why);
    if (err != CAS_OK)
        return err;
    snprintf(words, sizeof words, "%s approved, key %s", name, fingerprint);
    static const char *const next[] = {"casfleet status", NULL};
    return view_done(&call->view, words, NULL, next, &call->reply->document);
}

enum cas_err ask_agent_revoke(struct ask_call *call)
{
    size_t *at = NULL, n = 0;
    enum cas_err err = ask_choose(call, true, &at, &n);
    size_t revoked = 0;
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        const struct inventory_server *server = inventory_at(call->scene->inventory, at[i]);
        if (server->admission == ADMISSION_REVOKED)
            continue;
        struct store_audit audit = ask_audit(call, server->name, "shut out");
        err = call->scene->revoke(call->scene->context, server->id, &audit, &call->why);
        revoked += err == CAS_OK;
    }
    free(at);
    if (err != CAS_OK)
        return err;
    char words[120];
    snprintf(words,
             sizeof words,
             "%zu revoked, in force now%s",
             revoked,
             revoked < n ? " (the others were already)" : "");
    return view_done(&call->view, words, NULL, NULL, &call->reply->document);
}
