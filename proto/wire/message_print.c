#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire/asks.h"
#include "proto/wire/message_rows.h"

enum {
    PRINT_PIECE_BYTES = 2048
};

struct printer {
    message_out *out;
    void *context;
};

static void print(const struct printer *printer, const char *fmt, ...) CAS_PRINTF(2, 3);

static void print(const struct printer *printer, const char *fmt, ...)
{
    char piece[PRINT_PIECE_BYTES];
    va_list arguments;
    va_start(arguments, fmt);
    int size = vsnprintf(piece, sizeof piece, fmt, arguments);
    va_end(arguments);
    CAS_ASSERT(size >= 0);
    CAS_ASSERT((size_t)size < sizeof piece);
    printer->out(printer->context, piece, (size_t)size);
}

/* Long plain text, as it is. */
static void print_text(const struct printer *printer, const char *text)
{
    printer->out(printer->context, text, strlen(text));
}

static const char *direction_words(enum message_direction direction)
{
    switch (direction) {
    case MESSAGE_UP:
        return "agent to controller";
    case MESSAGE_DOWN:
        return "controller to agent";
    case MESSAGE_ASKS:
        return "operator to controller";
    case MESSAGE_TELLS:
        return "controller to operator";
    }
    return "-";
}

/* Powers of two that are limits are easier to recognise as such. */
static void print_number(const struct printer *printer, int64_t value)
{
    if (value == WIRE_INT_MOST)
        print(printer, "2^53");
    else if (value == -WIRE_INT_MOST)
        print(printer, "-2^53");
    else if (value == UINT32_MAX)
        print(printer, "2^32 - 1");
    else if (value == INT32_MAX)
        print(printer, "2^31 - 1");
    else if (value == INT32_MIN)
        print(printer, "-2^31");
    else
        print(printer, "%" PRId64, value);
}

static void print_limits(const struct printer *printer, const struct wire_row *row)
{
    switch (row->kind) {
    case WIRE_U64:
    case WIRE_I64:
    case WIRE_NAME:
    case WIRE_TEXT:
    case WIRE_BYTES:
    case WIRE_LIST:
        print_number(printer, row->least);
        print(printer, " .. ");
        print_number(printer, row->most);
        if (wire_is_slice(row))
            print(printer, " bytes");
        if (row->kind == WIRE_LIST)
            print(printer, " records");
        return;
    case WIRE_F64:
        print(printer, "finite");
        return;
    case WIRE_FLAG:
        print(printer, "false, true");
        return;
    case WIRE_ID:
    case WIRE_KEY:
    case WIRE_SIGN:
        print(printer, "%zu bytes", wire_kind_bytes(row->kind));
        return;
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
}

static void print_fields(const struct printer *printer, const struct wire_owner *owner)
{
    print(printer, "| Tag | Field | Kind | Limits | Need | Meaning |\n|---|---|---|---|---|---|\n");
    for (size_t tag = 1; tag < owner->row_n; tag++) {
        const struct wire_row *row = &owner->rows[tag];
        if (row->kind == WIRE_NO_ROW)
            continue;
        if (row->kind == WIRE_RETIRED) {
            print(printer, "| %zu | | | | retired | never given again |\n", tag);
            continue;
        }
        print(printer, "| %zu | `%s` | ", tag, row->name);
        if (row->kind == WIRE_LIST) {
            const char *record = record_name(row->record);
            print(printer, "list of [%s](#record-%s)", record, record);
        } else {
            print(printer, "%s", wire_kind_name(row->kind));
        }
        print(printer, " | ");
        print_limits(printer, row);
        print(printer, " | %s | %s |\n", row->is_must ? "must" : "may", row->words);
    }
    print(printer, "\n");
}

static void print_intro(const struct printer *printer)
{
    print_text(
        printer,
        "# The protocol\n\n"
        "What agents, operators and the controller say to each other. This chapter is printed\n"
        "from the tables in `proto/wire/*.def` by `wire_print`; a test fails when it differs.\n\n"
        "Everything travels over ZeroMQ with CURVE on every socket; who speaks is known by the\n"
        "authenticated key, never by what a message claims. An act takes three steps, so that\n"
        "neither a copy nor a delay can repeat it: the controller asks (`offer`), the agent\n"
        "answers with a fresh nonce (`claim`), the controller signs an order for that nonce\n"
        "(`grant`). A send is not a delivery: `report`, `result` and `revoked` are repeated until\n"
        "acknowledged (`ack`), and the acknowledgement is sent after the commit.\n\n"
        "## A frame\n\n"
        "One message is one frame, one [MessagePack](https://msgpack.org) array of exactly three\n"
        "values:\n\n"
        "    [version, type, {tag: value, tag: value, ...}]\n\n"
        "The version is 1. The type is a message's number, the tags are those of its table below.\n"
        "A record is the map alone, `{tag: value, ...}`; in a list it stands as it is, as the\n"
        "body of a report's entry, as an order or as a plan it is encoded by itself and carried\n"
        "as bytes, since signatures and hashes cover bytes as received, never a re-encoding.\n\n");
    print_text(
        printer,
        "- Tags are integers from 1 to 255. A tag that is not in the table is skipped, so that a\n"
        "  newer peer can say more; one that stands twice is refused, and so is a frame without a\n"
        "  field that must be there.\n"
        "- Another version, or a type that is not in the table, is refused as a whole.\n"
        "- Tags and numbers are never used again for something else.\n"
        "- What we send is canonical: tags rise, lengths and integers take their shortest form,\n"
        "  floats 64 bits. Equal values give equal bytes. What we accept is any correct form.\n\n");
    print_text(
        printer,
        "| Kind | MessagePack | Meaning |\n|---|---|---|\n"
        "| U64, I64 | integer of any width | never beyond 2^53 on either side of zero |\n"
        "| F64 | float 64; float 32 and integers up to 2^53 are taken | finite |\n"
        "| FLAG | true or false | |\n"
        "| NAME | str | `A-Z a-z 0-9 . _ -`, first a letter or digit |\n"
        "| TEXT | str | UTF-8 without control characters, tab included |\n"
        "| BYTES | bin | as they are |\n"
        "| ID | bin | 16 bytes |\n"
        "| KEY | bin | 32 bytes: a public key or a BLAKE2b-256 hash |\n"
        "| SIGN | bin | 64 bytes: an Ed25519 signature |\n"
        "| list | array of maps | records, in order |\n\n"
        "Names that end in `_ms` are milliseconds: instants since 1970 UTC on the wall clock\n"
        "named, or spans.\n\n");
}

static void print_bounds(const struct printer *printer)
{
    print(printer,
          "## Limits\n\n"
          "The raw bytes are scanned before anything is built from them; a frame beyond one of\n"
          "these is refused at no cost.\n\n"
          "| Limit | Value |\n|---|---|\n"
          "| bytes of a frame | %d |\n"
          "| nested arrays and maps | %d |\n"
          "| MessagePack values in a frame | %d |\n"
          "| lengths and counts | no more than the bytes left |\n"
          "| ext types | none |\n"
          "| bytes after the message | none |\n"
          "| payload frames of one ZeroMQ message | 1 |\n"
          "| memory to decode a frame | %d bytes |\n\n",
          WIRE_FRAME_BYTES,
          WIRE_DEPTH,
          WIRE_OBJECTS,
          WIRE_ARENA_BYTES);
    print(printer,
          "A report's entries take at most %d bytes in all, one document of an answer at most %d\n"
          "in all its parts. A peer may send %d messages a second, %d at once.\n\n",
          WIRE_REPORT_BYTES,
          WIRE_DOCUMENT_TOTAL,
          PEER_RATE_PER_S,
          PEER_RATE_BURST);
}

static void print_messages(const struct printer *printer)
{
    print(printer,
          "## Messages\n\n| Type | Message | From, to | What it says |\n|---|---|---|---|\n");
    for (size_t number = 1; number < wire_message_end(); number++) {
        const struct wire_owner *owner = wire_message(number);
        if (owner == NULL)
            continue;
        print(printer,
              "| %zu | [%s](#message-%s) | %s | %s |\n",
              number,
              owner->name,
              owner->name,
              direction_words(owner->direction),
              owner->words);
    }
    print(printer, "\n");
    for (size_t number = 1; number < wire_message_end(); number++) {
        const struct wire_owner *owner = wire_message(number);
        if (owner == NULL)
            continue;
        print(printer,
              "### message %s\n\nType %zu, %s: %s.\n\n",
              owner->name,
              number,
              direction_words(owner->direction),
              owner->words);
        print_fields(printer, owner);
    }
}

static void print_records(const struct printer *printer)
{
    print(printer, "## Records\n\n");
    for (size_t type = 1; type < wire_record_end(); type++) {
        const struct wire_owner *owner = wire_record((enum record_type)type);
        if (owner == NULL)
            continue;
        print(printer, "### record %s\n\n%s.\n\n", owner->name, owner->words);
        print_fields(printer, owner);
    }
}

static void print_verbs(const struct printer *printer)
{
    print(printer,
          "## What may be done to a server\n\n"
          "Nothing else exists.\n\n"
          "| Number | Verb | Meaning |\n|---|---|---|\n");
    for (unsigned number = 1; number < 256; number++) {
        const char *name = verb_name((enum verb)number);
        if (name != NULL)
            print(printer, "| %u | %s | %s |\n", number, name, verb_words((enum verb)number));
    }
    print(printer,
          "\n## What an operator may ask\n\n"
          "Roles rise: a viewer may ask, an operator change the work, an admin let agents in and\n"
          "shut them out. What is not listed is denied.\n\n"
          "| Verb | Least role | Meaning |\n|---|---|---|\n");
    for (enum ask_verb verb = ASK_NONE + 1; verb < ASK_END; verb++) {
        print(printer,
              "| `%s` | %s | %s |\n",
              ask_name(verb),
              ask_role_name(ask_role(verb)),
              ask_words(verb));
    }
}

static void print_symptoms(const struct printer *printer)
{
    print(printer,
          "\n## Symptoms\n\n"
          "Each reading carries a value in the unit below, or the reason why there is none.\n\n"
          "| Number | Symptom | Unit | Meaning |\n|---|---|---|---|\n");
    for (unsigned number = 1; number < (unsigned)SYMPTOM_END; number++) {
        enum symptom symptom = (enum symptom)number;
        if (symptom_name(symptom) == NULL)
            continue;
        print(printer,
              "| %u | `%s` | %s | %s |\n",
              number,
              symptom_name(symptom),
              unit_name(symptom_unit(symptom)),
              symptom_words(symptom));
    }
}

/* All entries of a small enum, as "1 sample, 2 event". */
static void
print_enum(const struct printer *printer, const char *title, const char *(*name)(unsigned number))
{
    const char *before = "";
    print(printer, "| %s | ", title);
    for (unsigned number = 0; number < 256; number++) {
        if (name(number) != NULL) {
            print(printer, "%s%u %s", before, number, name(number));
            before = ", ";
        }
    }
    print(printer, " |\n");
}

static const char *enum_state(unsigned number)
{
    return command_state_name((enum command_state)number);
}

static const char *enum_entry(unsigned number)
{
    return entry_kind_name((enum entry_kind)number);
}

static const char *enum_health(unsigned number)
{
    return pool_health_name((enum pool_health)number);
}

static void print_enums(const struct printer *printer)
{
    print(printer, "\n## Other numbers with names\n\n| Field | Values |\n|---|---|\n");
    print_enum(printer, "enum command_state", enum_state);
    print_enum(printer, "enum entry_kind", enum_entry);
    print_enum(printer, "enum pool_health", enum_health);
    print(printer, "\n| enum nack_reason | Meaning |\n|---|---|\n");
    for (unsigned number = 1; number < 256; number++) {
        const char *words = nack_words((enum nack_reason)number);
        if (words != NULL)
            print(printer, "| %u | %s |\n", number, words);
    }
}

static void print_example(const struct printer *printer)
{
    struct message message = {.type = MESSAGE_revoke};
    memset(message.as.revoke.cmd_id, 0xab, sizeof message.as.revoke.cmd_id);
    message.as.revoke.epoch = 1000;
    uint8_t frame[64];
    size_t size = 0;
    enum cas_err err = message_encode(&message, frame, sizeof frame, &size, NULL);
    CAS_ASSERT(err == CAS_OK);

    print(printer,
          "\n## An example\n\n"
          "`revoke` with a `cmd_id` of sixteen times `ab` and `epoch` 1000, %zu bytes:\n\n   ",
          size);
    for (size_t at = 0; at < size; at++)
        print(printer, " %02x", frame[at]);
    print(
        printer,
        "\n\n"
        "`93` an array of three: `01` the version, `0a` the type 10, `82` a map of two. `01` is\n"
        "the tag of `cmd_id`, `c4 10` sixteen bytes; `02` the tag of `epoch`, `cd 03 e8` 1000.\n");
}

void message_print_manual(message_out *out, void *context)
{
    struct printer printer = {out, context};
    print_intro(&printer);
    print_bounds(&printer);
    print_messages(&printer);
    print_records(&printer);
    print_verbs(&printer);
    print_symptoms(&printer);
    print_enums(&printer);
    print_example(&printer);
}

/* The lead bytes a field's value may have in our own encoding, as libFuzzer reads them. */
static const char *dictionary_lead(enum wire_kind kind)
{
    switch (kind) {
    case WIRE_U64:
        return "\\xcf";
    case WIRE_I64:
        return "\\xd3";
    case WIRE_F64:
        return "\\xcb";
    case WIRE_FLAG:
        return "\\xc3";
    case WIRE_NAME:
    case WIRE_TEXT:
        return "\\xa1";
    case WIRE_BYTES:
        return "\\xc4\\x01";
    case WIRE_ID:
        return "\\xc4\\x10";
    case WIRE_KEY:
        return "\\xc4\\x20";
    case WIRE_SIGN:
        return "\\xc4\\x40";
    case WIRE_LIST:
        return "\\x91";
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
    return "";
}

static void dictionary_owner(const struct printer *printer, const struct wire_owner *owner)
{
    for (size_t tag = 1; tag < owner->row_n; tag++) {
        const struct wire_row *row = &owner->rows[tag];
        if (!wire_is_field(row))
            continue;
        print(printer,
              "%s_%s=\"\\x%02zx%s\"\n",
              owner->name,
              row->name,
              tag,
              dictionary_lead(row->kind));
    }
}

void message_print_dictionary(message_out *out, void *context)
{
    struct printer printer = {out, context};
    print(&printer,
          "# Printed from the tables in proto/wire by wire_print.\n"
          "# Each message's first three bytes, each field's tag with a lead byte, and lies.\n");
    for (size_t number = 1; number < wire_message_end(); number++) {
        const struct wire_owner *owner = wire_message(number);
        if (owner == NULL)
            continue;
        print(&printer, "%s=\"\\x93\\x01\\x%02zx\"\n", owner->name, number);
        dictionary_owner(&printer, owner);
    }
    for (size_t type = 1; type < wire_record_end(); type++) {
        const struct wire_owner *owner = wire_record((enum record_type)type);
        if (owner != NULL)
            dictionary_owner(&printer, owner);
    }
    for (enum ask_verb verb = ASK_NONE + 1; verb < ASK_END; verb++) {
        size_t size = strlen(ask_name(verb));
        print(&printer, "ask_%u=\"\\x%02zx%s\"\n", (unsigned)verb, 0xa0 + size, ask_name(verb));
    }
    print_text(&printer,
               "lie_array32=\"\\xdd\\x10\\x00\\x00\\x00\"\n"
               "lie_map32=\"\\xdf\\x10\\x00\\x00\\x00\"\n"
               "lie_str32=\"\\xdb\\x10\\x00\\x00\\x00\"\n"
               "lie_bin32=\"\\xc6\\x10\\x00\\x00\\x00\"\n"
               "lie_ext=\"\\xc7\\x01\\x05\"\n"
               "lie_nan=\"\\xcb\\x7f\\xf8\\x00\\x00\\x00\\x00\\x00\\x00\"\n"
               "lie_u64=\"\\xcf\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\"\n"
               "lie_i64=\"\\xd3\\x80\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"\n");
}
