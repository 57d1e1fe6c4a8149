/* Writes what is printed from the wire's tables: wire_print FOLDER, the top of the source tree.
 *
 *   proto/PROTOCOL.md                                the protocol chapter
 *   tests/fuzz/wire.dict                             libFuzzer's dictionary
 *   tests/golden/<message>-{smallest,largest}.bin    golden frames; record-<record>-... likewise
 *   tests/fuzz/corpora/wire/<the same names>         the small ones, as the fuzzer reads them
 *
 * Golden frames are a contract with what was released before: this program does not touch one
 * that exists. Where a limit has been widened on purpose, remove the file first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cas.h"
#include "proto/wire/message.h"

enum {
    PATH_BYTES = 4096,
    SEED_BYTES = 1024,
    NUMBER_END = 256
};

static const char *const sizes[] = {"smallest", "largest"};

static void fail(const char *path, const char *text)
{
    (void)fprintf(stderr, "wire_print: %s: %s\n", path, text);
    exit(1);
}

static FILE *open_to_write(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    struct cas_text text = CAS_TEXT(path);
    cas_text_add(&text, "%s/%s", folder, name);
    FILE *file = text.is_cut ? NULL : fopen(path, "wb");
    if (file == NULL)
        fail(path, "cannot be written");
    return file;
}

static void close_written(FILE *file, const char *name)
{
    if (ferror(file) != 0 || fclose(file) != 0)
        fail(name, "cannot be written");
}

static void write_piece(void *context, const char *text, size_t size)
{
    (void)fwrite(text, 1, size, context);
}

static bool is_there(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    struct cas_text text = CAS_TEXT(path);
    cas_text_add(&text, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file != NULL)
        (void)fclose(file);
    return file != NULL;
}

/* lead: the byte that tells the fuzzer which record; none for a message. */
static void write_golden(const char *folder,
                         const char *prefix,
                         const char *name,
                         int which,
                         uint8_t lead,
                         struct cas_slice bytes)
{
    char golden[PATH_BYTES];
    struct cas_text text = CAS_TEXT(golden);
    cas_text_add(&text, "tests/golden/%s%s-%s.bin", prefix, name, sizes[which]);
    if (!is_there(folder, golden)) {
        FILE *file = open_to_write(folder, golden);
        write_piece(file, bytes.data, bytes.size);
        close_written(file, golden);
    }
    if (bytes.size > SEED_BYTES)
        return;
    char seed[PATH_BYTES];
    text = CAS_TEXT(seed);
    cas_text_add(&text, "tests/fuzz/corpora/wire/%s%s-%s", prefix, name, sizes[which]);
    FILE *file = open_to_write(folder, seed);
    (void)fputc(lead, file);
    write_piece(file, bytes.data, bytes.size);
    close_written(file, seed);
}

static void write_goldens(const char *folder)
{
    static uint8_t bytes[WIRE_FRAME_BYTES];
    struct cas_why why = {{0}};
    CAS_AUTO(cas_arena) arena = NULL;
    if (cas_arena_open(GOLDEN_ARENA_BYTES, &arena) != CAS_OK)
        fail("golden", "no memory");
    for (unsigned number = 1; number < NUMBER_END; number++) {
        for (int which = 0; which < 2; which++) {
            size_t size = 0;
            enum message_type message = (enum message_type)number;
            enum record_type record = (enum record_type)number;
            cas_arena_clear(arena);
            if (message_name(message) != NULL) {
                if (message_golden(message, which, arena, bytes, &size, &why) != CAS_OK)
                    fail(message_name(message), why.text);
                struct cas_slice frame = {(const char *)bytes, size};
                write_golden(folder, "", message_name(message), which, 0, frame);
            }
            cas_arena_clear(arena);
            if (record_name(record) != NULL) {
                if (record_golden(record, which, arena, bytes, &size, &why) != CAS_OK)
                    fail(record_name(record), why.text);
                struct cas_slice alone = {(const char *)bytes, size};
                uint8_t lead = (uint8_t)number;
                write_golden(folder, "record-", record_name(record), which, lead, alone);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "use: wire_print FOLDER (the top of the source tree)\n");
        return 2;
    }
    FILE *manual = open_to_write(argv[1], "proto/PROTOCOL.md");
    message_print_manual(write_piece, manual);
    close_written(manual, "proto/PROTOCOL.md");
    FILE *dictionary = open_to_write(argv[1], "tests/fuzz/wire.dict");
    message_print_dictionary(write_piece, dictionary);
    close_written(dictionary, "tests/fuzz/wire.dict");
    write_goldens(argv[1]);
    return 0;
}
