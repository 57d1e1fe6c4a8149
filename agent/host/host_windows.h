/* host_windows.h - the sources a real CAS server is read through; for host_windows*.c only.
 *
 * One file a source, each thin: it asks Windows and hands over what came, or a reason that names
 * the call, what was asked and the error. What the findings mean is decided in scene.c, which knows
 * no Windows. No call waits: what takes time is begun, looked at and given up at its deadline. No
 * Windows type stands here. */
#ifndef AGENT_HOST_HOST_WINDOWS_H
#define AGENT_HOST_HOST_WINDOWS_H

#include "agent/host/scene.h"

enum {
    WINDOWS_PATH_BYTES = 1024,
    WINDOWS_OUTPUT_BYTES = 256 * 1024, /* of a tool; what it says beyond is counted and dropped */
};

/* ---- host_windows_error.c: what a number of Windows means ---- */

/* cas_fail with the code's number and English words behind: "...: error 5 (Access is denied)". The
 * code is a Win32 error, NTSTATUS, PDH status, HRESULT or WinHTTP error; those above 65535 are
 * written as 0x%08X. Take GetLastError() into a variable before anything else is called. */
enum cas_err
windows_fail(struct cas_why *why, enum cas_err err, uint32_t code, const char *fmt, ...)
    CAS_PRINTF(4, 5);
/* Wine, where some calls end the process instead of failing. */
bool windows_is_wine(void);

/* ---- host_windows_process.c: who is alive, and how much memory does it hold? ---- */

/* The pool's worker processes by their command line (-ap), newest start last; at most HOST_WORKERS,
 * the youngest. A worker whose command line cannot be read counts in *ret_unread_n. */
CAS_CHECK enum cas_err windows_workers(const char *pool,
                                       struct scene_worker ret_worker[HOST_WORKERS],
                                       size_t *ret_n,
                                       size_t *ret_unread_n,
                                       struct cas_why *why);
CAS_CHECK enum cas_err windows_memory(struct scene_memory *ret_memory, struct cas_why *why);
uint32_t windows_self_pid(void);
/* Is a process of this file name running, without regard to case? For Exchange's Setup; a name
 * that ends with "*" stands for all that begin so. */
CAS_CHECK enum cas_err windows_is_running(const char *const *name, /* [name_n] */
                                          size_t name_n,
                                          bool *ret_is_running,
                                          struct cas_why *why);

/* ---- host_windows_net.c: the TCP table ---- */

/* Every row, IPv4 and IPv6, as it is; scene sums them. Caller frees *ret_row. CAS_ERR_TOO_MANY
 * above CAPTURE_SOCKETS rows. */
CAS_CHECK enum cas_err
windows_sockets(struct scene_socket **ret_row, size_t *ret_n, struct cas_why *why);

/* ---- host_windows_pdh.c: performance counters by their English names ---- */

struct windows_pdh;
/* Cheap: nothing is asked of PDH yet. CAS_ERR_NOMEM, CAS_ERR_TOO_LONG the pool's name. */
CAS_CHECK enum cas_err
windows_pdh_open(const char *pool, struct windows_pdh **ret_pdh, struct cas_why *why);
/* One collection: every instance of every counter of capture_counters.def in the same sample;
 * within a second the sample before is read again. Always CAS_OK: a counter without a row, or whose
 * rows have no value (a rate's first sample), says why in absent. Counters that are not there are
 * tried again every 10 minutes, and a minute later when the pool's worker has changed. */
CAS_CHECK enum cas_err windows_pdh_read(struct windows_pdh *pdh,
                                        struct cas_now now,
                                        struct scene_counters *ret_counters,
                                        struct cas_why *why);
/* Absent counters are tried soon, at most once a minute: what a change of the worker found
 * elsewhere is told by. */
void windows_pdh_again(struct windows_pdh *pdh);
void windows_pdh_free(struct windows_pdh *pdh);
CAS_AUTO_DEFINE(windows_pdh);

/* ---- host_windows_eventlog.c: the System log by bookmark ---- */

/* Events of Tcpip and WAS that mean something, after the bookmark ("" the first time: those of the
 * last 24 hours), oldest first, at most cap; the same contract as host_ops.events. Those of other
 * pools are passed over (pool "": all are told); what is lost or cannot be read is an event of
 * casfleet-agent, see event_mark.h. Takes a second or two at most. */
CAS_CHECK enum cas_err windows_events(const char *pool,
                                      const char *bookmark,
                                      struct host_event *ret_event,
                                      size_t cap,
                                      size_t *ret_n,
                                      char ret_bookmark[REASON_BYTES],
                                      struct cas_why *why);
/* How many with this id in the 24 hours before now; looked at once a minute, since all events of
 * that time come by. CAS_ERR_AGAIN: more came by than a second shows, so that nobody knows.
 * CAS_ERR_NOT_FOUND: an id that means nothing here. */
CAS_CHECK enum cas_err windows_events_count(uint32_t id, uint64_t *ret_count, struct cas_why *why);

/* ---- host_windows_exchange.c: registry, file versions, component states ---- */

CAS_CHECK enum cas_err windows_exchange(struct scene_exchange *ret_exchange, struct cas_why *why);
CAS_CHECK enum cas_err windows_system(struct scene_system *ret_system, struct cas_why *why);
/* All states below ServerComponentStates, this server's copy. CAS_ERR_MISSING: no Exchange. */
CAS_CHECK enum cas_err windows_states(struct scene_states *ret_states, struct cas_why *why);
/* Sets one component (SCENE_COMPONENT) under our requester (SCENE_REQUESTER), flushed; no other
 * requester's value is touched. What is set already is set again with its new time.
 * CAS_ERR_MISSING no Exchange, CAS_ERR_DENIED no right, CAS_ERR_IO. */
CAS_CHECK enum cas_err windows_state_set(const char *component,
                                         const char *requester,
                                         bool is_active,
                                         int64_t wall_ms,
                                         struct cas_why *why);

/* ---- host_windows_tool.c: a program of Windows, run without a shell ---- */

struct windows_tool;
/* path is full; argument ends with NULL and is quoted as the C runtime takes it apart again. Ends
 * with its job when freed: what it started itself too, but nothing that a service started on its
 * behalf (worker processes are WAS's children). quote_line's errors, CAS_ERR_NOT_FOUND no such
 * file, CAS_ERR_NOMEM, CAS_ERR_DENIED, CAS_ERR_IO. */
CAS_CHECK enum cas_err windows_tool_start(const char *path,
                                          const char *const *argument,
                                          int64_t deadline_ms, /* monotonic instant */
                                          struct windows_tool **ret_tool,
                                          struct cas_why *why);
struct windows_tool_end {
    bool is_over;
    bool is_killed; /* at its deadline */
    uint32_t code;
    struct cas_slice output; /* both of its streams; borrowed until windows_tool_free */
    uint64_t dropped_bytes;
};
CAS_CHECK enum cas_err windows_tool_poll(struct windows_tool *tool,
                                         struct cas_now now,
                                         struct windows_tool_end *ret_end,
                                         struct cas_why *why);
void windows_tool_free(struct windows_tool *tool);
CAS_AUTO_DEFINE(windows_tool);
/* What a tool said, as UTF-8, whatever code page or UTF-16 it wrote in; terminated, caller frees.
 * CAS_ERR_NOMEM, CAS_ERR_FORMAT, CAS_ERR_TOO_LONG. */
CAS_CHECK enum cas_err
windows_tool_text(struct cas_slice output, char **ret_text, size_t *ret_size, struct cas_why *why);
/* "inetsrv\\appcmd.exe" as the full path below Windows' system folder, asked of Windows and not of
 * the environment; CAS_ERR_NOT_FOUND names the path. */
CAS_CHECK enum cas_err
windows_system_path(const char *tail, char ret_path[WINDOWS_PATH_BYTES], struct cas_why *why);

/* ---- host_windows_http.c: the server's own health page ---- */

struct windows_probe;
/* url is of this machine's own address: probe_url_parse's errors; CAS_ERR_BUSY too many that were
 * given up have not ended yet; CAS_ERR_NOMEM, CAS_ERR_IO. It goes on by itself between polls. */
CAS_CHECK enum cas_err windows_probe_start(const char *url,
                                           int64_t deadline_ms,
                                           struct windows_probe **ret_probe,
                                           struct cas_why *why);
/* *ret_is_over; then status and body, or why there is none. */
CAS_CHECK enum cas_err windows_probe_poll(struct windows_probe *probe,
                                          struct cas_now now,
                                          bool *ret_is_over,
                                          struct scene_probe *ret_probe,
                                          struct cas_why *why);
void windows_probe_free(struct windows_probe *probe);
CAS_AUTO_DEFINE(windows_probe);

/* ---- host_windows_act.c: recycle, drain, undrain as begin and poll of host_ops ---- */

struct windows_act;
CAS_CHECK enum cas_err windows_act_begin(enum verb verb,
                                         const char *pool,
                                         struct cas_now now,
                                         int64_t deadline_ms,
                                         struct windows_act **ret_act,
                                         struct cas_why *why);
CAS_CHECK enum cas_err windows_act_poll(struct windows_act *act,
                                        struct cas_now now,
                                        struct host_act *ret_act,
                                        struct cas_why *why);
void windows_act_free(struct windows_act *act);
/* Is ActiveSyncProxy out of service by this very agent? ret_others gets who else holds it, or the
 * whole server, out of service (or what could not be read), "" nobody. */
CAS_CHECK enum cas_err windows_is_drained_by_us(const struct scene_states *states,
                                                bool *ret_is_ours,
                                                char ret_others[REASON_BYTES],
                                                struct cas_why *why);
CAS_AUTO_DEFINE(windows_act);

#endif
