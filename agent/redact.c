#include "agent/redact.h"

#include <ctype.h>
#include <string.h>

static char lower(char letter)
{
    return (char)tolower((unsigned char)letter);
}

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* What a name may be made of; bytes beyond ASCII are letters. */
static bool is_label(char letter)
{
    unsigned char byte = (unsigned char)letter;
    return byte >= 0x80 || isalnum(byte) != 0 || letter == '-' || letter == '_' || letter == '$';
}

static bool is_same(struct cas_slice text, const char *name)
{
    if (text.size != strlen(name))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (lower(text.data[i]) != lower(name[i]))
            return false;
    }
    return true;
}

static struct cas_slice part(struct cas_slice text, size_t from, size_t to)
{
    return (struct cas_slice){text.data + from, to - from};
}

/* ---- what is known ---- */

static struct redact_name *find(struct redact *redact, struct cas_slice name)
{
    for (size_t i = 0; i < redact->name_n; i++) {
        if (is_same(name, redact->name[i].name))
            return &redact->name[i];
    }
    return NULL;
}

/* NULL when there is no room. number 0: a new one. */
static struct redact_name *
add(struct redact *redact, enum redact_kind kind, struct cas_slice name, unsigned number)
{
    struct redact_name *known = find(redact, name);
    if (known != NULL)
        return known;
    if (redact->name_n == REDACT_NAMES || name.size >= REDACT_NAME_BYTES)
        return NULL;
    known = &redact->name[redact->name_n++];
    known->kind = kind;
    known->number = number > 0 ? number : ++redact->number_n[kind];
    memcpy(known->name, name.data, name.size);
    known->name[name.size] = '\0';
    return known;
}

void redact_know(struct redact *redact, enum redact_kind kind, const char *name)
{
    struct cas_slice whole = cas_slice_of(name);
    if (whole.size < 2 || whole.size >= REDACT_NAME_BYTES)
        return;
    struct redact_name *known = add(redact, kind, whole, 0);
    const char *dot = strchr(name, '.');
    if (known == NULL || kind != REDACT_HOST || dot == NULL)
        return;
    /* The short name is the same server; the domain is another name. */
    struct cas_slice first = part(whole, 0, (size_t)(dot - name));
    if (first.size > 1)
        (void)add(redact, kind, first, known->number);
    if (strlen(dot + 1) > 1)
        (void)add(redact, kind, cas_slice_of(dot + 1), 0);
}

/* LON-CAS01$ is the server's own account: the name with a dollar behind it. */
static bool is_word_end(struct cas_slice text, size_t end)
{
    size_t behind = end < text.size && text.data[end] == '$' ? end + 1 : end;
    return behind == text.size || !is_label(text.data[behind]);
}

/* The longest known name that stands at this place as a word; 0: none. */
static size_t known_size(const struct redact *redact, struct cas_slice text, size_t at)
{
    size_t longest = 0;
    if (at > 0 && is_label(text.data[at - 1]))
        return 0;
    for (size_t i = 0; i < redact->name_n; i++) {
        size_t size = strlen(redact->name[i].name);
        if (size <= longest || size > text.size - at)
            continue;
        if (is_word_end(text, at + size) &&
            is_same(part(text, at, at + size), redact->name[i].name))
            longest = size;
    }
    return longest;
}

/* ---- what looks like a name ---- */

static size_t run_of(struct cas_slice text, size_t at, bool (*is_of)(char letter))
{
    size_t to = at;
    while (to < text.size && is_of(text.data[to]))
        to++;
    return to - at;
}

static bool is_hex_or_colon(char letter)
{
    return isxdigit((unsigned char)letter) != 0 || letter == ':' || letter == '.' || letter == '%';
}

static bool is_dotted(char letter)
{
    return is_label(letter) || letter == '.';
}

static size_t ipv4_size(struct cas_slice text, size_t at)
{
    size_t to = at;
    for (int octet = 0; octet < 4; octet++) {
        size_t digits = run_of(text, to, is_digit);
        unsigned value = 0;
        for (size_t i = 0; i < digits && i < 4; i++)
            value = value * 10 + (unsigned)(text.data[to + i] - '0');
        if (digits == 0 || digits > 3 || value > 255)
            return 0;
        to += digits;
        if (octet < 3 && (to >= text.size || text.data[to++] != '.'))
            return 0;
    }
    bool goes_on = to < text.size && is_label(text.data[to]);
    return goes_on ? 0 : to - at;
}

/* At least two colons, and a digit or letter: times of day have no more than one colon pair, and no
 * letter and no empty group. */
static size_t ipv6_size(struct cas_slice text, size_t at)
{
    size_t size = run_of(text, at, is_hex_or_colon);
    while (size > 0 && (text.data[at + size - 1] == '.' || text.data[at + size - 1] == '%'))
        size--;
    size_t colons = 0;
    bool has_double = false;
    bool has_letter = false;
    bool has_digit = false;
    for (size_t i = at; i < at + size; i++) {
        colons += text.data[i] == ':' ? 1 : 0;
        has_double = has_double || (i > at && text.data[i] == ':' && text.data[i - 1] == ':');
        has_letter = has_letter || isalpha((unsigned char)text.data[i]) != 0;
        has_digit = has_digit || is_digit(text.data[i]);
    }
    bool is_whole = at + size == text.size || !is_label(text.data[at + size]);
    bool is_address = colons >= 2 && is_whole && (has_letter || has_digit) &&
                      (has_double || colons == 7 || (has_letter && colons > 2));
    return is_address ? size : 0;
}

/* mail.contoso.com; a number in the last label is a version, not a name. */
static size_t dotted_size(struct cas_slice text, size_t at)
{
    size_t size = run_of(text, at, is_dotted);
    while (size > 0 && text.data[at + size - 1] == '.')
        size--;
    size_t dots = 0;
    size_t last = at;
    for (size_t i = at; i < at + size; i++) {
        if (text.data[i] == '.') {
            dots++;
            last = i + 1;
        }
    }
    size_t letters = 0;
    for (size_t i = last; i < at + size; i++)
        letters += isalpha((unsigned char)text.data[i]) != 0 ? 1 : 0;
    return dots >= 2 && letters == at + size - last && letters >= 2 ? size : 0;
}

static bool is_behind(struct cas_slice text, size_t at, const char *mark)
{
    size_t size = strlen(mark);
    return at >= size && is_same(part(text, at - size, at), mark);
}

struct found {
    size_t size;
    enum redact_kind kind;
};

static struct found of_kind(size_t size, enum redact_kind kind)
{
    return (struct found){size, kind};
}

/* Roots of the registry and of objects, and accounts every Windows has: no secrets. */
static bool is_root(struct cas_slice name)
{
    static const char *const roots[] =
        {"HKLM", "HKEY_LOCAL_MACHINE", "HKCU", "ROOT", "Global", "BUILTIN", "AUTHORITY"};
    for (size_t i = 0; i < CAS_COUNT(roots); i++) {
        if (is_same(name, roots[i]))
            return true;
    }
    return false;
}

/* The end of a counter's object, as in \MSExchange ActiveSync\Requests/sec. */
static bool is_counter_object(struct cas_slice text, size_t end)
{
    static const char *const objects[] = {
#define COUNTER(name, object, counter) object,
#include "agent/host/capture_counters.def"
#undef COUNTER
    };
    for (size_t i = 0; i < CAS_COUNT(objects); i++) {
        size_t size = strlen(objects[i]);
        if (end > size && is_behind(text, end, objects[i]) && text.data[end - size - 1] == '\\')
            return true;
    }
    return false;
}

/* user in DOMAIN\user, user@domain and below a folder of users; the domain of the first is a name
 * too. A path's parts are not: what is before the backslash is then no word at its start. */
static struct found account_at(struct cas_slice text, size_t at)
{
    size_t size = run_of(text, at, is_dotted);
    char next = at + size < text.size ? text.data[at + size] : '\0';
    char after = at + size + 1 < text.size ? text.data[at + size + 1] : '\0';
    if (size == 0)
        return of_kind(0, REDACT_USER);
    if (next == '@' && is_dotted(after))
        return of_kind(size, REDACT_USER);
    if (at > 0 && text.data[at - 1] == '@')
        return of_kind(size, REDACT_HOST);
    if (is_behind(text, at, "\\Users\\") || is_behind(text, at, "/home/"))
        return of_kind(size, REDACT_USER);
    if (is_behind(text, at, "\\\\") || is_behind(text, at, "//"))
        return of_kind(size, REDACT_HOST);
    bool is_drive = at > 1 && text.data[at - 1] == ':' &&
                    isalpha((unsigned char)text.data[at - 2]) != 0 &&
                    (at == 2 || !is_label(text.data[at - 3]));
    bool is_inside_path =
        at > 0 && (text.data[at - 1] == '\\' || text.data[at - 1] == '/' || is_drive);
    bool is_harmless =
        is_inside_path || is_root(part(text, at, at + size)) || is_counter_object(text, at + size);
    if (next == '\\' && is_label(after) && !is_harmless)
        return of_kind(size, REDACT_HOST);
    return of_kind(0, REDACT_USER);
}

/* The user behind a domain whose place is known: DOMAIN\user. */
static bool is_behind_domain(struct cas_slice text, size_t at, size_t domain_end)
{
    return domain_end > 0 && at == domain_end + 1 && text.data[domain_end] == '\\';
}

static struct found found_at(struct cas_slice text, size_t at)
{
    if (at > 0 && is_label(text.data[at - 1]))
        return of_kind(0, REDACT_HOST);
    size_t size = ipv4_size(text, at);
    if (size == 0)
        size = ipv6_size(text, at);
    if (size > 0)
        return of_kind(size, REDACT_ADDRESS);
    struct found account = account_at(text, at);
    if (account.size > 0)
        return account;
    bool is_dotted_before = at > 0 && text.data[at - 1] == '.';
    return of_kind(is_dotted_before ? 0 : dotted_size(text, at), REDACT_HOST);
}

static void
put(struct redact *redact, enum redact_kind kind, struct cas_slice name, struct cas_text *out)
{
    static const char *const words[REDACT_KIND_N] = {"host", "user", "ip"};
    const struct redact_name *known = add(redact, kind, name, 0);
    if (known != NULL)
        cas_text_add(out, "%s-%u", words[known->kind], known->number);
    else
        cas_text_add(out, "hidden");
}

/* A known name with a domain behind it is the same one: no domain may be left over. */
static struct found widen(struct redact *redact, struct cas_slice text, size_t at, size_t size)
{
    const struct redact_name *known = find(redact, part(text, at, at + size));
    struct found found = of_kind(size, known->kind);
    bool has_domain = at + size + 1 < text.size && text.data[at + size] == '.' &&
                      is_label(text.data[at + size + 1]);
    if (!has_domain || known->kind != REDACT_HOST)
        return found;
    found.size = run_of(text, at, is_dotted);
    while (text.data[at + found.size - 1] == '.')
        found.size--;
    (void)add(redact, known->kind, part(text, at, at + found.size), known->number);
    return found;
}

void redact_text(struct redact *redact, struct cas_slice text, struct cas_text *out)
{
    size_t domain_end = 0;
    for (size_t at = 0; at < text.size;) {
        struct found found = of_kind(known_size(redact, text, at), REDACT_HOST);
        if (found.size == 0 && is_behind_domain(text, at, domain_end))
            found = of_kind(run_of(text, at, is_dotted), REDACT_USER);
        else if (found.size > 0)
            found = widen(redact, text, at, found.size);
        if (found.size == 0)
            found = found_at(text, at);
        if (found.size == 0) {
            cas_text_add(out, "%c", text.data[at++]);
            continue;
        }
        bool is_host = found.kind == REDACT_HOST;
        put(redact, found.kind, part(text, at, at + found.size), out);
        bool is_unc = is_behind(text, at, "\\\\");
        at += found.size;
        domain_end = is_host && !is_unc ? at : 0;
    }
}
