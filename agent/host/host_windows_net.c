#include "agent/host/host_windows.h"

#include <stdlib.h>
#include <string.h>
#include <winsock2.h> /* and with it windows.h */

#include <iphlpapi.h>

#include "agent/host/scene_raw.h"

enum {
    TRIES = 8,       /* the table grows between asking for its size and for itself */
    SPARE_ROWS = 64, /* room for that */
};

/* One IP version's table, whose rows are row_bytes each behind a count. */
struct family {
    const char *name;
    ULONG family;
    size_t head_bytes, row_bytes;
};
static const struct family families[] = {
    {"IPv4", AF_INET, offsetof(MIB_TCPTABLE_OWNER_PID, table), sizeof(MIB_TCPROW_OWNER_PID)},
    {"IPv6", AF_INET6, offsetof(MIB_TCP6TABLE_OWNER_PID, table), sizeof(MIB_TCP6ROW_OWNER_PID)},
};

static enum cas_err
table_read(const struct family *family, void **ret_table, size_t *ret_n, struct cas_why *why)
{
    const size_t most_bytes =
        family->head_bytes + (CAPTURE_SOCKETS + SPARE_ROWS) * family->row_bytes;
    DWORD size = 0;
    DWORD code = ERROR_INSUFFICIENT_BUFFER;
    void *table = NULL;

    for (int try = 0; try < TRIES && code == ERROR_INSUFFICIENT_BUFFER; try++) {
        free(table);
        table = NULL;
        size_t wanted = (size_t)size + size / 8 + SPARE_ROWS * family->row_bytes;
        if (size > most_bytes)
            return cas_fail(why,
                            CAS_ERR_TOO_MANY,
                            "GetExtendedTcpTable %s: %lu bytes, more than %d rows",
                            family->name,
                            (unsigned long)size,
                            CAPTURE_SOCKETS);
        table = malloc(wanted);
        if (table == NULL)
            return cas_fail(why, CAS_ERR_NOMEM, "no memory for the TCP table: %zu bytes", wanted);
        size = (DWORD)wanted;
        code = GetExtendedTcpTable(table, &size, FALSE, family->family, TCP_TABLE_OWNER_PID_ALL, 0);
    }
    if (code != NO_ERROR) {
        free(table);
        /* IPv6 may be taken out of a system. */
        if (code == ERROR_NOT_SUPPORTED && family->family == AF_INET6)
            return CAS_OK;
        return windows_fail(why, CAS_ERR_IO, code, "GetExtendedTcpTable %s", family->name);
    }
    DWORD count;
    memcpy(&count, table, sizeof count);
    *ret_table = table;
    *ret_n = count;
    return CAS_OK;
}

static void row_v4(const MIB_TCPROW_OWNER_PID *from, struct scene_socket *to)
{
    memcpy(to->local, &from->dwLocalAddr, sizeof from->dwLocalAddr);
    memcpy(to->remote, &from->dwRemoteAddr, sizeof from->dwRemoteAddr);
    to->local_port = scene_socket_port(from->dwLocalPort);
    to->remote_port = scene_socket_port(from->dwRemotePort);
    to->state = scene_socket_state(from->dwState);
    to->pid = from->dwOwningPid;
}

static void row_v6(const MIB_TCP6ROW_OWNER_PID *from, struct scene_socket *to)
{
    to->is_ipv6 = true;
    memcpy(to->local, from->ucLocalAddr, sizeof to->local);
    memcpy(to->remote, from->ucRemoteAddr, sizeof to->remote);
    to->local_port = scene_socket_port(from->dwLocalPort);
    to->remote_port = scene_socket_port(from->dwRemotePort);
    to->state = scene_socket_state(from->dwState);
    to->pid = from->dwOwningPid;
}

enum cas_err windows_sockets(struct scene_socket **ret_row, size_t *ret_n, struct cas_why *why)
{
    void *v4 = NULL;
    void *v6 = NULL;
    size_t v4_n = 0;
    size_t v6_n = 0;

    enum cas_err err = table_read(&families[0], &v4, &v4_n, why);
    if (err == CAS_OK)
        err = table_read(&families[1], &v6, &v6_n, why);
    if (err == CAS_OK && v4_n + v6_n > CAPTURE_SOCKETS)
        err = cas_fail(why,
                       CAS_ERR_TOO_MANY,
                       "GetExtendedTcpTable: %zu rows, at most %d",
                       v4_n + v6_n,
                       CAPTURE_SOCKETS);
    struct scene_socket *row = err == CAS_OK ? calloc(v4_n + v6_n + 1, sizeof *row) : NULL;
    if (err == CAS_OK && row == NULL)
        err = cas_fail(why, CAS_ERR_NOMEM, "no memory for %zu TCP rows", v4_n + v6_n);
    if (row != NULL) {
        for (size_t i = 0; i < v4_n; i++)
            row_v4(&((const MIB_TCPTABLE_OWNER_PID *)v4)->table[i], &row[i]);
        for (size_t i = 0; i < v6_n; i++)
            row_v6(&((const MIB_TCP6TABLE_OWNER_PID *)v6)->table[i], &row[v4_n + i]);
        *ret_row = row;
        *ret_n = v4_n + v6_n;
    }
    free(v4);
    free(v6);
    return err;
}
