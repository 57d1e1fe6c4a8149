#include "agent/host/scene.h"

#include <string.h>

enum {
    SHOWN = 60,
    CHARS_MOST = 32768, /* of a command line: Windows' own limit */
    TICKS_PER_MS = 10000,
    STATE_MOST = 2 /* Inactive, Active, Draining: what is not 1 does not serve */
};

static int shown(size_t size)
{
    return (int)(size > SHOWN ? SHOWN : size);
}

void scene_clean(char *text)
{
    if (cas_is_clean_text(cas_slice_of(text)))
        return;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    }
}

/* ---- command lines ---- */

/* One argument at *at, as the C runtime takes a command line apart: blanks end it outside quotes;
 * 2n backslashes before a quote are n and the quote counts, 2n+1 are n and a quote of the text. */
struct argument {
    char text[POOL_BYTES];
    size_t size;
    bool is_cut;
    bool is_open; /* a quote was never closed */
};

static void argument_add(struct argument *argument, char byte, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (argument->size + 1 < sizeof argument->text)
            argument->text[argument->size++] = byte;
        else
            argument->is_cut = true;
    }
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool take_argument(struct cas_slice *rest, struct argument *ret_argument)
{
    size_t at = 0;
    while (at < rest->size && is_blank(rest->data[at]))
        at++;
    if (at == rest->size)
        return false;
    *ret_argument = (struct argument){.size = 0};
    bool is_quoted = false;
    while (at < rest->size && (is_quoted || !is_blank(rest->data[at]))) {
        size_t slash_n = 0;
        while (at < rest->size && rest->data[at] == '\\') {
            slash_n++;
            at++;
        }
        bool is_quote = at < rest->size && rest->data[at] == '"';
        argument_add(ret_argument, '\\', is_quote ? slash_n / 2 : slash_n);
        if (is_quote && slash_n % 2 == 1) {
            argument_add(ret_argument, '"', 1);
            at++;
        } else if (is_quote && is_quoted && at + 1 < rest->size && rest->data[at + 1] == '"') {
            argument_add(ret_argument, '"', 1);
            at += 2;
        } else if (is_quote) {
            is_quoted = !is_quoted;
            at++;
        } else if (slash_n == 0) {
            argument_add(ret_argument, rest->data[at++], 1);
        }
    }
    ret_argument->text[ret_argument->size] = '\0';
    ret_argument->is_open = is_quoted;
    rest->data += at;
    rest->size -= at;
    return true;
}

enum cas_err
scene_command_pool(struct cas_slice command, char ret_pool[POOL_BYTES], struct cas_why *why)
{
    struct cas_slice rest = command;
    struct argument argument;
    if (command.size > CHARS_MOST)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "a command line of %zu bytes, at most %d",
                        command.size,
                        CHARS_MOST);
    bool is_name = false;
    bool is_program = true;
    while (take_argument(&rest, &argument)) {
        if (is_name)
            break;
        /* The program's own name is no option, whatever it is called. */
        is_name =
            !is_program && capture_same((struct cas_slice){argument.text, argument.size}, "-ap");
        is_program = false;
        argument.size = 0;
    }
    const char *words = command.size > 0 ? command.data : "";
    if (!is_name)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "no -ap in the command line \"%.*s\"",
                        shown(command.size),
                        words);
    if (argument.is_cut)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "-ap: a pool's name of more than %d bytes: \"%.*s...\"",
                        POOL_BYTES - 1,
                        SHOWN,
                        argument.text);
    struct cas_slice name = {.data = argument.text, .size = argument.size};
    if (argument.size == 0 || argument.is_open || !cas_is_clean_text(name))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "-ap: no pool's name in the command line \"%.*s\"",
                        shown(command.size),
                        words);
    memcpy(ret_pool, argument.text, argument.size + 1);
    return CAS_OK;
}

/* ---- component states ---- */

/* 0001-01-01 to 1970-01-01 in ms: .NET's ticks count from there. */
static const int64_t dotnet_epoch_ms = 62135596800000;

static enum cas_err refuse_state(struct cas_slice value, enum cas_err err, struct cas_why *why)
{
    const char *data = value.size > 0 ? value.data : "";
    return cas_fail(why,
                    err,
                    "\"%.*s\" is no state such as 1:0:636123456789012345 (version 1, state 0 "
                    "to 2, ticks)",
                    shown(value.size),
                    data);
}

enum cas_err scene_state_parse(struct cas_slice value,
                               bool *ret_is_active,
                               int64_t *ret_at_ms,
                               struct cas_why *why)
{
    const uint64_t ticks_most = 3155378975999999999U; /* 9999-12-31, .NET's last */
    struct cas_slice version;
    struct cas_slice tail;
    struct cas_slice state;
    struct cas_slice at;
    uint64_t version_n = 0;
    uint64_t state_n = 0;
    uint64_t ticks = 0;
    if (!capture_cut(value, ':', &version, &tail) || !capture_cut(tail, ':', &state, &at) ||
        !capture_digits(version, UINT32_MAX, &version_n))
        return refuse_state(value, CAS_ERR_FORMAT, why);
    if (version_n != 1)
        return refuse_state(value, CAS_ERR_VERSION, why);
    if (!capture_digits(state, UINT32_MAX, &state_n) || !capture_digits(at, UINT64_MAX, &ticks))
        return refuse_state(value, CAS_ERR_FORMAT, why);
    if (state_n > STATE_MOST || ticks > ticks_most)
        return refuse_state(value, CAS_ERR_RANGE, why);
    *ret_is_active = state_n == 1;
    *ret_at_ms = ticks == 0 ? 0 : (int64_t)(ticks / TICKS_PER_MS) - dotnet_epoch_ms;
    return CAS_OK;
}

void scene_state_text(bool is_active, int64_t wall_ms, struct cas_text *text)
{
    cas_text_add(text,
                 "1:%d:%lld",
                 is_active ? 1 : 0,
                 (long long)((wall_ms + dotnet_epoch_ms) * TICKS_PER_MS));
}

static void refuse_row(struct scene_states *states,
                       const char *component,
                       const char *requester,
                       const char *words)
{
    struct cas_text text = CAS_TEXT(states->refused.text);
    if (states->refused_n++ == 0)
        cas_text_add(&text, "%.40s by %.40s: %s", component, requester, words);
}

static bool is_decisive(const struct scene_state *row)
{
    struct cas_slice component = cas_slice_of(row->component);
    return capture_same(component, SCENE_COMPONENT) || capture_same(component, SCENE_WIDE);
}

static void keep_row(struct scene_states *states, const struct scene_state *row)
{
    char words[64];
    struct cas_text text = CAS_TEXT(words);
    if (states->row_n < SCENE_STATES) {
        states->row[states->row_n++] = *row;
        return;
    }
    struct scene_state dropped = *row;
    for (size_t i = 0; i < states->row_n && is_decisive(&dropped); i++) {
        if (is_decisive(&states->row[i]))
            continue;
        dropped = states->row[i];
        states->row[i] = *row;
    }
    cas_text_clear(&text);
    cas_text_add(&text, "more than %d states", SCENE_STATES);
    refuse_row(states, dropped.component, dropped.requester, words);
}

void scene_states_add(struct scene_states *states,
                      const char *component,
                      const char *requester,
                      struct cas_slice value)
{
    struct scene_state row = {.at_ms = 0};
    struct cas_why why = {""};
    if (cas_slice_copy(cas_slice_of(component), row.component, sizeof row.component) != CAS_OK ||
        cas_slice_copy(cas_slice_of(requester), row.requester, sizeof row.requester) != CAS_OK) {
        (void)cas_fail(&why,
                       CAS_ERR_TOO_LONG,
                       "a name of more than %zu bytes",
                       sizeof row.component - 1);
    } else if (scene_state_parse(value, &row.is_active, &row.at_ms, &why) == CAS_OK) {
        keep_row(states, &row);
        return;
    }
    refuse_row(states, component, requester, why.text);
}

/* ---- the TCP table ---- */

enum cas_err scene_sockets_sum(const struct scene_socket *row,
                               size_t row_n,
                               struct capture_ports ports,
                               uint32_t leave_out_pid,
                               struct capture_netstat_sum *ret_sum,
                               struct cas_why *why)
{
    CAS_AUTO(capture_summing) summing = NULL;
    enum cas_err err = capture_summing_open(ports, leave_out_pid, &summing, why);
    for (size_t i = 0; i < row_n && err == CAS_OK; i++) {
        struct capture_socket socket = {
            .is_ipv6 = row[i].is_ipv6,
            .local_port = row[i].local_port,
            .remote_port = row[i].remote_port,
            .state = row[i].state,
            .has_pid = row[i].pid != 0,
            .pid = row[i].pid,
            .remote = {.data = (const char *)row[i].remote,
                       .size = row[i].is_ipv6 ? sizeof row[i].remote : 4},
        };
        if ((size_t)socket.state >= CAPTURE_STATE_N)
            socket.state = CAPTURE_STATE_UNKNOWN;
        err = capture_summing_add(summing, &socket, why);
    }
    if (err == CAS_OK)
        err = capture_summing_end(summing, ret_sum, why);
    if (err == CAS_OK)
        ret_sum->peer = (struct cas_slice){.data = NULL, .size = 0}; /* rows do not outlive us */
    return err;
}

/* ---- appcmd ---- */

enum cas_err
scene_stranded(struct capture_input input, uint64_t *ret_stranded_n, struct cas_why *why)
{
    struct capture_stranded stranded;
    capture_appcmd_stranded(input, &stranded);
    if (stranded.error_n > 0)
        return cas_fail(why, CAS_ERR_FORMAT, "appcmd list requests: %s", stranded.words);
    if (stranded.refused_n > 0)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "appcmd list requests: %zu of %zu lines refused: %s",
                        stranded.refused_n,
                        stranded.refused_n + stranded.request_n,
                        stranded.words);
    *ret_stranded_n = stranded.stranded_n;
    return CAS_OK;
}

/* ---- the health page ---- */

/* Only when one of two names has no domain are the first parts alone compared. */
static bool same_host(struct cas_slice name, const char *host_name)
{
    struct cas_slice host = cas_slice_of(host_name);
    struct cas_slice name_head = name;
    struct cas_slice host_head = host;
    struct cas_slice tail;
    bool is_name_long = capture_cut(name, '.', &name_head, &tail);
    bool is_host_long = capture_cut(host, '.', &host_head, &tail);
    if (is_name_long == is_host_long)
        return capture_same(name, host_name);
    char head[sizeof((struct scene_system *)0)->host_name];
    struct cas_slice wanted = is_host_long ? host_head : host;
    return cas_slice_copy(wanted, head, sizeof head) == CAS_OK &&
           capture_same(is_name_long ? name_head : name, head);
}

/* "200 OK<br/>LON-CAS01.contoso.com" */
static struct cas_slice page_name(struct cas_slice body)
{
    struct cas_slice none = {.data = "", .size = 0};
    for (size_t i = 0; i < body.size; i++) {
        struct cas_slice tail = {.data = body.data + i, .size = body.size - i};
        static const char mark[] = "<br/>";
        if (!capture_starts(tail, mark))
            continue;
        tail.data += sizeof mark - 1;
        tail.size -= sizeof mark - 1;
        size_t size = 0;
        while (size < tail.size && (unsigned char)tail.data[size] > ' ' && tail.data[size] != '<')
            size++;
        tail.size = size;
        return tail;
    }
    return none;
}

static enum pool_health judge_body(const struct scene_probe *probe,
                                   const char *port,
                                   const char *host_name,
                                   struct cas_text *reason)
{
    size_t size = 0;
    while (size < sizeof probe->body && probe->body[size] != '\0')
        size++;
    struct cas_slice body = capture_trim((struct cas_slice){.data = probe->body, .size = size});
    struct cas_slice name = page_name(body);
    if (!capture_starts(body, "200 OK") || name.size == 0) {
        cas_text_add(reason,
                     "healthcheck.htm of %s: \"%.*s\" instead of 200 OK and a name",
                     port,
                     shown(body.size),
                     body.size > 0 ? body.data : "");
        return HEALTH_BAD;
    }
    if (host_name[0] == '\0') {
        cas_text_add(reason, "healthcheck.htm of %s: this server's own name is not known", port);
        return HEALTH_UNKNOWN;
    }
    if (same_host(name, host_name))
        return HEALTH_GOOD;
    cas_text_add(reason,
                 "healthcheck.htm of %s: answered by %.*s, this is %.40s",
                 port,
                 shown(name.size > 40 ? 40 : name.size),
                 name.data,
                 host_name);
    return HEALTH_BAD;
}

enum pool_health scene_probe_judge(const struct scene_probe *probe,
                                   size_t which,
                                   const char *host_name,
                                   struct scene_reason *ret_reason)
{
    enum {
        OK = 200,
        UNAUTHORIZED = 401,
        NOT_FOUND = 404
    };
    const char *port = which == SCENE_FRONT ? "443" : "444";
    struct cas_text reason = CAS_TEXT(ret_reason->text);
    cas_text_clear(&reason);
    if (probe->status == OK) {
        enum pool_health health = judge_body(probe, port, host_name, &reason);
        scene_clean(ret_reason->text);
        return health;
    }
    if (probe->status == 0) {
        cas_text_add(&reason,
                     "healthcheck.htm of %s: %s",
                     port,
                     probe->reason.text[0] != '\0' ? probe->reason.text : "no answer");
        return HEALTH_BAD;
    }
    cas_text_add(&reason, "healthcheck.htm of %s: %u", port, (unsigned)probe->status);
    /* The page belongs to the front end; where the back end has none, that says nothing. */
    bool has_none = probe->status == NOT_FOUND || probe->status == UNAUTHORIZED;
    return which == SCENE_BACK && has_none ? HEALTH_UNKNOWN : HEALTH_BAD;
}
