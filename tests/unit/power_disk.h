/* power_disk.h - what is left of SQLite's files when the power fails?
 *
 * Between SQLite and the real files: writes go through, and what a sync has made sure of is kept
 * beside. Some writes reach the disk unasked, piece by piece and in any order, as a kernel does. */
#ifndef TESTS_UNIT_POWER_DISK_H
#define TESTS_UNIT_POWER_DISK_H

#include "tests/unit/test.h"

/* Every database opened from now on; power_disk_off forgets them all, with none open. */
void power_disk_on(struct test_dice *dice);
void power_disk_off(void);
/* How often a file was synced since power_disk_on. */
uint64_t power_disk_syncs(void);
/* Whether syncs fail, and make sure of nothing, from now on. */
void power_disk_break(bool is_broken);
/* Writes to `to` and its log what a loss of power now would leave of the open database at path: all
 * that was synced, and of the rest keep_pct of a hundred pieces. */
void power_disk_image(const char *path, const char *to, uint64_t keep_pct);

#endif
