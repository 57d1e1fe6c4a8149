#include "controller/core/compliance.h"

#include <string.h>

/* Which minor number is which product, where SE begins, and the directory's 30000: CSS-Exchange,
 * Shared/Get-ExchangeBuildVersionInformation.ps1, and Microsoft's OfficeDocs-Support,
 * setup/version-error-in-recover-server-mode-install.md. The fix: Microsoft KB 4456227. */
enum {
    COMPLIANCE_MAJOR = 15,
    COMPLIANCE_SE_FROM = 2562,
    COMPLIANCE_DIRECTORY = 30000,
    COMPLIANCE_PART_MOST = 65535,
    COMPLIANCE_NEAREST = 3,
};

static const struct compliance_row rows[] = {
#define BUILD(product, update, kind, a, b, c, d, released) \
    {product, update, #kind, {{a, b, c, d}}, released},
#include "controller/core/exchange_builds.def"
#undef BUILD
};

const struct compliance_row *compliance_rows(size_t *ret_n)
{
    *ret_n = CAS_COUNT(rows);
    return rows;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Takes `words` off the front of *rest, blind to case; false leaves it. */
static bool take_words(struct cas_slice *rest, const char *words)
{
    size_t size = strlen(words);
    if (rest->size < size)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (lower(rest->data[i]) != lower(words[i]))
            return false;
    }
    rest->data += size;
    rest->size -= size;
    return true;
}

static bool take_part(struct cas_slice *rest, uint32_t *ret_part)
{
    uint32_t part = 0;
    size_t used = 0;
    while (used < rest->size && is_digit(rest->data[used])) {
        part = part * 10 + (uint32_t)(rest->data[used] - '0');
        used++;
        if (part > COMPLIANCE_PART_MOST)
            return false;
    }
    if (used == 0)
        return false;
    rest->data += used;
    rest->size -= used;
    *ret_part = part;
    return true;
}

static bool take_parts(struct cas_slice *rest, const char *between, uint32_t *ret_part)
{
    return take_part(rest, &ret_part[0]) && take_words(rest, ".") &&
           take_part(rest, &ret_part[1]) && take_words(rest, between) &&
           take_part(rest, &ret_part[2]) && take_words(rest, ".") && take_part(rest, &ret_part[3]);
}

enum cas_err
compliance_parse(struct cas_slice text, struct compliance_build *ret_build, struct cas_why *why)
{
    struct cas_slice rest = text;
    struct compliance_build build = {0};
    bool is_long = take_words(&rest, "Version ");
    bool is_good = is_long ? take_parts(&rest, " (Build ", build.part) && take_words(&rest, ")")
                           : take_parts(&rest, ".", build.part);

    if (!is_good || rest.size != 0)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "\"%.*s\" is not a build: four numbers of at most %d, as 15.1.1591.10",
                        (int)(text.size < 80 ? text.size : 80),
                        text.size == 0 ? "" : text.data,
                        COMPLIANCE_PART_MOST);
    if (build.part[2] >= COMPLIANCE_DIRECTORY)
        build.part[2] -= COMPLIANCE_DIRECTORY;
    *ret_build = build;
    return CAS_OK;
}

int compliance_compare(const struct compliance_build *a, const struct compliance_build *b)
{
    for (size_t i = 0; i < CAS_COUNT(a->part); i++) {
        if (a->part[i] != b->part[i])
            return a->part[i] < b->part[i] ? -1 : 1;
    }
    return 0;
}

void compliance_text(const struct compliance_build *build, struct cas_text *text)
{
    cas_text_add(text,
                 "%u.%u.%u.%u",
                 build->part[0],
                 build->part[1],
                 build->part[2],
                 build->part[3]);
}

const char *compliance_product(const struct compliance_build *build)
{
    if (build->part[0] != COMPLIANCE_MAJOR)
        return NULL;
    switch (build->part[1]) {
    case 0:
        return "2013";
    case 1:
        return "2016";
    case 2:
        return build->part[2] >= COMPLIANCE_SE_FROM ? "SE" : "2019";
    default:
        return NULL;
    }
}

/* Letters and digits must agree; a blank may be typed as '-' or '_'. Returns how many agree. */
static size_t agreeing(struct cas_slice typed, const char *update)
{
    size_t i = 0;
    while (i < typed.size && update[i] != '\0') {
        char c = typed.data[i];
        if (c == '-' || c == '_')
            c = ' ';
        if (lower(c) != lower(update[i]))
            break;
        i++;
    }
    return i;
}

static enum cas_err no_such_update(const char *product,
                                   struct cas_slice update,
                                   struct cas_slice text,
                                   struct cas_why *why)
{
    const struct compliance_row *nearest[COMPLIANCE_NEAREST] = {NULL};
    size_t most = 0;
    bool is_cu = memchr(update.data, ' ', update.size) == NULL &&
                 memchr(update.data, '-', update.size) == NULL;

    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        if (strcmp(rows[i].product, product) != 0)
            continue;
        if (is_cu && strchr(rows[i].update, ' ') != NULL)
            continue;
        size_t agree = agreeing(update, rows[i].update);
        if (agree < most)
            continue;
        if (agree > most) {
            memset(nearest, 0, sizeof nearest);
            most = agree;
        }
        memmove(nearest, nearest + 1, sizeof nearest - sizeof nearest[0]);
        nearest[COMPLIANCE_NEAREST - 1] = &rows[i];
    }

    char names[128];
    struct cas_text list = CAS_TEXT(names);
    cas_text_clear(&list);
    for (size_t i = 0; i < COMPLIANCE_NEAREST; i++) {
        if (nearest[i] != NULL)
            cas_text_add(&list, "%s%s:%s", list.used == 0 ? "" : ", ", product, nearest[i]->update);
    }
    return cas_fail(why,
                    CAS_ERR_NOT_FOUND,
                    "\"%.*s\" is not in the list of builds; the nearest are %s",
                    (int)(text.size < 80 ? text.size : 80),
                    text.data,
                    names);
}

enum cas_err
compliance_named(struct cas_slice text, struct compliance_build *ret_build, struct cas_why *why)
{
    static const char *const products[] = {"2013", "2016", "2019", "SE"};

    if (text.size == 0 || memchr(text.data, ':', text.size) == NULL)
        return compliance_parse(text, ret_build, why);
    for (size_t p = 0; p < CAS_COUNT(products); p++) {
        struct cas_slice rest = text;
        if (!take_words(&rest, products[p]) || !take_words(&rest, ":"))
            continue;
        for (size_t i = 0; i < CAS_COUNT(rows); i++) {
            if (strcmp(rows[i].product, products[p]) == 0 && rest.size == strlen(rows[i].update) &&
                agreeing(rest, rows[i].update) == rest.size) {
                *ret_build = rows[i].build;
                return CAS_OK;
            }
        }
        return no_such_update(products[p], rest, text, why);
    }
    return cas_fail(why,
                    CAS_ERR_NOT_FOUND,
                    "\"%.*s\" names no product; they are 2013, 2016, 2019 and SE, as in 2016:CU11",
                    (int)(text.size < 80 ? text.size : 80),
                    text.data);
}

const struct compliance_row *compliance_find(const struct compliance_build *build,
                                             const struct compliance_row **ret_below,
                                             const struct compliance_row **ret_above)
{
    size_t low = 0;
    size_t high = CAS_COUNT(rows);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compliance_compare(&rows[middle].build, build) < 0)
            low = middle + 1;
        else
            high = middle;
    }

    const char *product = compliance_product(build);
    const struct compliance_row *at = low < CAS_COUNT(rows) ? &rows[low] : NULL;
    bool is_row = at != NULL && compliance_compare(&at->build, build) == 0;
    const struct compliance_row *below = low > 0 && !is_row ? &rows[low - 1] : NULL;
    const struct compliance_row *above = is_row ? NULL : at;
    if (below != NULL && (product == NULL || strcmp(below->product, product) != 0))
        below = NULL;
    if (above != NULL && (product == NULL || strcmp(above->product, product) != 0))
        above = NULL;
    if (ret_below != NULL)
        *ret_below = below;
    if (ret_above != NULL)
        *ret_above = above;
    return is_row ? at : NULL;
}

void compliance_name(const struct compliance_build *build, struct cas_text *text)
{
    const struct compliance_row *below = NULL;
    const struct compliance_row *above = NULL;
    const struct compliance_row *row = compliance_find(build, &below, &above);
    const char *product = compliance_product(build);

    if (row != NULL)
        cas_text_add(text, "%s %s", row->product, row->update);
    else if (product == NULL)
        cas_text_add(text, "not in the list");
    else if (below != NULL && above != NULL)
        cas_text_add(text, "%s between %s and %s", product, below->update, above->update);
    else if (below != NULL)
        cas_text_add(text, "%s newer than %s", product, below->update);
    else
        cas_text_add(text, "%s older than %s", product, above == NULL ? "all" : above->update);
}

enum compliance_fix compliance_has_fix(const struct compliance_build *build)
{
    static const struct compliance_build first_fixed = {{15, 1, 1591, 10}};
    const char *product = compliance_product(build);

    if (product == NULL)
        return COMPLIANCE_UNKNOWN;
    if (build->part[1] == 0)
        return COMPLIANCE_LACKS;
    if (build->part[1] == 1)
        return compliance_compare(build, &first_fixed) >= 0 ? COMPLIANCE_HAS : COMPLIANCE_LACKS;
    return COMPLIANCE_HAS;
}
