#include "agent/host/capture.h"

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

/* ---- the whole listing ---- */

static enum cas_err sum_rows(struct capture_input input,
                             struct capture_summing *summing,
                             size_t *ret_refused_n,
                             struct cas_why *ret_refused,
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
            if ((*ret_refused_n)++ == 0)
                *ret_refused = refused;
            continue;
        }
        struct cas_why inner = {""};
        err = capture_summing_add(summing, &socket, &inner);
        if (err != CAS_OK)
            return cas_fail(why, err, "%s:%zu: %s", input.file, socket.line_n, inner.text);
    }
}

enum cas_err capture_netstat_sum(struct capture_input input,
                                 struct capture_ports ports,
                                 uint32_t leave_out_pid,
                                 struct capture_netstat_sum *ret_sum,
                                 struct cas_why *why)
{
    CAS_AUTO(capture_summing) summing = NULL;
    size_t refused_n = 0;
    struct cas_why refused = {""};
    enum cas_err err = capture_summing_open(ports, leave_out_pid, &summing, why);
    if (err == CAS_OK)
        err = sum_rows(input, summing, &refused_n, &refused, why);
    if (err == CAS_OK)
        err = capture_summing_end(summing, ret_sum, why);
    if (err != CAS_OK)
        return err;
    ret_sum->refused_n = refused_n;
    ret_sum->refused = refused;
    return CAS_OK;
}
