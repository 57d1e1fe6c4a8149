#include "tests/unit/test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    TEST_ROWS = 2000,
    TEST_PATHS = 32,
    TEST_PATH_BYTES = 1024
};

static struct test_row *first_row;
static struct test_row *last_row;
static char folder[TEST_PATH_BYTES];
static char paths[TEST_PATHS][TEST_PATH_BYTES];
static size_t path_n;

void test_enter(struct test_row *row)
{
    if (last_row == NULL) {
        first_row = row;
    } else {
        last_row->next = row;
    }
    last_row = row;
}

void test_fail(struct test_place place, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    print_error("%s: %s\n", place.words, text);
    _fail(place.file, place.line);
    abort(); /* _fail jumps back into cmocka */
}

void test_expect_true(bool actual, bool expected, struct test_place place)
{
    if (actual != expected)
        test_fail(place, "is %s", actual ? "true" : "false");
}

void test_expect_int(int64_t expected, int64_t actual, struct test_place place)
{
    if (expected != actual)
        test_fail(place, "expected %lld, is %lld", (long long)expected, (long long)actual);
}

void test_expect_uint(uint64_t expected, uint64_t actual, struct test_place place)
{
    if (expected != actual)
        test_fail(place,
                  "expected %llu, is %llu",
                  (unsigned long long)expected,
                  (unsigned long long)actual);
}

void test_expect_near(double expected, double actual, double off, struct test_place place)
{
    if (!(fabs(expected - actual) <= off))
        test_fail(place, "expected %.17g within %g, is %.17g", expected, off, actual);
}

void test_expect_text(const char *expected, const char *actual, struct test_place place)
{
    if (actual == NULL || strcmp(expected, actual) != 0)
        test_fail(place, "expected\n  \"%s\", is\n  \"%s\"", expected, actual ? actual : "(NULL)");
}

void test_expect_has(const char *part, const char *whole, struct test_place place)
{
    if (whole == NULL || strstr(whole, part) == NULL)
        test_fail(place, "expected \"%s\" in\n  \"%s\"", part, whole ? whole : "(NULL)");
}

void test_expect_slice(const char *expected, struct cas_slice actual, struct test_place place)
{
    size_t size = strlen(expected);
    if (size != actual.size || (size > 0 && memcmp(expected, actual.data, size) != 0))
        test_fail(place,
                  "expected\n  \"%s\", is\n  \"%.*s\"",
                  expected,
                  (int)(actual.size > 1000 ? 1000 : actual.size),
                  actual.size > 0 ? actual.data : "");
}

void test_expect_bytes(const void *expected,
                       const void *actual,
                       size_t size,
                       struct test_place place)
{
    const unsigned char *left = expected;
    const unsigned char *right = actual;
    for (size_t i = 0; i < size; i++) {
        if (left[i] != right[i])
            test_fail(place, "byte %zu of %zu: expected %02x, is %02x", i, size, left[i], right[i]);
    }
}

void test_expect_ok(enum cas_err err, const struct cas_why *why, struct test_place place)
{
    if (err != CAS_OK)
        test_fail(place, "failed with %s: %s", cas_err_name(err), why ? why->text : "(no reason)");
}

void test_expect_err(enum cas_err expected, enum cas_err err, struct test_place place)
{
    if (err != expected)
        test_fail(place, "expected %s, is %s", cas_err_name(expected), cas_err_name(err));
}

const char *test_folder(void)
{
    if (folder[0] == '\0')
        test_folder_make(folder, sizeof folder);
    return folder;
}

static const char *path_keep(const char *base, const char *name)
{
    CAS_ASSERT(path_n < TEST_PATHS);
    char *path = paths[path_n++];
    int used = snprintf(path, TEST_PATH_BYTES, "%s/%s", base, name);
    CAS_ASSERT(used > 0 && used < TEST_PATH_BYTES);
    return path;
}

const char *test_path(const char *name)
{
    return path_keep(test_folder(), name);
}

const char *test_source(const char *relative)
{
    return path_keep(CASFLEET_SOURCE_DIR, relative);
}

char *test_read(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        test_fail(TEST_PLACE("test_read"), "cannot open %s", path);
    size_t used = 0;
    size_t cap = 65536;
    char *data = malloc(cap);
    CAS_ASSERT(data != NULL);
    for (size_t got = 1; got > 0;) {
        if (cap - used < 2) {
            cap *= 2;
            data = realloc(data, cap);
            CAS_ASSERT(data != NULL);
        }
        got = fread(data + used, 1, cap - used - 1, file);
        used += got;
    }
    (void)fclose(file);
    data[used] = '\0';
    if (ret_size != NULL)
        *ret_size = used;
    return data;
}

void test_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        test_fail(TEST_PLACE("test_write"), "cannot open %s", path);
    size_t put = fwrite(data, 1, size, file);
    if (fclose(file) != 0 || put != size)
        test_fail(TEST_PLACE("test_write"), "cannot write %s", path);
}

uint64_t test_throw(struct test_dice *dice)
{
    /* Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
    dice->state += 0x9e3779b97f4a7c15u;
    uint64_t z = dice->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t test_below(struct test_dice *dice, uint64_t n)
{
    CAS_ASSERT(n > 0);
    return test_throw(dice) % n;
}

static void run_row(void **state)
{
    const struct test_row *row = *state;
    row->run();
}

static int clean_up(void **state)
{
    (void)state;
    if (folder[0] != '\0')
        test_folder_remove(folder);
    folder[0] = '\0';
    path_n = 0;
    return 0;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[TEST_ROWS];
    const char *part = argc == 3 && strcmp(argv[1], "-f") == 0 ? argv[2] : "";
    bool is_list = argc == 2 && strcmp(argv[1], "-l") == 0;
    if (argc != 1 && part[0] == '\0' && !is_list) {
        (void)fprintf(stderr, "use: %s [-l | -f PART_OF_A_NAME]\n", argv[0]);
        return 2;
    }
    size_t test_n = 0;
    for (struct test_row *row = first_row; row != NULL; row = row->next) {
        if (strstr(row->name, part) == NULL)
            continue;
        CAS_ASSERT(test_n < TEST_ROWS);
        tests[test_n++] = (struct CMUnitTest){row->name, run_row, NULL, clean_up, row};
        if (is_list)
            (void)printf("%s\n", row->name);
    }
    if (is_list)
        return 0;
    if (test_n == 0) {
        (void)fprintf(stderr, "no test has \"%s\" in its name\n", part);
        return 2;
    }
    return _cmocka_run_group_tests("casfleet", tests, test_n, NULL, NULL) == 0 ? 0 : 1;
}
