/* journal_page.h - is each page of a journal still what was written there?
 *
 * A layer below SQLite and above the system: the last bytes of each page of the database hold a sum
 * over the page and its place, made at each write, checked at each read. SQLite alone checks the
 * frames of its log, never the pages of the file: a flipped bit in an id or a state would be
 * believed. Inside the journal wing only, used by journal_db. */
#ifndef AGENT_JOURNAL_JOURNAL_PAGE_H
#define AGENT_JOURNAL_JOURNAL_PAGE_H

#include "proto/base/cas.h"

struct sqlite3;

enum {
    JOURNAL_PAGE_BYTES = 4096,
    JOURNAL_SUM_BYTES = 8
};

/* The name of the layer, for sqlite3_open_v2, upon the system that is the default now. NULL: it
 * cannot be registered. */
const char *journal_page_layer(void);
/* Before anything else is asked of the connection: a new file gets its room for sums. A file that
 * was made without keeps going without. */
void journal_page_prepare(struct sqlite3 *db);

#endif
