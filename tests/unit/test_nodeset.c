#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/base/nodeset.h"

/* Expands, and joins the names with blanks. */
static const char *expanded(const char *text)
{
    static char data[4096];
    struct cas_text out = CAS_TEXT(data);
    struct cas_why why = {""};
    CAS_AUTO(nodeset) set = NULL;
    EXPECT_OK(nodeset_expand(cas_slice_of(text), &set, &why), &why);
    cas_text_clear(&out);
    for (size_t i = 0; i < set->name_n; i++)
        cas_text_add(&out, "%s%s", i > 0 ? " " : "", set->name[i]);
    return data;
}

/* The reason why a text is refused with this error. */
static const char *refused(enum cas_err expected, const char *text)
{
    static struct cas_why why;
    CAS_AUTO(nodeset) set = NULL;
    why.text[0] = '\0';
    EXPECT_ERR(expected, nodeset_expand(cas_slice_of(text), &set, &why));
    EXPECT_NULL(set);
    return why.text;
}

static const char *folded(const char *const *names, size_t name_n)
{
    static char data[65536];
    struct cas_text out = CAS_TEXT(data);
    cas_text_clear(&out);
    EXPECT_OK(nodeset_fold(names, name_n, &out), NULL);
    EXPECT_FALSE(out.is_cut);
    return data;
}
#define FOLDED(...)                            \
    folded((const char *const[]){__VA_ARGS__}, \
           sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

/* Why: server names carry leading zeros; CAS1 is another machine than CAS01. */
TEST(nodeset, ranges_keep_their_zero_padding)
{
    EXPECT_TEXT_EQ("LON-CAS01 LON-CAS02 LON-CAS03", expanded("LON-CAS[01-03]"));
    EXPECT_TEXT_EQ("n8 n9 n10", expanded("n[8-10]"));
    EXPECT_TEXT_EQ("n08 n09 n10", expanded("n[08-10]"));
    EXPECT_TEXT_EQ("n099 n100", expanded("n[099-100]"));
    EXPECT_TEXT_EQ("n99 n100", expanded("n[99-100]"));
    EXPECT_TEXT_EQ("n09 n10 n99 n100", expanded("n[09-10,99-100]"));
    EXPECT_TEXT_EQ("n0 n00 n1", expanded("n[0,00,1]"));
}

/* Why: what an operator types is a union, and a server named twice must not be recycled twice. */
TEST(nodeset, parts_are_a_union_in_order_of_first_mention)
{
    EXPECT_TEXT_EQ("LON-CAS02 LON-CAS09 NYC-CAS46 NYC-CAS47",
                   expanded("LON-CAS[02,09],NYC-CAS[46-47]"));
    EXPECT_TEXT_EQ("b2 b1 b3 a", expanded("b2,b[1-3] a,\ta"));
    EXPECT_TEXT_EQ("mail.example.net", expanded("  mail.example.net\r\n"));
}

TEST(nodeset, lists_may_stand_anywhere_and_have_steps)
{
    EXPECT_TEXT_EQ("r1n1 r1n2 r2n1 r2n2", expanded("r[1-2]n[1-2]"));
    EXPECT_TEXT_EQ("cas1.lon cas2.lon", expanded("cas[1-2].lon"));
    EXPECT_TEXT_EQ("n0 n3 n6", expanded("n[0-8/3]"));
    EXPECT_TEXT_EQ("1a 2a", expanded("[1-2]a"));
    EXPECT_TEXT_EQ("a1-5b", expanded("a[1]-[5]b"));
    EXPECT_TEXT_EQ("n999999999999999999",
                   expanded("n[999999999999999999-999999999999999999/999999999999999999]"));
}

/* Why: a long node set with one slip in it is only mended quickly when the column is named. */
TEST(nodeset, refusals_name_the_column)
{
    EXPECT_TEXT_EQ("node set, column 8: this [ has no ]", refused(CAS_ERR_FORMAT, "LON-CAS[01-16"));
    EXPECT_TEXT_HAS("column 3: this ] has no [", refused(CAS_ERR_FORMAT, "ab]"));
    EXPECT_TEXT_HAS("column 3: a name is missing here", refused(CAS_ERR_FORMAT, "a,,b"));
    EXPECT_TEXT_HAS("column 3: a name is missing here", refused(CAS_ERR_FORMAT, "a,"));
    EXPECT_TEXT_HAS("column 1: a name is missing here", refused(CAS_ERR_FORMAT, ",a"));
    EXPECT_TEXT_HAS("column 3: a number is expected", refused(CAS_ERR_FORMAT, "a[]"));
    EXPECT_TEXT_HAS("column 5: a number is expected", refused(CAS_ERR_FORMAT, "a[1-]"));
    EXPECT_TEXT_HAS("column 4: inside [ ] only", refused(CAS_ERR_FORMAT, "a[1 ,2]"));
    EXPECT_TEXT_HAS("column 3: both ends", refused(CAS_ERR_FORMAT, "a[01-016]"));
    EXPECT_TEXT_HAS("column 3: both ends", refused(CAS_ERR_FORMAT, "a[1-02]"));
    EXPECT_TEXT_HAS("column 3: this range goes backwards", refused(CAS_ERR_RANGE, "a[16-1]"));
    EXPECT_TEXT_HAS("column 3: a step of 0", refused(CAS_ERR_RANGE, "a[1-5/0]"));
    EXPECT_TEXT_HAS("column 3: a number may have 18 digits",
                    refused(CAS_ERR_RANGE, "a[1234567890123456789]"));
    EXPECT_TEXT_HAS("\"b!\" is no name", refused(CAS_ERR_FORMAT, "a b!"));
    EXPECT_TEXT_HAS("it is empty", refused(CAS_ERR_MISSING, " \t\n"));
    EXPECT_TEXT_HAS("a part may have 4 lists", refused(CAS_ERR_TOO_MANY, "a[1][1][1][1][1]"));
}

TEST(nodeset, a_name_has_at_most_63_characters)
{
    char text[80];
    memset(text, 'a', sizeof text);
    text[63] = '\0';
    EXPECT_TEXT_EQ(text, expanded(text));
    text[63] = 'a';
    text[64] = '\0';
    EXPECT_TEXT_HAS("63 characters", refused(CAS_ERR_FORMAT, text));
    (void)snprintf(text + 62, sizeof text - 62, "[9-10]");
    EXPECT_TEXT_HAS("63 characters", refused(CAS_ERR_FORMAT, text));
}

/* Why: five typed bytes must not cost gigabytes. */
TEST(nodeset, the_size_of_a_set_has_a_limit)
{
    CAS_AUTO(nodeset) set = NULL;
    EXPECT_OK(nodeset_expand(cas_slice_of("n[1-12000]"), &set, NULL), NULL);
    EXPECT_INT_EQ(FLEET_SERVERS, set->name_n);
    EXPECT_TEXT_EQ("n12000", set->name[FLEET_SERVERS - 1]);
    EXPECT_TEXT_HAS("more than 12000 names", refused(CAS_ERR_TOO_MANY, "n[0-12000]"));
    EXPECT_TEXT_HAS("more than 12000 names", refused(CAS_ERR_TOO_MANY, "n[0-999999999999999999]"));
    EXPECT_TEXT_HAS("more than 12000 names",
                    refused(CAS_ERR_TOO_MANY, "[0-99999][0-99999][0-99999][0-99999]"));
    CAS_AUTO(nodeset) again = NULL;
    EXPECT_OK(
        nodeset_expand(cas_slice_of("n[1-12000],n[1-12000],n[1-12000],n[1-12000]"), &again, NULL),
        NULL);
    EXPECT_TEXT_HAS("doubles counted",
                    refused(CAS_ERR_TOO_MANY, "n[1-12000],n[1-12000],n[1-12000],n[1-12000],n1"));

    static char text[NODESET_BYTES + 2];
    memset(text, ' ', NODESET_BYTES);
    text[0] = 'a';
    EXPECT_TEXT_EQ("a", expanded(text));
    text[NODESET_BYTES] = ' ';
    EXPECT_TEXT_HAS("has 65537 bytes, at most 65536", refused(CAS_ERR_TOO_LONG, text));
}

TEST(nodeset, names_fold_into_sorted_ranges)
{
    EXPECT_TEXT_EQ("LON-CAS[01-03]", FOLDED("LON-CAS02", "LON-CAS03", "LON-CAS01", "LON-CAS02"));
    EXPECT_TEXT_EQ("LON-CAS[02,09],NYC-CAS[46-48]",
                   FOLDED("NYC-CAS46", "LON-CAS09", "NYC-CAS47", "LON-CAS02", "NYC-CAS48"));
    EXPECT_TEXT_EQ("n[8-11]", FOLDED("n10", "n9", "n8", "n11"));
    EXPECT_TEXT_EQ("n[08-11]", FOLDED("n10", "n09", "n08", "n11"));
    EXPECT_TEXT_EQ("n[99-101]", FOLDED("n101", "n99", "n100"));
    EXPECT_TEXT_EQ("LON-CAS07", FOLDED("LON-CAS07"));
    EXPECT_TEXT_EQ("alpha,beta", FOLDED("beta", "alpha"));
    EXPECT_TEXT_EQ("", folded(NULL, 0));
}

/* Why: 9 and 09 are two servers, and neither may be lost or doubled by folding. */
TEST(nodeset, mixed_padding_folds_without_loss)
{
    EXPECT_TEXT_EQ("n[9,09-10]", FOLDED("n10", "n09", "n9"));
    EXPECT_TEXT_EQ("n[08,9]", FOLDED("n9", "n08"));
    EXPECT_TEXT_EQ("n[098,99]", FOLDED("n99", "n098"));
    EXPECT_TEXT_EQ("n[0,00,1,01]", FOLDED("n00", "n0", "n01", "n1"));
}

TEST(nodeset, the_number_that_differs_is_folded)
{
    EXPECT_TEXT_EQ("cas[01-02].dc7", FOLDED("cas02.dc7", "cas01.dc7"));
    EXPECT_TEXT_EQ("r1n[1-2],r2n[1-2]", FOLDED("r1n1", "r1n2", "r2n1", "r2n2"));
    EXPECT_TEXT_EQ("n12345678901234567890,n12345678901234567891",
                   FOLDED("n12345678901234567891", "n12345678901234567890"));
}

TEST(nodeset, fold_refuses_what_is_no_name)
{
    char data[64];
    struct cas_text out = CAS_TEXT(data);
    cas_text_clear(&out);
    const char *names[] = {"a", "b,c"};
    EXPECT_ERR(CAS_ERR_FORMAT, nodeset_fold(names, 2, &out));
    EXPECT_ERR(CAS_ERR_TOO_MANY, nodeset_fold(names, FLEET_SERVERS + 1, &out));
    EXPECT_TEXT_EQ("", data);
}

static int by_text(const void *left, const void *right)
{
    return strcmp(left, right);
}

/* How: names of a few shapes, so that many share a prefix, padded and not. */
static void throw_name(struct test_dice *dice, char *ret_name)
{
    static const char *const shapes[] =
        {"n%0*d", "LON-CAS%0*d", "%0*d", "a%0*d.b7", "r1n%0*d", "x%0*d-y%d"};
    const char *shape = shapes[test_below(dice, CAS_COUNT(shapes))];
    int width = (int)test_below(dice, 4);
    int number = (int)test_below(dice, test_below(dice, 2) == 0 ? 12 : 1100);
    char data[CAS_NAME_BYTES];
    struct cas_text out = CAS_TEXT(data);
    cas_text_clear(&out);
    const char *mark = strstr(shape, "%0*d");
    cas_text_add(&out, "%.*s%0*d", (int)(mark - shape), shape, width, number);
    const char *rest = mark + 4;
    const char *second = strstr(rest, "%d");
    if (second == NULL) {
        cas_text_add(&out, "%s", rest);
    } else {
        cas_text_add(&out, "%.*s%d", (int)(second - rest), rest, (int)test_below(dice, 3));
    }
    memcpy(ret_name, data, sizeof data);
}

/* Why: what status prints is typed back into the next command; it must mean the same servers.
 * How: 400 random sets; fold, expand, compare as sets; fold again gives the same text. */
TEST(nodeset, what_is_folded_expands_to_the_same_names)
{
    enum {
        MOST = 300
    };
    static char names[MOST][CAS_NAME_BYTES];
    static char text[65536];
    const char *list[MOST];
    struct test_dice dice = {20261014};
    for (int round = 0; round < 400; round++) {
        size_t name_n = 1 + (size_t)test_below(&dice, round % 10 == 0 ? MOST : 12);
        for (size_t i = 0; i < name_n; i++) {
            throw_name(&dice, names[i]);
            list[i] = names[i];
        }
        (void)snprintf(text, sizeof text, "%s", folded(list, name_n));
        CAS_AUTO(nodeset) set = NULL;
        struct cas_why why = {""};
        EXPECT_OK(nodeset_expand(cas_slice_of(text), &set, &why), &why);
        qsort(names, name_n, sizeof names[0], by_text);
        size_t unique_n = 0;
        for (size_t i = 0; i < name_n; i++) {
            if (unique_n == 0 || strcmp(names[unique_n - 1], names[i]) != 0)
                memmove(names[unique_n++], names[i], sizeof names[0]);
        }
        EXPECT_INT_EQ(unique_n, set->name_n);
        qsort(set->name, set->name_n, sizeof set->name[0], by_text);
        for (size_t i = 0; i < unique_n; i++) {
            EXPECT_TEXT_EQ(names[i], set->name[i]);
            list[i] = set->name[i];
        }
        EXPECT_TEXT_EQ(text, folded(list, unique_n));
    }
}
