/* stage_sql.h - what becomes of a database whose program was killed?
 *
 * In place of SQLite's own functions that open, close, prepare, step, finalize and execute, for all
 * that is linked with the stage. A program that is killed closes nothing: what it wrote stays
 * written, its log stays as long as it was, and what it had not committed is gone. Here its
 * connection is laid by as it is, with nothing folded back, and whoever opens the same database
 * next goes on with it; statements it had prepared are kept with it, for to read SQL anew at each
 * of some millions of starts is most of a sweep's time. Everything a program asks of a database it
 * opens is asked and answered as ever, but for settings it has told that connection before. Now and
 * then, and where the power takes something along, the connection is given up instead, and SQLite
 * recovers the log by itself. */
#ifndef TESTS_STORY_STAGE_SQL_H
#define TESTS_STORY_STAGE_SQL_H

#include "proto/base/cas.h"

/* Databases opened from now on are this story's. */
void stage_sql_story(uint64_t number);
/* Every statement that is kept and not in use, and all of a controller's database of that name, is
 * read now, for each of the story's connections: not at its next use, by each seed anew that goes
 * on from here. */
void stage_sql_keep(const char *name);
/* No COMMIT that was prepared succeeds on this story's database of that name: its disk is full. One
 * that is executed does, so that a controller may start meanwhile. One database at a time. */
void stage_sql_full(const char *name, bool is_full);
/* What is laid by of this story's database of that name (NULL: of all) is given up with nothing
 * written. Nobody has it open. */
void stage_sql_drop(const char *name);

#endif
