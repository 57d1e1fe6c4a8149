#include "agent/host/capture.h"

#include <stdlib.h>
#include <string.h>

enum {
    PORT_MOST = 65535,
    SHOWN = 60
};

static int shown(struct cas_slice text)
{
    return (int)(text.size > SHOWN ? SHOWN : text.size);
}

static enum capture_state state_of(struct cas_slice word)
{
    static const struct {
        const char *word;
        enum capture_state state;
    } known[] = {
#define STATE(name, word) {(word), CAPTURE_STATE_##name},
#include "agent/host/capture_states.def"
#undef STATE
    };
    for (size_t i = 0; i < CAS_COUNT(known); i++) {
        if (cas_slice_is(word, known[i].word))
            return known[i].state;
    }
    return CAPTURE_STATE_UNKNOWN;
}

void capture_netstat_init(struct capture_netstat *netstat, struct capture_input input)
{
    *netstat = (struct capture_netstat){.is_held = false};
    capture_lines_init(&netstat->lines, input);
}

/* "127.0.0.1:135", "[fe80::1%12]:443", "*:*". */
static bool read_endpoint(struct cas_slice text,
                          struct cas_slice *ret_address,
                          uint16_t *ret_port,
                          bool *ret_is_ipv6)
{
    struct cas_slice address;
    struct cas_slice digits;
    uint64_t port = 0;
    if (!capture_cut_last(text, ':', &address, &digits) || address.size == 0)
        return false;
    if (!cas_slice_is(digits, "*") && !capture_digits(digits, PORT_MOST, &port))
        return false;
    bool is_ipv6 = address.data[0] == '[';
    if (is_ipv6) {
        if (address.size < 3 || address.data[address.size - 1] != ']')
            return false;
        address.data += 1;
        address.size -= 2;
    }
    *ret_address = address;
    *ret_port = (uint16_t)port;
    *ret_is_ipv6 = is_ipv6;
    return true;
}

static enum cas_err
refuse_endpoint(const struct capture_lines *lines, struct cas_slice text, struct cas_why *why)
{
    return capture_refuse(lines,
                          text.data,
                          CAS_ERR_FORMAT,
                          why,
                          "\"%.*s\" is not an address with a port",
                          shown(text),
                          text.data);
}

/* What stands behind the addresses: words of the state, then the PID if the listing has one, then
 * whatever further columns were asked for. A state of several words is an unknown one. */
static enum cas_err read_tail(const struct capture_lines *lines,
                              struct cas_slice rest,
                              struct capture_socket *socket,
                              struct cas_why *why)
{
    size_t word_n = 0;
    for (struct cas_slice token = capture_token(&rest); token.size > 0;
         token = capture_token(&rest)) {
        if (token.data[0] >= '0' && token.data[0] <= '9') {
            uint64_t pid = 0;
            if (!capture_digits(token, UINT32_MAX, &pid))
                return capture_refuse(lines,
                                      token.data,
                                      CAS_ERR_FORMAT,
                                      why,
                                      "\"%.*s\" is not a process id",
                                      shown(token),
                                      token.data);
            socket->has_pid = true;
            socket->pid = (uint32_t)pid;
            break;
        }
        if (word_n == 0)
            socket->word = token;
        word_n++;
    }
    if (socket->is_udp)
        return CAS_OK;
    if (word_n == 0)
        return capture_refuse(lines,
                              lines->line.data,
                              CAS_ERR_FORMAT,
                              why,
                              "a TCP row without a state");
    /* Without a PID column the second word belongs to another column, as with -t. */
    bool is_one = word_n == 1 || !socket->has_pid;
    socket->state = is_one ? state_of(socket->word) : CAPTURE_STATE_UNKNOWN;
    return CAS_OK;
}

static enum cas_err read_socket(const struct capture_lines *lines,
                                struct cas_slice rest,
                                bool is_udp,
                                struct capture_socket *ret_socket,
                                struct cas_why *why)
{
    struct capture_socket socket = {.is_udp = is_udp, .line_n = lines->line_n};
    socket.word = (struct cas_slice){.data = rest.data, .size = 0};
    socket.owner = socket.word;
    struct cas_slice local = capture_token(&rest);
    struct cas_slice remote = capture_token(&rest);
    bool is_remote_ipv6 = false;
    if (!read_endpoint(local, &socket.local, &socket.local_port, &socket.is_ipv6))
        return refuse_endpoint(lines, local, why);
    if (!read_endpoint(remote, &socket.remote, &socket.remote_port, &is_remote_ipv6))
        return refuse_endpoint(lines, remote, why);
    enum cas_err err = read_tail(lines, rest, &socket, why);
    if (err != CAS_OK)
        return err;
    *ret_socket = socket;
    return CAS_OK;
}

/* "[w3wp.exe]" below a row names its owner; service names and words on missing rights say nothing
 * we use. */
static void read_below(struct cas_slice line, struct capture_netstat *netstat)
{
    struct cas_slice text = capture_trim(line);
    if (netstat->is_held && text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']')
        netstat->held.owner = (struct cas_slice){.data = text.data + 1, .size = text.size - 2};
}

enum cas_err capture_netstat_next(struct capture_netstat *netstat,
                                  struct capture_socket *ret_socket,
                                  struct cas_why *why)
{
    struct capture_lines *lines = &netstat->lines;
    for (;;) {
        struct capture_lines before = *lines;
        if (!capture_lines_next(lines))
            break;
        struct cas_slice rest = lines->line;
        struct cas_slice protocol = capture_token(&rest);
        bool is_udp = cas_slice_is(protocol, "UDP");
        bool is_row = is_udp || cas_slice_is(protocol, "TCP");
        if (!is_row && lines->line.size <= CAPTURE_LINE_BYTES) {
            read_below(lines->line, netstat);
            continue;
        }
        if (netstat->is_held) {
            /* The held row is complete; this line is read by the next call. */
            *lines = before;
            break;
        }
        if (lines->line.size > CAPTURE_LINE_BYTES)
            return capture_refuse(lines,
                                  lines->line.data,
                                  CAS_ERR_TOO_LONG,
                                  why,
                                  "a line of %zu bytes, at most %d",
                                  lines->line.size,
                                  CAPTURE_LINE_BYTES);
        enum cas_err err = read_socket(lines, rest, is_udp, &netstat->held, why);
        if (err != CAS_OK)
            return err;
        netstat->is_held = true;
    }
    if (!netstat->is_held)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "%s: no further row", lines->input.file);
    *ret_socket = netstat->held;
    netstat->is_held = false;
    return CAS_OK;
}

/* ---- sums ---- */

struct peer {
    struct cas_slice address;
    uint16_t port;
};

struct summing {
    struct capture_netstat_sum *sum;
    struct capture_ports ports;
    struct peer *peer; /* of TCP IPv4 rows with a dynamic local port */
    size_t peer_n;
    uint32_t *closing; /* PIDs of CLOSE_WAIT rows */
    size_t closing_n;
    size_t room;
    uint8_t used[(PORT_MOST + 1) / 8];
};

static bool is_dynamic(struct capture_ports ports, uint16_t port)
{
    return ports.number > 0 && port >= ports.first &&
           (uint32_t)port < (uint32_t)ports.first + ports.number;
}

static bool make_room(struct summing *summing)
{
    if (summing->peer_n < summing->room && summing->closing_n < summing->room)
        return true;
    size_t room = summing->room == 0 ? 256 : summing->room * 2;
    struct peer *peer = realloc(summing->peer, room * sizeof *peer);
    if (peer == NULL)
        return false;
    summing->peer = peer;
    uint32_t *closing = realloc(summing->closing, room * sizeof *closing);
    if (closing == NULL)
        return false;
    summing->closing = closing;
    summing->room = room;
    return true;
}

static void add_row(struct summing *summing, const struct capture_socket *socket)
{
    struct capture_netstat_sum *sum = summing->sum;
    sum->has_pid = sum->has_pid || socket->has_pid;
    if (socket->is_udp)
        return;
    sum->state_n[socket->state]++;
    if (socket->state == CAPTURE_STATE_CLOSE_WAIT && socket->has_pid)
        summing->closing[summing->closing_n++] = socket->pid;
    if (socket->is_ipv6 || !is_dynamic(summing->ports, socket->local_port))
        return;
    uint8_t bit = (uint8_t)(1U << (socket->local_port % 8));
    if ((summing->used[socket->local_port / 8] & bit) == 0) {
        summing->used[socket->local_port / 8] |= bit;
        sum->ports_used++;
    }
    if (socket->remote_port != 0)
        summing->peer[summing->peer_n++] =
            (struct peer){.address = socket->remote, .port = socket->remote_port};
}

static int compare_peers(const void *left, const void *right)
{
    const struct peer *a = left;
    const struct peer *b = right;
    if (a->port != b->port)
        return a->port < b->port ? -1 : 1;
    if (a->address.size != b->address.size)
        return a->address.size < b->address.size ? -1 : 1;
    return memcmp(a->address.data, b->address.data, a->address.size);
}

static int compare_pids(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static int compare_owners(const void *left, const void *right)
{
    const struct capture_owner *a = left;
    const struct capture_owner *b = right;
    if (a->close_wait_n != b->close_wait_n)
        return a->close_wait_n > b->close_wait_n ? -1 : 1;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static void sum_peers(struct summing *summing)
{
    if (summing->peer_n == 0)
        return;
    qsort(summing->peer, summing->peer_n, sizeof *summing->peer, compare_peers);
    size_t run = 0;
    for (size_t i = 0; i < summing->peer_n; i++) {
        const struct peer *peer = &summing->peer[i];
        run = i > 0 && compare_peers(&summing->peer[i - 1], peer) == 0 ? run + 1 : 1;
        if (run > summing->sum->ports_peer_most) {
            summing->sum->ports_peer_most = run;
            summing->sum->peer = peer->address;
            summing->sum->peer_port = peer->port;
        }
    }
}

/* Sorted by PID, counted, then the owners with most kept: all PIDs are counted before any is left
 * out. */
static void sum_owners(struct summing *summing, struct capture_owner *owner)
{
    size_t owner_n = 0;
    if (summing->closing_n > 0)
        qsort(summing->closing, summing->closing_n, sizeof *summing->closing, compare_pids);
    for (size_t i = 0; i < summing->closing_n; i++) {
        if (owner_n == 0 || owner[owner_n - 1].pid != summing->closing[i])
            owner[owner_n++] = (struct capture_owner){.pid = summing->closing[i]};
        owner[owner_n - 1].close_wait_n++;
    }
    if (owner_n > 0)
        qsort(owner, owner_n, sizeof *owner, compare_owners);
    if (owner_n > CAPTURE_OWNERS)
        owner_n = CAPTURE_OWNERS;
    for (size_t i = 0; i < owner_n; i++)
        summing->sum->owner[i] = owner[i];
    summing->sum->owner_n = owner_n;
}

static enum cas_err sum_rows(struct summing *summing,
                             struct capture_input input,
                             uint32_t leave_out_pid,
                             struct cas_why *why)
{
    struct capture_netstat netstat;
    capture_netstat_init(&netstat, input);
    for (;;) {
        struct capture_socket socket;
        struct cas_why refused = {""};
        enum cas_err err = capture_netstat_next(&netstat, &socket, &refused);
        if (err == CAS_ERR_NOT_FOUND)
            return CAS_OK;
        if (err != CAS_OK) {
            if (summing->sum->refused_n++ == 0)
                summing->sum->refused = refused;
            continue;
        }
        if (summing->sum->row_n == CAPTURE_SOCKETS)
            return cas_fail(why,
                            CAS_ERR_TOO_MANY,
                            "%s:%zu: more than %d rows",
                            input.file,
                            socket.line_n,
                            CAPTURE_SOCKETS);
        summing->sum->row_n++;
        if (leave_out_pid != 0 && socket.has_pid && socket.pid == leave_out_pid)
            continue;
        if (!make_room(summing))
            return cas_fail(why,
                            CAS_ERR_NOMEM,
                            "%s: no memory for %zu rows",
                            input.file,
                            summing->sum->row_n);
        add_row(summing, &socket);
    }
}

enum cas_err capture_netstat_sum(struct capture_input input,
                                 struct capture_ports ports,
                                 uint32_t leave_out_pid,
                                 struct capture_netstat_sum *ret_sum,
                                 struct cas_why *why)
{
    struct summing summing = {.ports = ports};
    struct capture_owner *owner = NULL;
    struct capture_netstat_sum *sum = calloc(1, sizeof *sum);
    if (sum == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for its sums", input.file);
    summing.sum = sum;
    enum cas_err err = sum_rows(&summing, input, leave_out_pid, why);
    if (err == CAS_OK) {
        owner = calloc(summing.closing_n + 1, sizeof *owner);
        if (owner == NULL)
            err = cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for its sums", input.file);
    }
    if (err == CAS_OK) {
        sum_peers(&summing);
        sum_owners(&summing, owner);
        *ret_sum = *sum;
    }
    free(owner);
    free(summing.peer);
    free(summing.closing);
    free(sum);
    return err;
}
