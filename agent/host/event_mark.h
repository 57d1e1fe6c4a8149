/* event_mark.h - which events of a Windows log are new, and were any lost since the last reading?
 *
 * A log numbers its records upward, overwrites the oldest when it is full, and begins again, or
 * goes on as another log, when it is cleared or the server is put back from an image. So the
 * bookmark holds the number *and* the time of the record it stands at: a record that has that
 * number and another time, or a log that ends before it, is another log, which is read by time from
 * there on; a log that begins behind it has lost what lay between. Both are told as an event of our
 * own. The bookmark of the Evt API itself is XML of that number alone and cannot see an exchanged
 * log.
 *
 * Pure: no Windows, no clock; rows in, events and the next bookmark out. Used by
 * host_windows_eventlog.c. */
#ifndef AGENT_HOST_EVENT_MARK_H
#define AGENT_HOST_EVENT_MARK_H

#include "agent/host/host.h"

enum {
    EVENT_MARK_ROWS = 4096, /* of ours in one reading; what is beyond comes in the next */
    EVENT_MARK_FIRST_MS = 24 * 60 * 60 * 1000, /* the first reading begins so long ago */
};
/* The provider of what is told about the reading itself; ids as in events.def. */
#define EVENT_MARK_PROVIDER "casfleet-agent"

/* A place in the log. record 0: none, read by time. */
struct event_mark {
    uint64_t record;
    int64_t time_ms; /* of that record, wall clock */
};
/* "1/RECORD/TIME_MS"; an empty text is the zero mark. CAS_ERR_FORMAT for anything else. */
CAS_CHECK enum cas_err
event_mark_parse(const char *bookmark, struct event_mark *ret_mark, struct cas_why *why);
void event_mark_print(struct event_mark mark, char ret_bookmark[REASON_BYTES]);

/* The log as it is when the reading begins. record 0: there is none. */
struct event_mark_log {
    struct event_mark oldest, newest;
    struct event_mark at; /* the record that has the bookmark's number now */
};
struct event_mark_row {
    struct event_mark at;
    bool is_others;       /* nothing but its place counts, see event_mark_asks */
    struct cas_slice xml; /* the event; borrowed for the call */
    const char *problem;  /* why there is no XML, or NULL */
};
struct event_mark_reading {
    struct host_event *event; /* the caller's, [cap] */
    size_t cap;
    size_t n;
    char pool[POOL_BYTES];
    uint64_t after_record;  /* rows up to it are known */
    int64_t after_ms;       /* when after_record is 0: rows up to it are known */
    struct event_mark mark; /* where the next reading begins, as far as this one got */
    struct event_mark newest;
    size_t row_n;
    bool is_upset; /* numbers went back while it was read: the next reading finds out why */
};

/* Begins a reading. Events of other pools are passed over; pool "" takes all. A bookmark that is
 * none of ours is told, and read as if it were the first time. cap at least 2. */
void event_mark_begin(struct event_mark_reading *ret_reading,
                      const char *bookmark,
                      const struct event_mark_log *log,
                      int64_t now_ms,
                      const char *pool,
                      struct host_event *event,
                      size_t cap);
/* No row can be new: nothing needs to be asked. */
bool event_mark_is_idle(const struct event_mark_reading *reading);
/* Does such an event mean anything here? Every row of the log comes by, so that the mark moves with
 * it and a reading that was cut goes on where it stood: an XPath would be asked of each record from
 * the log's oldest on, each time again, and in a large log its answer may never come in time. */
bool event_mark_asks(const char *provider, uint32_t id);
/* Rows in the log's order. Alike ones (provider, id, pid, pool) become one event with their count
 * and the last one's time. False when this reading has enough; that row was not taken. */
bool event_mark_take(struct event_mark_reading *reading, const struct event_mark_row *row);
/* is_all: the query had no further row. Then the bookmark stands at the log's newest record, so
 * that a quiet time is not taken for a loss when its records are overwritten. */
void event_mark_end(struct event_mark_reading *reading,
                    bool is_all,
                    size_t *ret_n,
                    char ret_bookmark[REASON_BYTES]);

/* The provider of the event with this id. CAS_ERR_NOT_FOUND for one that is not in
 * capture_events.def. */
CAS_CHECK enum cas_err
event_mark_provider(uint32_t id, const char **ret_provider, struct cas_why *why);

#endif
