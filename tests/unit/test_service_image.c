#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "agent/service_image.h"

static char config[OPTIONS_PATH_BYTES];

static enum cas_err read(const char *command)
{
    memset(config, 0, sizeof config);
    return service_image_config(command, config);
}

/* Why: what install wrote must be found again, or an upgrade moves the service to another file. */
TEST(service_image, the_file_install_wrote_is_found_again)
{
    EXPECT_INT_EQ(CAS_OK,
                  read("\"C:\\Program Files\\casfleet\\casfleet-agent.exe\" run --config "
                       "\"D:\\my settings\\agent.ini\""));
    EXPECT_TEXT_EQ("D:\\my settings\\agent.ini", config);
}

/* Why: sc.exe and other hands write such lines too; Wine's installer leaves the quotes away. */
TEST(service_image, lines_of_other_hands_are_read_as_windows_does)
{
    static const struct {
        const char *command;
        const char *config;
    } rows[] = {
        {"C:\\Program Files\\casfleet\\casfleet-agent.exe run --config C:\\a.ini", "C:\\a.ini"},
        {"x.exe --config=C:\\a.ini run", "C:\\a.ini"},
        {"x.exe \"--config=C:\\a b.ini\"", "C:\\a b.ini"},
        {"x.exe\t--config \t C:\\a\" b\".ini ", "C:\\a b.ini"},
        {"x.exe --config \"\\\\server\\a b\\\\\" run", "\\\\server\\a b\\"},
        {"x.exe --config a\\\"b", "a\"b"},
        {"x.exe --config a\\\\\\", "a\\\\\\"},
        {"x.exe --config \"never closed", "never closed"},
    };
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        EXPECT_INT_EQ(CAS_OK, read(rows[i].command));
        EXPECT_TEXT_EQ(rows[i].config, config);
    }
}

TEST(service_image, a_line_without_a_file_names_none)
{
    static const char *const rows[] = {"",
                                       "  ",
                                       "x.exe run",
                                       "x.exe --config",
                                       "x.exe --config \"\"",
                                       "x.exe --config=",
                                       "x.exe --configs a",
                                       "x.exe -- --config a",
                                       "\"x.exe --config a\""};
    for (size_t i = 0; i < CAS_COUNT(rows); i++)
        EXPECT_INT_EQ(CAS_ERR_NOT_FOUND, read(rows[i]));
}

/* Why: a cut path would name another file. How: the longest that fits, and one byte more, behind
 * the blank and behind the equals sign. */
TEST(service_image, a_file_too_long_is_refused_at_its_limit)
{
    char command[2 * OPTIONS_PATH_BYTES];
    for (int extra = 0; extra < 2; extra++) {
        for (int i = 0; i < 2; i++) {
            (void)snprintf(command,
                           sizeof command,
                           "x --config%c%0*d",
                           "= "[i],
                           OPTIONS_PATH_BYTES - 1 + extra,
                           7);
            EXPECT_INT_EQ(extra == 0 ? CAS_OK : CAS_ERR_TOO_LONG, read(command));
        }
        EXPECT_INT_EQ(extra == 0 ? OPTIONS_PATH_BYTES - 1 : 0, (long)strlen(config));
    }
}
