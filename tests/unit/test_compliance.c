#include "controller/core/compliance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test.h"

static struct compliance_build build_of(const char *text)
{
    struct compliance_build build = {{0}};
    struct cas_why why = {.text = ""};
    EXPECT_OK(compliance_parse(cas_slice_of(text), &build, &why), &why);
    return build;
}

static const char *name_of(const char *text)
{
    static char name[96];
    struct cas_text out = CAS_TEXT(name);
    struct compliance_build build = build_of(text);
    cas_text_clear(&out);
    compliance_name(&build, &out);
    return name;
}

static enum compliance_fix fix_of(const char *text)
{
    struct compliance_build build = build_of(text);
    return compliance_has_fix(&build);
}

/* Why: a row mistyped or forgotten in the table would call a leaking server safe.
 * How: the published list is kept as it was found, and every field of every row is compared. */
TEST(compliance, the_table_is_the_published_list)
{
    size_t n = 0;
    const struct compliance_row *row = compliance_rows(&n);
    char *list = test_read(test_source("tests/data/exchange-builds.csv"), NULL);
    char *line = strchr(list, '\n') + 1; /* after the heading */
    size_t seen = 0;

    while (*line != '\0') {
        EXPECT_TRUE(seen < n);
        char expected[160];
        char build[48];
        struct cas_text text = CAS_TEXT(build);
        cas_text_clear(&text);
        compliance_text(&row[seen].build, &text);
        (void)snprintf(expected,
                       sizeof expected,
                       "%s,%s,%s,%s,%s",
                       row[seen].product,
                       row[seen].update,
                       row[seen].kind,
                       build,
                       row[seen].released);
        char *end = strchr(line, '\n');
        EXPECT_NOT_NULL(end);
        *end = '\0';
        if (end > line && end[-1] == '\r')
            end[-1] = '\0';
        EXPECT_TEXT_EQ(line, expected);
        line = end + 1;
        seen++;
    }
    EXPECT_UINT_EQ(n, seen);
    EXPECT_UINT_EQ(317, seen);
    free(list);
}

/* Why: finding a build is a binary search, and one row out of order would hide others. */
TEST(compliance, rows_rise_and_each_is_found)
{
    size_t n = 0;
    const struct compliance_row *row = compliance_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            EXPECT_TRUE(compliance_compare(&row[i - 1].build, &row[i].build) < 0);
        const struct compliance_row *below = row;
        const struct compliance_row *above = row;
        EXPECT_TRUE(compliance_find(&row[i].build, &below, &above) == &row[i]);
        EXPECT_NULL(below);
        EXPECT_NULL(above);
        EXPECT_TEXT_EQ(row[i].product, compliance_product(&row[i].build));
    }
}

/* Why: the same build is written in four ways by four tools; none may look like another build. */
TEST(compliance, reads_every_form_a_build_is_written_in)
{
    struct compliance_build plain = build_of("15.1.2507.6");
    static const char *const forms[] = {"15.01.2507.006",
                                        "Version 15.1 (Build 2507.6)",
                                        "Version 15.1 (Build 32507.006)",
                                        "15.1.32507.6"};
    for (size_t i = 0; i < CAS_COUNT(forms); i++) {
        struct compliance_build build = build_of(forms[i]);
        EXPECT_INT_EQ(0, compliance_compare(&plain, &build));
    }
    EXPECT_TEXT_EQ("2016 CU23", name_of("Version 15.1 (Build 32507.006)"));
    EXPECT_TEXT_EQ("2019 CU12", name_of("Version 15.2 (Build 31118.007)"));
    /* Decimal, not octal. */
    EXPECT_UINT_EQ(10, build_of("15.01.1591.010").part[3]);
}

TEST(compliance, refuses_what_is_not_a_build_and_says_which)
{
    static const char *const bad[] = {"",
                                      "15",
                                      "15.1.1591",
                                      "15.1.1591.10.1",
                                      "15.1.1591.",
                                      "15..1591.10",
                                      "15.1.1591.10 ",
                                      "15.1.1591.-1",
                                      "15.1.65536.1",
                                      "15.1.99999999999.1",
                                      "Version 15.1 (Build 1591.10",
                                      "CU11"};
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        struct compliance_build build = {{7, 7, 7, 7}};
        struct cas_why why = {.text = ""};
        EXPECT_ERR(CAS_ERR_FORMAT, compliance_parse(cas_slice_of(bad[i]), &build, &why));
        EXPECT_TEXT_HAS(bad[i], why.text);
        EXPECT_UINT_EQ(7, build.part[0]);
    }
    EXPECT_UINT_EQ(65535, build_of("15.1.1591.65535").part[3]);
}

/* Why: the workaround retires by this answer. The fix came with one build; an update that is 29
 * months younger, on top of an older CU, does not have it. */
TEST(compliance, the_fix_goes_by_build_and_never_by_date)
{
    EXPECT_INT_EQ(COMPLIANCE_HAS, fix_of("15.1.1591.10"));
    EXPECT_INT_EQ(COMPLIANCE_LACKS, fix_of("15.1.1591.9"));
    EXPECT_TEXT_EQ("2016 CU10 Mar21SU", name_of("15.1.1531.12"));
    EXPECT_INT_EQ(COMPLIANCE_LACKS, fix_of("15.1.1531.12"));
    EXPECT_INT_EQ(COMPLIANCE_LACKS, fix_of("15.0.1497.48"));
    EXPECT_INT_EQ(COMPLIANCE_LACKS, fix_of("15.0.9999.9"));
    EXPECT_INT_EQ(COMPLIANCE_HAS, fix_of("15.1.2507.61"));
    EXPECT_INT_EQ(COMPLIANCE_HAS, fix_of("15.2.221.12"));
    EXPECT_INT_EQ(COMPLIANCE_HAS, fix_of("15.2.2562.17"));
    EXPECT_INT_EQ(COMPLIANCE_UNKNOWN, fix_of("14.3.123.4"));
    EXPECT_INT_EQ(COMPLIANCE_UNKNOWN, fix_of("15.3.1.1"));
}

/* Why: an interim update falls between two rows; rounding it would claim a build nobody has. */
TEST(compliance, between_two_rows_names_both_neighbours)
{
    const struct compliance_row *below = NULL;
    const struct compliance_row *above = NULL;
    struct compliance_build build = build_of("15.1.1531.4");
    EXPECT_NULL(compliance_find(&build, &below, &above));
    EXPECT_TEXT_EQ("CU10", below->update);
    EXPECT_TEXT_EQ("CU10 Aug18SU", above->update);
    EXPECT_TEXT_EQ("2016 between CU10 and CU10 Aug18SU", name_of("15.1.1531.4"));
    EXPECT_TEXT_EQ("2016 older than RTM", name_of("15.1.225.16"));
    EXPECT_TEXT_EQ("SE newer than RTM Aug26SU", name_of("15.2.9000.1"));
    EXPECT_TEXT_EQ("not in the list", name_of("14.3.1.1"));
    /* Neighbours are of the same product: nothing of 2013 stands below the first 2016. */
    build = build_of("15.1.1.1");
    EXPECT_NULL(compliance_find(&build, &below, &above));
    EXPECT_NULL(below);
    EXPECT_TEXT_EQ("RTM", above->update);
}

TEST(compliance, se_begins_at_its_own_third_part)
{
    struct compliance_build last_2019 = build_of("15.2.2561.99");
    struct compliance_build first_se = build_of("15.2.2562.0");
    EXPECT_TEXT_EQ("2019", compliance_product(&last_2019));
    EXPECT_TEXT_EQ("SE", compliance_product(&first_se));
}

TEST(compliance, an_update_is_named_as_people_write_it)
{
    static const struct {
        const char *text;
        const char *build;
    } names[] = {{"2016:CU11", "15.1.1591.10"},
                 {"2016:cu23 nov24su", "15.1.2507.43"},
                 {"2016:CU23-Nov24SUv2", "15.1.2507.44"},
                 {"2016:RTM", "15.1.225.42"},
                 {"se:RTM", "15.2.2562.17"},
                 {"15.1.1591.10", "15.1.1591.10"}};
    for (size_t i = 0; i < CAS_COUNT(names); i++) {
        struct compliance_build build = {{0}};
        struct compliance_build expected = build_of(names[i].build);
        struct cas_why why = {.text = ""};
        EXPECT_OK(compliance_named(cas_slice_of(names[i].text), &build, &why), &why);
        EXPECT_INT_EQ(0, compliance_compare(&expected, &build));
    }
}

/* Why: CU110 for CU11 must not become some other selection; the answer shows what there is. */
TEST(compliance, an_unknown_update_is_refused_with_the_nearest)
{
    struct compliance_build build = {{0}};
    struct cas_why why = {.text = ""};
    EXPECT_ERR(CAS_ERR_NOT_FOUND, compliance_named(cas_slice_of("2016:CU24"), &build, &why));
    EXPECT_TEXT_HAS("2016:CU23", why.text);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, compliance_named(cas_slice_of("2016:CU23 Nov24"), &build, &why));
    EXPECT_TEXT_HAS("2016:CU23 Nov24SUv2", why.text);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, compliance_named(cas_slice_of("2016:"), &build, &why));
    EXPECT_ERR(CAS_ERR_NOT_FOUND, compliance_named(cas_slice_of("2010:SP3"), &build, &why));
    EXPECT_TEXT_HAS("2013, 2016, 2019 and SE", why.text);
    EXPECT_ERR(CAS_ERR_FORMAT, compliance_named(cas_slice_of("CU11"), &build, &why));
}
