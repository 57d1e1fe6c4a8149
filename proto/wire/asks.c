#include "proto/wire/asks.h"

struct ask_row {
    const char *name;
    const char *words;
    enum ask_role role;
};

static const struct ask_row rows[] = {
#define ASK(symbol, spelled, role_name, text) \
    [ASK_##symbol] = {.name = (spelled), .words = (text), .role = ASK_##role_name},
#include "proto/wire/asks.def"
#undef ASK
};

static const struct ask_row *row_of(enum ask_verb verb)
{
    size_t at = (size_t)verb;
    return at > 0 && at < CAS_COUNT(rows) ? &rows[at] : NULL;
}

enum ask_verb ask_from(struct cas_slice name)
{
    for (size_t at = 1; at < CAS_COUNT(rows); at++) {
        if (cas_slice_is(name, rows[at].name))
            return (enum ask_verb)at;
    }
    return ASK_NONE;
}

const char *ask_name(enum ask_verb verb)
{
    const struct ask_row *row = row_of(verb);
    return row != NULL ? row->name : NULL;
}

const char *ask_words(enum ask_verb verb)
{
    const struct ask_row *row = row_of(verb);
    return row != NULL ? row->words : NULL;
}

enum ask_role ask_role(enum ask_verb verb)
{
    const struct ask_row *row = row_of(verb);
    return row != NULL ? row->role : ASK_NEVER;
}

bool ask_is_allowed(enum ask_role has, enum ask_verb verb)
{
    if (has < ASK_VIEWER || has > ASK_ADMIN)
        return false;
    return has >= ask_role(verb);
}

const char *ask_role_name(enum ask_role role)
{
    switch (role) {
    case ASK_VIEWER:
        return "viewer";
    case ASK_OPERATOR:
        return "operator";
    case ASK_ADMIN:
        return "admin";
    case ASK_NOBODY:
    case ASK_NEVER:
        break;
    }
    return NULL;
}

enum ask_role ask_role_from(struct cas_slice name)
{
    for (enum ask_role role = ASK_VIEWER; role <= ASK_ADMIN; role++) {
        if (cas_slice_is(name, ask_role_name(role)))
            return role;
    }
    return ASK_NOBODY;
}
