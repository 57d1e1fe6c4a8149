/* stage_disk.h - what do the disks of a virtual fleet hold, and what is left when one fails?
 *
 * SQLite's files in memory, one disk a server: a path's disk is the path up to its last dot, so
 * that a ledger, an outbox and their logs share one. What a sync has made sure of is kept beside
 * what is written, so that the power can fail. All that SQLite draws by chance comes from here as
 * well: one seed, one course. For the stage alone. */
#ifndef TESTS_STORY_STAGE_DISK_H
#define TESTS_STORY_STAGE_DISK_H

#include "proto/base/cas.h"

/* Every database opened from now on that is a plain path. Once a program; more often is harmless.
 */
void stage_disk_on(void);
/* Names from now on are those of this story: each has disks of its own under the same names, so
 * that no text tells where or when it was played. */
void stage_disk_story(uint64_t number);
/* Chance begins anew: SQLite's own, and which unsynced pieces survive a loss of power. */
void stage_disk_seed(uint64_t seed);
/* Pages of the disks stand there from now on, as long as there is room, and on the heap then. For a
 * program that goes back to how it stood: what is there need not be put back, see below. */
void stage_disk_room(void *bytes, size_t size);
/* What the disks hold now is not written over any more, but elsewhere; what SQLite gave back is the
 * heap's again. */
void stage_disk_keep(void);
/* A full disk takes what overwrites, and nothing that grows. */
void stage_disk_fill(const char *disk, bool is_full);
/* The power fails: what was not synced survives piece by piece or not at all. None of its files is
 * open. Returns how many pieces were lost. */
size_t stage_disk_cut(const char *disk);
/* Whoever opens a database there next reads all of it from the disk, and its log. Nobody has one
 * open. */
void stage_disk_closed(const char *disk);
/* All files of the disk are gone, and with them whatever filled it. */
void stage_disk_wipe(const char *disk);
/* Bytes of all files now, by all disks. */
size_t stage_disk_bytes(void);

#endif
