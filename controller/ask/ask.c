#include "controller/ask/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ask/ask_room.h"
#include "proto/trust/keys.h"

/* What each verb takes; anything else is a usage error that names the nearest. */
struct ask_row {
    ask_handler *handle;
    const char *arguments; /* keys parted by blanks */
};
static const struct ask_row row_of[ASK_END] = {
    [ASK_status] = {ask_status, ""},
    [ASK_server_list] = {ask_server_list, "target selector exclude"},
    [ASK_server_show] = {ask_server_show, "target selector exclude"},
    [ASK_server_label] = {ask_server_label, "target selector exclude site role dag pool"},
    [ASK_site_list] = {ask_site_list, ""},
    [ASK_site_zone] = {ask_site_zone, "id zone"},
    [ASK_recycle_plan] =
        {ask_recycle_plan,
         "target selector exclude at until at-once gap settle drain no-drain act proof healthy "
         "stop-after floor pool no-canary fixed-too just-in-time min-age ram verb "
         "exit-code"},
    [ASK_recycle_run] = {ask_recycle_run, "id reason"},
    [ASK_recycle_list] = {ask_recycle_list, "most"},
    [ASK_recycle_show] = {ask_recycle_show, "id"},
    [ASK_recycle_simulate] = {ask_recycle_simulate, "id"},
    [ASK_recycle_pause] = {ask_recycle_pause, "id"},
    [ASK_recycle_resume] = {ask_recycle_resume, "id skip"},
    [ASK_recycle_retry] = {ask_recycle_retry, "id target"},
    [ASK_recycle_end] = {ask_recycle_end, "id force"},
    [ASK_schedule_add] =
        {ask_schedule_add,
         "id window target selector exclude at-once gap settle drain no-drain act proof healthy "
         "stop-after floor pool no-canary fixed-too just-in-time min-age ram verb"},
    [ASK_schedule_list] = {ask_schedule_list, ""},
    [ASK_schedule_show] = {ask_schedule_show, "id"},
    [ASK_schedule_preview] = {ask_schedule_preview, "id window target selector exclude from most"},
    [ASK_schedule_pause] = {ask_schedule_pause, "id reason"},
    [ASK_schedule_resume] = {ask_schedule_resume, "id"},
    [ASK_schedule_remove] = {ask_schedule_remove, "id"},
    [ASK_schedule_export] = {ask_schedule_export, "id"},
    [ASK_schedule_import] = {ask_schedule_import, "id calendar ics ics-2 ics-3 ics-4"},
    [ASK_freeze_on] = {ask_freeze_on, "reason"},
    [ASK_freeze_off] = {ask_freeze_off, ""},
    [ASK_patch_report] = {ask_patch_report, "target selector exclude below"},
    [ASK_why] = {ask_why, "id target"},
    [ASK_agent_list] = {ask_agent_list, "pending"},
    [ASK_agent_approve] = {ask_agent_approve, "name key site role dag pool"},
    [ASK_agent_revoke] = {ask_agent_revoke, "target"},
};

static bool takes(const char *arguments, struct cas_slice key)
{
    const char *at = arguments;
    while (*at != '\0') {
        size_t size = strcspn(at, " ");
        if (size == key.size && memcmp(at, key.data, size) == 0)
            return true;
        at += size + strspn(at + size, " ");
    }
    return false;
}

static enum cas_err check_arguments(struct ask_call *call, const struct ask_row *row)
{
    const struct message_ask *ask = call->ask;
    for (size_t i = 0; i < ask->arguments_n; i++) {
        struct cas_slice key = ask->arguments[i].key;
        if (!takes(row->arguments, key))
            return cas_fail(&call->why,
                            CAS_ERR_UNSUPPORTED,
                            "--%.*s: %.*s does not take it (it takes: %s)",
                            (int)key.size,
                            key.data,
                            (int)ask->verb.size,
                            ask->verb.data,
                            row->arguments);
        for (size_t k = 0; k < i; k++) {
            struct cas_slice other = ask->arguments[k].key;
            if (other.size == key.size && memcmp(other.data, key.data, key.size) == 0)
                return cas_fail(&call->why,
                                CAS_ERR_EXISTS,
                                "--%.*s: given twice",
                                (int)key.size,
                                key.data);
        }
    }
    return CAS_OK;
}

static enum ask_exit exit_of(enum cas_err err)
{
    switch (err) {
    case CAS_OK:
        return ASK_EXIT_OK;
    case CAS_ERR_NOT_FOUND:
        return ASK_EXIT_NOTHING;
    case CAS_ERR_GUARD:
    case CAS_ERR_STALE:
        return ASK_EXIT_GUARD;
    case CAS_ERR_DENIED:
        return ASK_EXIT_DENIED;
    case CAS_ERR_RANGE:
    case CAS_ERR_FORMAT:
    case CAS_ERR_TOO_LONG:
    case CAS_ERR_TOO_MANY:
    case CAS_ERR_MISSING:
    case CAS_ERR_EXISTS:
    case CAS_ERR_UNSUPPORTED:
        return ASK_EXIT_USAGE;
    case CAS_ERR_NOMEM:
    case CAS_ERR_IO:
    case CAS_ERR_FULL:
    case CAS_ERR_MODE:
    case CAS_ERR_CONFIG:
    case CAS_ERR_AGAIN:
    case CAS_ERR_UNREACHABLE:
    case CAS_ERR_VERSION:
    case CAS_ERR_SIGNATURE:
    case CAS_ERR_BUSY:
    case CAS_ERR_FENCED:
    case CAS_ERR_CORRUPT:
    case CAS_ERR_LOCKED:
    case CAS_ERR_BUG:
        return ASK_EXIT_ATTENTION;
    }
    return ASK_EXIT_ATTENTION;
}

static void refuse(struct ask_call *call, enum cas_err err)
{
    call->reply->exit = exit_of(err);
    const char *words = call->why.text[0] != '\0' ? call->why.text : cas_err_words(err);
    snprintf(call->reply->error, sizeof call->reply->error, "%s", words);
}

static void deny(struct ask_call *call, enum ask_verb verb)
{
    const char *need = ask_role_name(ask_role(verb));
    const char *has = ask_role_name(call->who->role);
    cas_fail(&call->why,
             CAS_ERR_DENIED,
             "%s is %s: %s needs %s",
             call->who->name,
             has == NULL ? "no operator" : has,
             ask_name(verb),
             need == NULL ? "more" : need);
    struct store_audit audit = ask_audit(call, ask_name(verb), call->why.text);
    snprintf(audit.verb, sizeof audit.verb, "denied");
    struct rollout_actions none = {0};
    struct cas_why unsaid = {0};
    enum cas_err err = call->scene->commit(call->scene->context, &none, &audit, &unsaid);
    refuse(call, CAS_ERR_DENIED);
    if (err !=
        CAS_OK) /* denied all the same; the disk's trouble is told where it ends, in the loop */
        call->reply->exit = ASK_EXIT_DENIED;
}

void ask_answer(struct ask_scene *scene,
                const struct ask_operator *who,
                const struct message_ask *ask,
                struct ask_reply *ret_reply)
{
    *ret_reply = (struct ask_reply){0};
    struct ask_call call = {.scene = scene, .who = who, .ask = ask, .reply = ret_reply};
    call.view = (struct view_scene){.now = scene->now,
                                    .started_ms = scene->started_ms,
                                    .inventory = scene->inventory,
                                    .book = scene->book,
                                    .store = scene->store,
                                    .waiting = scene->waiting,
                                    .waiting_n = scene->waiting_n,
                                    .trouble = scene->trouble,
                                    .trouble_ms = scene->trouble_ms};
    enum ask_verb verb = ask_from(ask->verb);
    if (verb == ASK_NONE || row_of[verb].handle == NULL) {
        cas_fail(&call.why,
                 CAS_ERR_UNSUPPORTED,
                 "%.*s: this controller does not know it",
                 (int)ask->verb.size,
                 ask->verb.data);
        refuse(&call, CAS_ERR_UNSUPPORTED);
    } else if (!ask_is_allowed(who->role, verb)) {
        deny(&call, verb);
    } else {
        enum cas_err err = check_arguments(&call, &row_of[verb]);
        if (err == CAS_OK)
            err = row_of[verb].handle(&call);
        if (err != CAS_OK)
            refuse(&call, err);
    }
    if (ret_reply->document != NULL)
        ret_reply->size = strlen(ret_reply->document);
}

void ask_reply_done(struct ask_reply *reply)
{
    free(reply->document);
    *reply = (struct ask_reply){0};
}

struct cas_slice ask_get(const struct ask_call *call, const char *key)
{
    for (size_t i = 0; i < call->ask->arguments_n; i++) {
        if (cas_slice_is(call->ask->arguments[i].key, key))
            return call->ask->arguments[i].value;
    }
    return (struct cas_slice){0};
}

bool ask_has(const struct ask_call *call, const char *key)
{
    for (size_t i = 0; i < call->ask->arguments_n; i++) {
        if (cas_slice_is(call->ask->arguments[i].key, key))
            return true;
    }
    return false;
}

static enum cas_err name_argument(struct ask_call *call, const char *key, enum cas_err err)
{
    struct cas_why inner = call->why;
    call->why.text[0] = '\0';
    return cas_fail(&call->why, err, "--%s: %s", key, inner.text);
}

enum cas_err ask_get_count(struct ask_call *call,
                           const char *key,
                           int64_t least,
                           int64_t most,
                           uint32_t *ret_value)
{
    if (!ask_has(call, key))
        return CAS_OK;
    int64_t value = 0;
    enum cas_err err = cas_parse_i64(ask_get(call, key), least, most, &value, &call->why);
    if (err != CAS_OK)
        return name_argument(call, key, err);
    *ret_value = (uint32_t)value;
    return CAS_OK;
}

enum cas_err
ask_get_span(struct ask_call *call, const char *key, int64_t most_ms, int64_t *ret_span_ms)
{
    if (!ask_has(call, key))
        return CAS_OK;
    enum cas_err err = cas_parse_span(ask_get(call, key), 0, most_ms, ret_span_ms, &call->why);
    return err == CAS_OK ? CAS_OK : name_argument(call, key, err);
}

enum cas_err
ask_get_label(struct ask_call *call, enum inventory_label label, char ret_text[LABEL_BYTES])
{
    const char *name = inventory_label_name(label);
    struct cas_slice value = ask_get(call, name);
    if (value.size > 0 && !cas_is_name(value))
        return cas_fail(&call->why,
                        CAS_ERR_FORMAT,
                        "--%s: \"%.*s\" is no label: 1 to 63 of letters, digits, . _ -",
                        name,
                        (int)(value.size < 80 ? value.size : 80),
                        value.data);
    return cas_slice_copy(value, ret_text, LABEL_BYTES);
}

enum cas_err ask_choose(struct ask_call *call, bool is_needed, size_t **ret_at, size_t *ret_n)
{
    struct inventory_choice choice = {.targets = ask_get(call, "target"),
                                      .selector = ask_get(call, "selector"),
                                      .exclude = ask_get(call, "exclude")};
    if (cas_slice_is(choice.targets, "all"))
        choice.targets = (struct cas_slice){0};
    else if (is_needed && choice.targets.size == 0 && choice.selector.size == 0)
        return cas_fail(
            &call->why,
            CAS_ERR_MISSING,
            "name the servers: names, a node set as LON-CAS[01-16], -l SELECTOR, or all");
    size_t *at = calloc(inventory_size(call->scene->inventory) + 1, sizeof *at);
    if (at == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = inventory_choose(call->scene->inventory,
                                        &choice,
                                        call->scene->now.mono_ms,
                                        at,
                                        ret_n,
                                        &call->why);
    if (err != CAS_OK) {
        free(at);
        return err;
    }
    *ret_at = at;
    return CAS_OK;
}

enum cas_err ask_rollout_seq(struct ask_call *call, uint64_t *ret_seq)
{
    struct cas_slice id = ask_get(call, "id");
    struct cas_slice digits = id;
    if (id.size > 2 && (id.data[0] == 'r' || id.data[0] == 'R') && id.data[1] == '-')
        digits = (struct cas_slice){id.data + 2, id.size - 2};
    int64_t seq = 0;
    if (cas_parse_i64(digits, 1, WIRE_INT_MOST, &seq, NULL) != CAS_OK)
        return cas_fail(&call->why,
                        CAS_ERR_FORMAT,
                        "\"%.*s\" is no rollout: they are written r-0412",
                        (int)(id.size < 64 ? id.size : 64),
                        id.data == NULL ? "" : id.data);
    *ret_seq = (uint64_t)seq;
    return CAS_OK;
}

/* A book of the past is only read: no command is ever made from it. */
static void derive_nothing(const uint8_t plan_hash[CAS_HASH_BYTES],
                           uint64_t step,
                           uint64_t server_id,
                           uint64_t attempt,
                           uint8_t ret_cmd_id[CAS_ID_BYTES])
{
    CAS_ASSERT(plan_hash == NULL && step == 0 && server_id == 0 && attempt == 0);
    memset(ret_cmd_id, 0, CAS_ID_BYTES);
}

enum cas_err ask_rollout(struct ask_call *call,
                         uint64_t seq,
                         struct rollout_book **ret_old,
                         const struct rollout **ret_rollout)
{
    const struct rollout *known = rollout_find(call->scene->book, seq);
    if (known != NULL) {
        *ret_rollout = known;
        return CAS_OK;
    }
    CAS_AUTO(rollout_book) old = NULL;
    enum cas_err err = rollout_book_open(derive_nothing, &old);
    if (err == CAS_OK)
        err = store_rollout_load(call->scene->store, seq, old, &call->why);
    if (err == CAS_OK && rollout_find(old, seq) == NULL)
        err = CAS_ERR_NOT_FOUND;
    if (err == CAS_ERR_NOT_FOUND)
        return cas_fail(&call->why,
                        CAS_ERR_NOT_FOUND,
                        "r-%04llu: no such rollout; casfleet recycle list shows them",
                        (unsigned long long)seq);
    if (err != CAS_OK)
        return err;
    *ret_rollout = rollout_find(old, seq);
    *ret_old = CAS_TAKE(old);
    return CAS_OK;
}

struct store_audit ask_audit(const struct ask_call *call, const char *subject, const char *words)
{
    struct store_audit audit = {.at_ms = call->scene->now.wall_ms};
    snprintf(audit.who, sizeof audit.who, "%s", call->who->name);
    snprintf(audit.verb,
             sizeof audit.verb,
             "%.*s",
             (int)call->ask->verb.size,
             call->ask->verb.data);
    snprintf(audit.subject, sizeof audit.subject, "%s", subject == NULL ? "" : subject);
    snprintf(audit.words, sizeof audit.words, "%s", words == NULL ? "" : words);
    return audit;
}
