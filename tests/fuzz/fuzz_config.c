/* Any bytes as a configuration; what is taken can be shown. */
#include "tests/fuzz/fuzz.h"

#include "proto/base/options.h"

#define TABLE(OPTION)                                    \
    OPTION(controller, TEXT, "", 0, 200, "text")         \
    OPTION(key_file, PATH, "agent.key", 1, 1000, "path") \
    OPTION(sample, SPAN, "15s", 1000, 3600000, "span")   \
    OPTION(at_once, COUNT, "1", -64, 64, "count")        \
    OPTION(drain, FLAG, "off", 0, 1, "flag")             \
    OPTION(pools, LIST, "A", 0, 16, "list")

#define MEMBER(name, kind, preset, least, most, words) OPTIONS_MEMBER_##kind(name)
#define ROW(name, kind, preset, least, most, words) \
    OPTIONS_ROW(struct fuzz_options, name, kind, preset, least, most, words),

struct fuzz_options {
    TABLE(MEMBER)
};
static const struct options_row rows[] = {TABLE(ROW)};
static const struct options_program program = {"fuzz", "", "", "", rows, CAS_COUNT(rows)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_options options;
    static char shown[CONFIG_BYTES];
    struct cas_text out = CAS_TEXT(shown);
    struct cas_why why = {""};
    if (size > CONFIG_BYTES)
        return 0;
    struct cas_slice text = {(const char *)data, size};
    enum cas_err err = options_parse(&program, "fuzz.ini", text, &options, &why);
    CAS_ASSERT((err == CAS_OK) == (why.text[0] == '\0'));
    cas_text_clear(&out);
    if (err == CAS_OK)
        options_show(&program, &options, &out);
    return 0;
}
