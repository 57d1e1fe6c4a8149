#include "tests/unit/test.h"

#include "agent/rights.h"

#define USERS     "S-1-5-32-545"
#define SYSTEM    "S-1-5-18"
#define ADMINS    "S-1-5-32-544"
#define INSTALLER "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
#define CREATOR   "S-1-3-0"
#define FULL      0x001F01FFU
#define MODIFY    0x001301BFU
#define READ      0x001200A9U

static bool is_loose(enum rights_place place, const char *sid, uint32_t mask)
{
    struct rights_row row = {.mask = mask, .sid = sid};
    return rights_row_is_loose(place, &row);
}

/* Why: the package's folder must pass as Windows makes it. How: the lists of C:\, C:\Program Files
 * and what is made there, as icacls shows them. */
TEST(rights, program_files_pass)
{
    const struct {
        enum rights_place place;
        struct rights_row row;
    } rows[] = {
        {RIGHTS_ABOVE, {.sid = USERS, .mask = 0x4}}, /* C:\: anybody may make folders */
        {RIGHTS_ABOVE, {.sid = USERS, .mask = 0x2, .is_for_heirs = true}},
        {RIGHTS_ABOVE, {.sid = CREATOR, .mask = 0x10000000, .is_for_heirs = true}},
        {RIGHTS_ABOVE, {.sid = INSTALLER, .mask = FULL}},
        {RIGHTS_ABOVE, {.sid = SYSTEM, .mask = MODIFY}},
        {RIGHTS_FOLDER, {.sid = USERS, .mask = READ}},
        {RIGHTS_FOLDER, {.sid = "S-1-15-2-1", .mask = READ}},
        {RIGHTS_FOLDER, {.sid = USERS, .mask = 0xA0000000, .is_for_heirs = true}},
        {RIGHTS_FOLDER, {.sid = CREATOR, .mask = 0x10000000, .is_for_heirs = true}},
        {RIGHTS_FOLDER, {.sid = ADMINS, .mask = FULL}},
        {RIGHTS_FILE, {.sid = USERS, .mask = READ}},
        {RIGHTS_FILE, {.sid = "S-1-3-4", .mask = FULL}},
    };
    for (size_t i = 0; i < CAS_COUNT(rows); i++)
        EXPECT_TRUE(!rights_row_is_loose(rows[i].place, &rows[i].row));
}

/* Why: each of these alone is enough to have LocalSystem run something of one's own. */
TEST(rights, every_way_to_change_the_program_is_loose)
{
    static const uint32_t away[] = {0x10000, 0x40000, 0x80000, 0x10000000};
    for (size_t i = 0; i < CAS_COUNT(away); i++) {
        EXPECT_TRUE(is_loose(RIGHTS_FILE, USERS, away[i]));
        EXPECT_TRUE(is_loose(RIGHTS_FOLDER, USERS, away[i]));
        EXPECT_TRUE(is_loose(RIGHTS_ABOVE, USERS, away[i]));
        EXPECT_TRUE(!is_loose(RIGHTS_FOLDER, ADMINS, away[i]));
    }
    static const uint32_t put[] = {0x2, 0x4, 0x40000000};
    for (size_t i = 0; i < CAS_COUNT(put); i++) {
        EXPECT_TRUE(is_loose(RIGHTS_FILE, USERS, put[i]));
        EXPECT_TRUE(is_loose(RIGHTS_FOLDER, USERS, put[i]));
        EXPECT_TRUE(!is_loose(RIGHTS_ABOVE, USERS, put[i]));
    }
    EXPECT_TRUE(is_loose(RIGHTS_FOLDER, USERS, 0x40) && is_loose(RIGHTS_ABOVE, USERS, 0x40));
}

/* Why: who is trusted is a short list; a longer name that begins like one is somebody else. */
TEST(rights, others_and_rules_not_understood_are_loose)
{
    EXPECT_TRUE(is_loose(RIGHTS_FOLDER, CREATOR, FULL));
    EXPECT_TRUE(is_loose(RIGHTS_FOLDER, "S-1-5-180", FULL));
    EXPECT_TRUE(is_loose(RIGHTS_FOLDER, "S-1-5-32-5441", FULL));
    EXPECT_TRUE(is_loose(RIGHTS_FOLDER, "", FULL));
    struct rights_row strange = {.kind = RIGHTS_UNKNOWN, .sid = ""};
    EXPECT_TRUE(rights_row_is_loose(RIGHTS_ABOVE, &strange));
    struct rights_row denial = {.kind = RIGHTS_DENIAL, .sid = USERS, .mask = FULL};
    EXPECT_TRUE(!rights_row_is_loose(RIGHTS_FOLDER, &denial));
}
