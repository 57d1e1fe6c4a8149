/* test.h - how is a promise written down so that it is checked on every run?
 *
 *     TEST(room, a_promise_in_present_tense) { EXPECT_INT_EQ(4, 2 + 2); }
 *
 * A test enters itself; test_main runs all of a program as one cmocka group ("-f part" picks by
 * name, "-l" lists). A failed EXPECT ends its test. In all of them the expected value comes first.
 * Used by every test and story. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <string.h>

#include "proto/base/cas.h"

struct test_row {
    const char *name; /* "room.promise" */
    void (*run)(void);
    struct test_row *next;
};
void test_enter(struct test_row *row);

#define TEST(room, promise)                                                        \
    static void test_##room##_##promise(void);                                     \
    static struct test_row test_row_##room##_##promise = {#room "." #promise,      \
                                                          test_##room##_##promise, \
                                                          NULL};                   \
    __attribute__((constructor)) static void test_enter_##room##_##promise(void)   \
    {                                                                              \
        test_enter(&test_row_##room##_##promise);                                  \
    }                                                                              \
    static void test_##room##_##promise(void)

struct test_place {
    const char *file;
    int line;
    const char *words; /* the expression under test */
};
#define TEST_PLACE(words) ((struct test_place){__FILE__, __LINE__, (words)})

/* Prints what was expected and found, and ends the running test. */
void test_fail(struct test_place place, const char *fmt, ...) CAS_PRINTF(2, 3)
    __attribute__((noreturn));
void test_expect_true(bool actual, bool expected, struct test_place place);
void test_expect_int(int64_t expected, int64_t actual, struct test_place place);
void test_expect_uint(uint64_t expected, uint64_t actual, struct test_place place);
void test_expect_near(double expected, double actual, double off, struct test_place place);
void test_expect_text(const char *expected, const char *actual, struct test_place place);
void test_expect_has(const char *part, const char *whole, struct test_place place);
void test_expect_slice(const char *expected, struct cas_slice actual, struct test_place place);
void test_expect_bytes(const void *expected,
                       const void *actual,
                       size_t size,
                       struct test_place place);
void test_expect_ok(enum cas_err err, const struct cas_why *why, struct test_place place);
void test_expect_err(enum cas_err expected, enum cas_err err, struct test_place place);

#define EXPECT_TRUE(actual)  test_expect_true((actual), true, TEST_PLACE(#actual))
#define EXPECT_FALSE(actual) test_expect_true((actual), false, TEST_PLACE(#actual))
#define EXPECT_NULL(actual)  test_expect_true((actual) == NULL, true, TEST_PLACE(#actual " == NULL"))
#define EXPECT_NOT_NULL(actual) \
    test_expect_true((actual) != NULL, true, TEST_PLACE(#actual " != NULL"))
#define EXPECT_INT_EQ(expected, actual) \
    test_expect_int((int64_t)(expected), (int64_t)(actual), TEST_PLACE(#actual))
#define EXPECT_UINT_EQ(expected, actual) \
    test_expect_uint((uint64_t)(expected), (uint64_t)(actual), TEST_PLACE(#actual))
#define EXPECT_NEAR(expected, actual, off) \
    test_expect_near((expected), (actual), (off), TEST_PLACE(#actual))
#define EXPECT_TEXT_EQ(expected, actual) test_expect_text((expected), (actual), TEST_PLACE(#actual))
#define EXPECT_TEXT_HAS(part, whole)     test_expect_has((part), (whole), TEST_PLACE(#whole))
#define EXPECT_SLICE_EQ(expected, actual) \
    test_expect_slice((expected), (actual), TEST_PLACE(#actual))
#define EXPECT_BYTES_EQ(expected, actual, size) \
    test_expect_bytes((expected), (actual), (size), TEST_PLACE(#actual))
/* EXPECT_OK(file_read(..., &why), &why): the reason is printed when it fails; NULL when there is
 * none. */
#define EXPECT_OK(call, why)                                 \
    do {                                                     \
        enum cas_err test_err_ = (call);                     \
        test_expect_ok(test_err_, (why), TEST_PLACE(#call)); \
    } while (0)
/* EXPECT_ERR(CAS_ERR_RANGE, call) */
#define EXPECT_ERR(expected, call) test_expect_err((expected), (call), TEST_PLACE(#call))

/* A folder of the running test alone, made at the first call, removed with its content when the
 * test ends. */
const char *test_folder(void);
/* A path in it; borrowed until the test ends, at most 32 a test. */
const char *test_path(const char *name);
/* A path in the source tree, as "data/samples/typeperf.csv"; borrowed likewise. */
const char *test_source(const char *relative);
/* A whole file, terminated; caller frees. Ends the test when it cannot be read. */
char *test_read(const char *path, size_t *ret_size);
void test_write(const char *path, const void *data, size_t size);

/* Repeatable dice: same seed, same throws. */
struct test_dice {
    uint64_t state;
};
uint64_t test_throw(struct test_dice *dice);
/* 0 .. n - 1; n > 0 */
uint64_t test_below(struct test_dice *dice, uint64_t n);

/* In test_folder_posix.c: for test_main only. */
void test_folder_make(char *ret_path, size_t cap);
void test_folder_remove(const char *path);

#endif
