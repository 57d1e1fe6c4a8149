/* cas.h - what every room stands on: errors, reasons, ownership, capped text.
 *
 * Touches nothing but memory. Used by every room. */
#ifndef PROTO_BASE_CAS_H
#define PROTO_BASE_CAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define CAS_CHECK __attribute__((warn_unused_result))
/* C99's conversions wherever we are built: where gcc's plain "printf" means the C library's own,
 * %zu would be none. clang knows the plain name alone, and means C99 by it. */
#if defined(__clang__)
#define CAS_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#else
#define CAS_PRINTF(fmt, arg) __attribute__((format(gnu_printf, fmt, arg)))
#endif
#define CAS_COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum cas_err {
    CAS_OK = 0,
#define ERR(name, number, reaction, words) CAS_ERR_##name = (number),
#include "proto/base/errors.def"
#undef ERR
};

enum cas_reaction {
    CAS_REACTION_RETRY,
    CAS_REACTION_REFUSE,
    CAS_REACTION_OPERATOR,
    CAS_REACTION_BUG
};

const char *cas_err_name(enum cas_err err);  /* "NOMEM"; "OK"; "?" for a number not in errors.def */
const char *cas_err_words(enum cas_err err); /* its meaning, one line */
enum cas_reaction cas_err_reaction(enum cas_err err);

/* A reason for a person: bounded, fit to print as it is. Zero-initialise; untouched on success. */
struct cas_why {
    char text[CAS_WHY_BYTES];
};
/* Writes the reason (cut at the limit, always terminated); why may be NULL. Control bytes and
 * non-ASCII from input are shown as \xNN. Returns err, so that `return cas_fail(...)` reads well.
 */
enum cas_err cas_fail(struct cas_why *why, enum cas_err err, const char *fmt, ...) CAS_PRINTF(3, 4);

/* For our own mistakes only, kept in release builds: prints file, line, condition and aborts. */
#define CAS_ASSERT(condition) \
    ((condition) ? (void)0 : cas_assert_failed(#condition, __FILE__, __LINE__))
void cas_assert_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

/* CAS_AUTO(outbox) box = ...; frees with outbox_free at scope end. The door says
 * CAS_AUTO_DEFINE(outbox). */
#define CAS_AUTO(type) __attribute__((cleanup(type##_auto_free), unused)) struct type *
#define CAS_AUTO_DEFINE(type)                                \
    static inline void type##_auto_free(struct type **owned) \
    {                                                        \
        type##_free(*owned);                                 \
    }                                                        \
    struct type
/* Hands an owned pointer on and leaves NULL behind. */
#define CAS_TAKE(pointer)                           \
    __extension__({                                 \
        __typeof__(pointer) cas_taken_ = (pointer); \
        (pointer) = NULL;                           \
        cas_taken_;                                 \
    })

/* Borrowed bytes, not terminated. */
struct cas_slice {
    const char *data;
    size_t size;
};
struct cas_slice cas_slice_of(const char *text); /* borrowed from text; NULL gives an empty slice */
bool cas_slice_is(struct cas_slice slice, const char *text);
/* Copies and terminates. CAS_ERR_TOO_LONG when it does not fit into cap bytes with its end. */
CAS_CHECK enum cas_err cas_slice_copy(struct cas_slice slice, char *ret_text, size_t cap);

/* Text built into a caller's array; what does not fit is cut and is_cut says so. Always terminated.
 */
struct cas_text {
    char *data;
    size_t cap;
    size_t used; /* without the terminating byte */
    bool is_cut;
};
#define CAS_TEXT(array) ((struct cas_text){.data = (array), .cap = sizeof(array)})
void cas_text_add(struct cas_text *text, const char *fmt, ...) CAS_PRINTF(2, 3);
void cas_text_clear(struct cas_text *text);

/* Memory of one message or tick: taken in pieces, dropped whole, never beyond its cap. */
struct cas_arena;
CAS_CHECK enum cas_err cas_arena_open(size_t cap_bytes, struct cas_arena **ret_arena);
void cas_arena_free(struct cas_arena *arena);
void cas_arena_clear(struct cas_arena *arena);
/* Zeroed, aligned for any type; NULL beyond the cap. Borrowed until clear or free. */
void *cas_arena_take(struct cas_arena *arena, size_t count, size_t item_bytes);
size_t cas_arena_used(const struct cas_arena *arena);
CAS_AUTO_DEFINE(cas_arena);

/* Numbers and spans out of text. The whole slice must be the number; the reason names the value and
 * its limits. CAS_ERR_FORMAT not a number, CAS_ERR_RANGE outside least..most. */
CAS_CHECK enum cas_err cas_parse_i64(struct cas_slice text,
                                     int64_t least,
                                     int64_t most,
                                     int64_t *ret_value,
                                     struct cas_why *why);
CAS_CHECK enum cas_err cas_parse_f64(struct cas_slice text, double *ret_value, struct cas_why *why);
/* "250ms" "15s" "10m" "24h" "7d", or several from large to small as in "1h30m"; in ms. */
CAS_CHECK enum cas_err cas_parse_span(struct cas_slice text,
                                      int64_t least_ms,
                                      int64_t most_ms,
                                      int64_t *ret_span_ms,
                                      struct cas_why *why);
/* A span for people: "0 s" "41 s" "3 min" "3 h 12 min" "6 d". */
void cas_text_span(struct cas_text *text, int64_t span_ms);
/* "2026-10-14T00:00:05.250Z", UTC. */
void cas_text_utc(struct cas_text *text, int64_t wall_ms);
/* Reads that form back (seconds and fraction optional, Z required). */
CAS_CHECK enum cas_err
cas_parse_utc(struct cas_slice text, int64_t *ret_wall_ms, struct cas_why *why);

/* Lower-case hexadecimal; ret_hex holds 2 * size + 1 bytes. */
void cas_hex(const uint8_t *bytes, size_t size, char *ret_hex);
CAS_CHECK enum cas_err cas_unhex(struct cas_slice hex, uint8_t *ret_bytes, size_t size);

/* A name: 1..63 of A-Z a-z 0-9 . _ -, first a letter or digit. Servers, labels, operators, pools'
 * keys. */
bool cas_is_name(struct cas_slice text);
/* UTF-8 without control characters (tab is one). */
bool cas_is_clean_text(struct cas_slice text);

/* NAN tests through one helper: mingw's isnan trips -Wconversion. */
bool cas_is_number(double value); /* finite */

#endif
