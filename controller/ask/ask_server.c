#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ask/ask_room.h"

enum cas_err ask_status(struct ask_call *call)
{
    bool needs_attention = false;
    enum cas_err err = view_status(&call->view, &call->reply->document, &needs_attention);
    call->reply->exit = needs_attention ? ASK_EXIT_ATTENTION : ASK_EXIT_OK;
    return err;
}

enum cas_err ask_server_list(struct ask_call *call)
{
    size_t *at = NULL, n = 0;
    enum cas_err err = ask_choose(call, false, &at, &n);
    if (err == CAS_OK)
        err = view_server_list(&call->view, at, n, &call->reply->document);
    free(at);
    return err;
}

enum cas_err ask_server_show(struct ask_call *call)
{
    size_t *at = NULL, n = 0;
    enum cas_err err = ask_choose(call, true, &at, &n);
    if (err == CAS_OK)
        err = view_server_show(&call->view, at, n, &call->reply->document);
    free(at);
    return err;
}

static enum cas_err label_one(struct ask_call *call, const struct inventory_server *server)
{
    for (int l = 0; l < LABEL_N; l++) {
        enum inventory_label label = (enum inventory_label)l;
        const char *name = inventory_label_name(label);
        char text[LABEL_BYTES], words[192];
        if (!ask_has(call, name))
            continue;
        enum cas_err err = ask_get_label(call, label, text);
        if (err != CAS_OK)
            return err;
        snprintf(words, sizeof words, "%s is now \"%s\"", name, text);
        struct store_audit audit = ask_audit(call, server->name, words);
        err = call->scene->label(call->scene->context, server->id, label, text, &audit, &call->why);
        if (err != CAS_OK)
            return err;
    }
    return CAS_OK;
}

enum cas_err ask_server_label(struct ask_call *call)
{
    size_t *at = NULL, n = 0;
    bool has_one = false;
    for (int l = 0; l < LABEL_N; l++)
        has_one |= ask_has(call, inventory_label_name((enum inventory_label)l));
    if (!has_one)
        return cas_fail(&call->why,
                        CAS_ERR_MISSING,
                        "name a label: --site, --role, --dag or --pool");
    enum cas_err err = ask_choose(call, true, &at, &n);
    for (size_t i = 0; i < n && err == CAS_OK; i++)
        err = label_one(call, inventory_at(call->scene->inventory, at[i]));
    free(at);
    if (err != CAS_OK)
        return err;
    char words[96];
    snprintf(words, sizeof words, "%zu server%s labelled", n, n == 1 ? "" : "s");
    return view_done(&call->view, words, NULL, NULL, &call->reply->document);
}

enum cas_err ask_patch_report(struct ask_call *call)
{
    struct cas_slice below =
        ask_has(call, "below") ? ask_get(call, "below") : cas_slice_of("2016:CU11");
    struct compliance_build build;
    char name[96];
    enum cas_err err = compliance_named(below, &build, &call->why);
    if (err != CAS_OK)
        return err == CAS_ERR_NOT_FOUND ? CAS_ERR_RANGE : err; /* a build, not servers: usage */
    err = cas_slice_copy(below, name, sizeof name);
    if (err != CAS_OK)
        return err;
    size_t *at = NULL, n = 0;
    err = ask_choose(call, false, &at, &n);
    if (err == CAS_OK)
        err = view_patch(&call->view, at, n, &build, name, &call->reply->document);
    free(at);
    return err;
}
