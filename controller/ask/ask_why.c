#include <stdio.h>

#include "controller/ask/ask_room.h"
#include "controller/view/view_why.h"

enum {
    SHOWN_BYTES = 80
};

static int shown(struct cas_slice text)
{
    return (int)(text.size < SHOWN_BYTES ? text.size : SHOWN_BYTES);
}

/* "recycle run" or "recycle.run": a verb, and why it is refused. */
static enum ask_verb verb_of(const struct ask_call *call)
{
    char name[2 * CAS_NAME_BYTES + 2];
    struct cas_text text = CAS_TEXT(name);
    struct cas_slice noun = ask_get(call, "id"), verb = ask_get(call, "target");
    cas_text_clear(&text);
    cas_text_add(&text, "%.*s", shown(noun), noun.data == NULL ? "" : noun.data);
    if (verb.size > 0)
        cas_text_add(&text, ".%.*s", shown(verb), verb.data);
    return ask_from(cas_slice_of(name));
}

static enum cas_err why_step(struct ask_call *call, const struct rollout *rollout)
{
    struct cas_slice name = ask_get(call, "target");
    const struct inventory_server *server = inventory_by_name(call->scene->inventory, name);
    if (server == NULL)
        return cas_fail(&call->why,
                        CAS_ERR_NOT_FOUND,
                        "\"%.*s\" is no server: behind a plan stands one of its servers",
                        shown(name),
                        name.data);
    for (size_t i = 0; i < rollout->step_n; i++) {
        if (rollout->step[i].server_id == server->id)
            return view_why_step(&call->view, rollout, i, &call->reply->document);
    }
    return view_why_absent(&call->view, rollout, server, &call->reply->document);
}

/* A plan that was made and never run. */
static enum cas_err why_draft(struct ask_call *call, uint64_t seq, enum cas_err missing)
{
    struct ask_draft draft;
    struct cas_why inner = {.text = ""};
    struct store_freeze freeze;
    enum cas_err err = ask_draft_open(call, seq, &draft, &inner);
    if (err == CAS_ERR_NOT_FOUND)
        return missing; /* call->why says that there is no such rollout */
    call->why = inner;
    if (err == CAS_ERR_STALE)
        return view_why_draft(&call->view, seq, NULL, NULL, &call->reply->document);
    if (err != CAS_OK)
        return err;
    err = store_freeze_load(call->scene->store, &freeze, &call->why);
    if (err == CAS_OK)
        err = view_why_draft(&call->view, seq, &draft.body, &freeze, &call->reply->document);
    ask_draft_done(&draft);
    return err;
}

static enum cas_err why_rollout(struct ask_call *call, uint64_t seq)
{
    CAS_AUTO(rollout_book) old = NULL;
    const struct rollout *rollout = NULL;
    enum cas_err err = ask_rollout(call, seq, &old, &rollout);
    if (err == CAS_ERR_NOT_FOUND)
        return why_draft(call, seq, err);
    if (err != CAS_OK)
        return err;
    return ask_has(call, "target") ? why_step(call, rollout)
                                   : view_why_rollout(&call->view, rollout, &call->reply->document);
}

static enum cas_err one_too_many(struct ask_call *call, const char *what)
{
    struct cas_slice id = ask_get(call, "id"), more = ask_get(call, "target");
    return cas_fail(
        &call->why,
        CAS_ERR_TOO_MANY,
        "\"%.*s\" is one too many: %.*s is %s, and only a plan takes a server behind it",
        shown(more),
        more.data,
        shown(id),
        id.data,
        what);
}

static enum cas_err nothing_known(struct ask_call *call)
{
    struct cas_slice id = ask_get(call, "id");
    return cas_fail(&call->why,
                    CAS_ERR_NOT_FOUND,
                    "\"%.*s\" is no server, plan (r-0412), step (r-0412 SERVER), schedule or verb "
                    "(recycle run)",
                    shown(id),
                    id.data == NULL ? "" : id.data);
}

enum cas_err ask_why(struct ask_call *call)
{
    struct cas_slice id = ask_get(call, "id");
    bool has_more = ask_has(call, "target");
    const struct inventory_server *server = inventory_by_name(call->scene->inventory, id);
    struct store_schedule schedule;
    uint64_t seq = 0;
    if (server != NULL)
        return has_more ? one_too_many(call, "a server")
                        : view_why_server(&call->view, server, &call->reply->document);
    enum cas_err err = ask_schedule_named(call, &schedule);
    if (err == CAS_OK)
        return has_more
                   ? one_too_many(call, "a schedule")
                   : view_why_schedule(&call->view, &schedule, &call->reply->document, &call->why);
    if (err != CAS_ERR_NOT_FOUND)
        return err;
    enum ask_verb verb = verb_of(call);
    if (verb != ASK_NONE)
        return view_why_verb(&call->view, verb, call->who->role, &call->reply->document);
    if (ask_rollout_seq(call, &seq) == CAS_OK)
        return why_rollout(call, seq);
    call->why.text[0] = '\0';
    return nothing_known(call);
}
