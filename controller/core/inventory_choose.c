#include "controller/core/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "controller/core/inventory_inside.h"
#include "proto/base/nodeset.h"

enum {
    TERMS_MOST = 16
};
enum term_what {
    TERM_LABEL,
    TERM_BUILD,
    TERM_PRODUCT,
    TERM_STATE,
    TERM_FIX
};
enum term_op {
    OP_EQUAL,
    OP_NOT,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_MORE,
    OP_MORE_EQUAL
};

struct term {
    enum term_what what;
    enum term_op op;
    enum inventory_label label;
    struct cas_slice value;
    struct compliance_build build;
};
struct terms {
    struct term item[TERMS_MOST];
    size_t n;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_alike(struct cas_slice a, const char *b)
{
    if (a.size != strlen(b))
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b[i]))
            return false;
    }
    return true;
}

static const char *fix_words(enum compliance_fix fix)
{
    switch (fix) {
    case COMPLIANCE_HAS:
        return "has";
    case COMPLIANCE_LACKS:
        return "lacks";
    case COMPLIANCE_UNKNOWN:
        break;
    }
    return "unknown";
}

static bool is_service(struct cas_slice value)
{
    for (int service = SERVICE_UP; service <= SERVICE_UNPROBED; service++) {
        if (is_alike(value, inventory_service_words((enum inventory_service)service)))
            return true;
    }
    return false;
}

static bool find_what(struct cas_slice key, struct term *term)
{
    for (int label = 0; label < LABEL_N; label++) {
        if (is_alike(key, inventory_label_name((enum inventory_label)label))) {
            term->what = TERM_LABEL;
            term->label = (enum inventory_label)label;
            return true;
        }
    }
    static const struct {
        const char *key;
        enum term_what what;
    } facts[] = {{"build", TERM_BUILD},
                 {"product", TERM_PRODUCT},
                 {"state", TERM_STATE},
                 {"fix", TERM_FIX}};
    for (size_t i = 0; i < CAS_COUNT(facts); i++) {
        if (is_alike(key, facts[i].key)) {
            term->what = facts[i].what;
            return true;
        }
    }
    return false;
}

/* The operator at the front of rest; returns its length, 0 when there is none. */
static size_t find_op(struct cas_slice rest, enum term_op *ret_op)
{
    static const struct {
        const char *sign;
        enum term_op op;
    } ops[] = {{"!=", OP_NOT},
               {"<=", OP_LESS_EQUAL},
               {">=", OP_MORE_EQUAL},
               {"<", OP_LESS},
               {">", OP_MORE},
               {"=", OP_EQUAL}};
    for (size_t i = 0; i < CAS_COUNT(ops); i++) {
        size_t size = strlen(ops[i].sign);
        if (rest.size >= size && memcmp(rest.data, ops[i].sign, size) == 0) {
            *ret_op = ops[i].op;
            return size;
        }
    }
    return 0;
}

static enum cas_err check_value(struct term *term, size_t column, struct cas_why *why)
{
    int shown = (int)(term->value.size < 60 ? term->value.size : 60);

    if (term->value.size == 0)
        return cas_fail(why, CAS_ERR_FORMAT, "selector, column %zu: a value is missing", column);
    if (term->what == TERM_BUILD)
        return compliance_named(term->value, &term->build, why);
    if (term->op != OP_EQUAL && term->op != OP_NOT)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "selector, column %zu: only build has an order; use = or !=",
                        column);
    if (term->what == TERM_STATE && !is_service(term->value))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "selector, column %zu: \"%.*s\" is no state; they are up, revoked, silent, "
                        "drained, maintenance, sick and unprobed",
                        column,
                        shown,
                        term->value.data);
    if (term->what == TERM_FIX && !is_alike(term->value, "has") &&
        !is_alike(term->value, "lacks") && !is_alike(term->value, "unknown"))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "selector, column %zu: fix is has, lacks or unknown, not \"%.*s\"",
                        column,
                        shown,
                        term->value.data);
    if (term->what == TERM_PRODUCT && !is_alike(term->value, "2013") &&
        !is_alike(term->value, "2016") && !is_alike(term->value, "2019") &&
        !is_alike(term->value, "SE"))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "selector, column %zu: product is 2013, 2016, 2019 or SE, not \"%.*s\"",
                        column,
                        shown,
                        term->value.data);
    return CAS_OK;
}

static struct cas_slice trimmed(struct cas_slice text, size_t from, size_t until)
{
    while (from < until && text.data[from] == ' ')
        from++;
    while (until > from && text.data[until - 1] == ' ')
        until--;
    return (struct cas_slice){text.data + from, until - from};
}

static enum cas_err read_term(struct cas_slice text,
                              size_t from,
                              size_t until,
                              struct term *ret_term,
                              struct cas_why *why)
{
    struct term term = {0};
    size_t at = from;
    size_t op_size = 0;
    while (at < until && op_size == 0) {
        op_size = find_op((struct cas_slice){text.data + at, until - at}, &term.op);
        if (op_size == 0)
            at++;
    }
    if (op_size == 0)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "selector, column %zu: expected KEY=VALUE, as site=LON or build<2016:CU11",
                        from + 1);

    struct cas_slice key = trimmed(text, from, at);
    if (!find_what(key, &term))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "selector, column %zu: \"%.*s\" is not one of site, role, dag, pool, "
                        "build, product, state and fix",
                        from + 1,
                        (int)(key.size < 60 ? key.size : 60),
                        key.data);
    term.value = trimmed(text, at + op_size, until);
    enum cas_err err = check_value(&term, at + op_size + 1, why);
    if (err != CAS_OK)
        return err;
    *ret_term = term;
    return CAS_OK;
}

static enum cas_err read_terms(struct cas_slice text, struct terms *terms, struct cas_why *why)
{
    size_t from = 0;
    while (from < text.size) {
        size_t until = from;
        while (until < text.size && text.data[until] != ',')
            until++;
        if (terms->n >= TERMS_MOST)
            return cas_fail(why,
                            CAS_ERR_TOO_MANY,
                            "selector, column %zu: more than %d conditions",
                            from + 1,
                            TERMS_MOST);
        enum cas_err err = read_term(text, from, until, &terms->item[terms->n], why);
        if (err != CAS_OK)
            return err;
        terms->n++;
        from = until + 1;
    }
    return CAS_OK;
}

static bool is_in_order(enum term_op op, int order)
{
    switch (op) {
    case OP_EQUAL:
        return order == 0;
    case OP_NOT:
        return order != 0;
    case OP_LESS:
        return order < 0;
    case OP_LESS_EQUAL:
        return order <= 0;
    case OP_MORE:
        return order > 0;
    case OP_MORE_EQUAL:
        return order >= 0;
    }
    return false;
}

static bool
fits_term(const struct inventory_server *server, const struct term *term, int64_t mono_ms)
{
    const char *has = NULL;
    switch (term->what) {
    case TERM_LABEL:
        has = server->label[term->label];
        break;
    case TERM_BUILD:
        /* A build that is not known is neither below nor above, nor different. */
        return server->has_build &&
               is_in_order(term->op, compliance_compare(&server->build, &term->build));
    case TERM_PRODUCT:
        has = server->has_build ? compliance_product(&server->build) : NULL;
        if (has == NULL)
            return false;
        break;
    case TERM_STATE:
        has = inventory_service_words(inventory_service_of(server, mono_ms));
        break;
    case TERM_FIX:
        has =
            fix_words(server->has_build ? compliance_has_fix(&server->build) : COMPLIANCE_UNKNOWN);
        break;
    }
    return is_alike(term->value, has) == (term->op == OP_EQUAL);
}

/* Marks the positions of all names; one that is not there is an error, also where it would only be
 * left out: a mistyped name must not be acted on. */
static enum cas_err mark_names(const struct inventory *inventory,
                               struct cas_slice text,
                               bool *mark,
                               bool *ret_is_blank,
                               struct cas_why *why)
{
    *ret_is_blank = false;
    CAS_AUTO(nodeset) set = NULL;
    struct cas_why inner = {.text = ""};
    enum cas_err err = nodeset_expand(text, &set, &inner);
    if (err == CAS_ERR_MISSING) {
        *ret_is_blank = true;
        return CAS_OK;
    }
    if (err != CAS_OK)
        return cas_fail(why,
                        err,
                        "\"%.*s\": %s",
                        (int)(text.size < 60 ? text.size : 60),
                        text.data,
                        inner.text);
    for (size_t i = 0; i < set->name_n; i++) {
        bool is_there = false;
        size_t place = inventory_place(inventory, cas_slice_of(set->name[i]), &is_there);
        if (!is_there)
            return cas_fail(why, CAS_ERR_NOT_FOUND, "no server is called %s", set->name[i]);
        mark[place] = true;
    }
    return CAS_OK;
}

static enum cas_err mark_chosen(const struct inventory *inventory,
                                const struct inventory_choice *choice,
                                bool *chosen,
                                bool *left_out,
                                struct cas_why *why)
{
    bool is_blank = choice->targets.size == 0 || is_alike(choice->targets, "all");
    enum cas_err err = CAS_OK;
    if (!is_blank)
        err = mark_names(inventory, choice->targets, chosen, &is_blank, why);
    if (err != CAS_OK)
        return err;
    if (is_blank)
        memset(chosen, true, inventory->size * sizeof *chosen);
    bool is_none = choice->exclude.size == 0;
    return is_none ? CAS_OK : mark_names(inventory, choice->exclude, left_out, &is_none, why);
}

enum cas_err inventory_choose(const struct inventory *inventory,
                              const struct inventory_choice *choice,
                              int64_t mono_ms,
                              size_t *ret_at,
                              size_t *ret_n,
                              struct cas_why *why)
{
    struct terms terms = {.n = 0};
    struct cas_why inner = {.text = ""};
    enum cas_err err = read_terms(choice->selector, &terms, &inner);
    if (err != CAS_OK)
        /* A build nobody knows is a word mistyped, not a choice that fits nothing. */
        return cas_fail(why, err == CAS_ERR_NOT_FOUND ? CAS_ERR_RANGE : err, "%s", inner.text);

    bool *mark = calloc(2 * inventory->size + 1, sizeof *mark);
    if (mark == NULL)
        return CAS_ERR_NOMEM;
    err = mark_chosen(inventory, choice, mark, mark + inventory->size, why);
    size_t n = 0;
    for (size_t i = 0; err == CAS_OK && i < inventory->size; i++) {
        bool is_fitting = mark[i] && !mark[inventory->size + i];
        for (size_t t = 0; is_fitting && t < terms.n; t++)
            is_fitting = fits_term(inventory->ordered[i], &terms.item[t], mono_ms);
        if (is_fitting)
            ret_at[n++] = i;
    }
    free(mark);
    if (err != CAS_OK)
        return err;
    if (n == 0)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "none of %zu servers fits%s%.*s",
                        inventory->size,
                        choice->selector.size > 0 ? " " : "",
                        (int)(choice->selector.size < 200 ? choice->selector.size : 200),
                        choice->selector.size > 0 ? choice->selector.data : "");
    *ret_n = n;
    return CAS_OK;
}

void inventory_fold(const struct inventory *inventory,
                    const size_t *at,
                    size_t n,
                    struct cas_text *text)
{
    const char **names = calloc(n + 1, sizeof *names);
    if (names != NULL) {
        for (size_t i = 0; i < n; i++)
            names[i] = inventory->ordered[at[i]]->name;
        if (nodeset_fold(names, n, text) == CAS_OK) {
            free(names);
            return;
        }
    }
    /* Without memory the names still come out, only not folded. */
    for (size_t i = 0; i < n; i++)
        cas_text_add(text, "%s%s", i == 0 ? "" : ",", inventory->ordered[at[i]]->name);
    free(names);
}
