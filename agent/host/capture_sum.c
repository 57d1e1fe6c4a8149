#include "agent/host/capture.h"

#include <stdlib.h>
#include <string.h>

enum {
    PORT_MOST = 65535
};

struct peer {
    struct cas_slice address;
    uint16_t port;
};

struct capture_summing {
    struct capture_netstat_sum sum;
    struct capture_ports ports;
    uint32_t leave_out_pid;
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

static bool make_room(struct capture_summing *summing)
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

static void add_row(struct capture_summing *summing, const struct capture_socket *socket)
{
    struct capture_netstat_sum *sum = &summing->sum;
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

static void sum_peers(struct capture_summing *summing)
{
    if (summing->peer_n == 0)
        return;
    qsort(summing->peer, summing->peer_n, sizeof *summing->peer, compare_peers);
    size_t run = 0;
    for (size_t i = 0; i < summing->peer_n; i++) {
        const struct peer *peer = &summing->peer[i];
        run = i > 0 && compare_peers(&summing->peer[i - 1], peer) == 0 ? run + 1 : 1;
        if (run > summing->sum.ports_peer_most) {
            summing->sum.ports_peer_most = run;
            summing->sum.peer = peer->address;
            summing->sum.peer_port = peer->port;
        }
    }
}

/* Sorted by PID, counted, then the owners with most kept: all PIDs are counted before any is left
 * out. */
static void sum_owners(struct capture_summing *summing, struct capture_owner *owner)
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
        summing->sum.owner[i] = owner[i];
    summing->sum.owner_n = owner_n;
}

enum cas_err capture_summing_open(struct capture_ports ports,
                                  uint32_t leave_out_pid,
                                  struct capture_summing **ret_summing,
                                  struct cas_why *why)
{
    struct capture_summing *summing = calloc(1, sizeof *summing);
    if (summing == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory to sum sockets");
    summing->ports = ports;
    summing->leave_out_pid = leave_out_pid;
    *ret_summing = summing;
    return CAS_OK;
}

void capture_summing_free(struct capture_summing *summing)
{
    if (summing == NULL)
        return;
    free(summing->peer);
    free(summing->closing);
    free(summing);
}

enum cas_err capture_summing_add(struct capture_summing *summing,
                                 const struct capture_socket *socket,
                                 struct cas_why *why)
{
    if (summing->sum.row_n == CAPTURE_SOCKETS)
        return cas_fail(why, CAS_ERR_TOO_MANY, "more than %d rows", CAPTURE_SOCKETS);
    summing->sum.row_n++;
    if (summing->leave_out_pid != 0 && socket->has_pid && socket->pid == summing->leave_out_pid)
        return CAS_OK;
    if (!make_room(summing))
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for %zu rows", summing->sum.row_n);
    add_row(summing, socket);
    return CAS_OK;
}

enum cas_err capture_summing_end(struct capture_summing *summing,
                                 struct capture_netstat_sum *ret_sum,
                                 struct cas_why *why)
{
    struct capture_owner *owner = calloc(summing->closing_n + 1, sizeof *owner);
    if (owner == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory to sum sockets");
    sum_peers(summing);
    sum_owners(summing, owner);
    free(owner);
    *ret_sum = summing->sum;
    return CAS_OK;
}
