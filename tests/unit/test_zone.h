/* test_zone.h - what would this say in another time zone? */
#ifndef TESTS_UNIT_TEST_ZONE_H
#define TESTS_UNIT_TEST_ZONE_H

/* Local time from now on, in POSIX form as "GMT0BST,M3.5.0/1,M10.5.0": needs no zone files. */
void test_zone(const char *rule);

#endif
