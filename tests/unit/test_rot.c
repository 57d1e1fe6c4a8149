/* Files of the journals that are no longer what was written: a bit or a byte turned, the end cut
 * off, half a page or a whole one of an older version. Each file is opened and used; what it then
 * says is the truth, or it is refused by name and with what to do. */
#include <stdlib.h>
#include <string.h>

#include "agent/journal/ledger.h"
#include "agent/journal/outbox.h"
#include "proto/base/file.h"
#include "tests/unit/test.h"

enum {
    PAGE_BYTES = 4096,
    COMMANDS = 60,
    OLD_COMMANDS = 30, /* of them in the older version */
    RECORDS = 120,
    OLD_RECORDS = 60,
    FLIPS = 400,
    CUTS = 40
};

struct file {
    char *data;
    size_t size;
};

struct tally {
    unsigned refused, whole;
    unsigned shortened; /* what is there is true, and the newest are missing */
};

static struct file file_of(const char *path)
{
    struct file file = {.size = 0};
    file.data = test_read(path, &file.size);
    return file;
}

static void id_of(unsigned number, uint8_t ret_cmd_id[CAS_ID_BYTES])
{
    memset(ret_cmd_id, 0x5c, CAS_ID_BYTES);
    ret_cmd_id[3] = (uint8_t)number;
}

static void ledger_fill(struct ledger *ledger, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++) {
        struct cas_why why = {.text = ""};
        struct ledger_row row = {.state = COMMAND_INTENT,
                                 .verb = VERB_recycle,
                                 .rollout_seq = i,
                                 .pool = "MSExchangeSyncAppPool",
                                 .pid_before = 4000 + i,
                                 .intent_ms = 1700000000000 + i};
        id_of(i, row.cmd_id);
        EXPECT_OK(ledger_write(ledger, &row, &why), &why);
        row.state = COMMAND_DONE;
        EXPECT_OK(ledger_write(ledger, &row, &why), &why);
    }
    EXPECT_OK(ledger_raise_epoch(ledger, 1000 + last, NULL), NULL);
}

static bool is_refusal_fit(enum cas_err err, const char *name, const struct cas_why *why)
{
    return (err == CAS_ERR_CORRUPT || err == CAS_ERR_VERSION || err == CAS_ERR_IO) &&
           strstr(why->text, name) != NULL;
}

/* Opens it as the agent does: refused, or every command is there as it was written. */
static void ledger_try(const char *path, struct tally *tally)
{
    CAS_AUTO(ledger) ledger = NULL;
    struct cas_why why = {.text = ""};
    enum cas_err err = ledger_open(path, &ledger, &why);
    if (err != CAS_OK) {
        EXPECT_TRUE(is_refusal_fit(err, "ledger", &why));
        tally->refused++;
        return;
    }
    tally->whole++;
    EXPECT_UINT_EQ(2 * COMMANDS, ledger_head(ledger));
    EXPECT_UINT_EQ(1000 + COMMANDS, ledger_epoch(ledger));
    EXPECT_UINT_EQ(0, ledger_rollout_floor(ledger));
    for (unsigned i = 1; i <= COMMANDS; i++) {
        struct ledger_row row;
        uint8_t cmd_id[CAS_ID_BYTES];
        id_of(i, cmd_id);
        EXPECT_OK(ledger_find(ledger, cmd_id, &row), NULL);
        EXPECT_INT_EQ(COMMAND_DONE, row.state);
        EXPECT_UINT_EQ(i, row.rollout_seq);
        EXPECT_UINT_EQ(4000 + i, row.pid_before);
    }
}

static void outbox_fill(struct outbox *outbox, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++) {
        uint8_t body[200];
        uint64_t seq = 0;
        struct cas_why why = {.text = ""};
        memset(body, (int)i, sizeof body);
        EXPECT_OK(outbox_add(outbox,
                             i % 9 == 0 ? ENTRY_EVENT : ENTRY_SAMPLE,
                             1700000000000 + i,
                             (struct cas_slice){(const char *)body, sizeof body},
                             &seq,
                             &why),
                  &why);
    }
}

/* Opens it and reads all of it: refused at either, or every record is as it was written. */
static void outbox_try(const char *path, struct tally *tally)
{
    CAS_AUTO(outbox) outbox = NULL;
    CAS_AUTO(cas_arena) arena = NULL;
    struct cas_why why = {.text = ""};
    EXPECT_OK(cas_arena_open(1024 * 1024, &arena), NULL);
    enum cas_err err = outbox_open(path, OUTBOX_BYTES, &outbox, &why);
    uint64_t seen = 0;
    while (err == CAS_OK && seen < RECORDS) {
        struct record_entry *entry = NULL;
        size_t n = 0;
        cas_arena_clear(arena);
        err = outbox_read(outbox, seen, arena, &entry, &n, &why);
        if (err == CAS_OK && n == 0) {
            tally->shortened++;
            return;
        }
        for (size_t i = 0; err == CAS_OK && i < n; i++) {
            EXPECT_UINT_EQ(++seen, entry[i].seq);
            EXPECT_INT_EQ(1700000000000 + (int64_t)seen, entry[i].at_ms);
            EXPECT_UINT_EQ(200, entry[i].body.size);
            EXPECT_UINT_EQ(seen & 0xff, (uint8_t)entry[i].body.data[199]);
        }
    }
    if (err == CAS_OK)
        tally->whole++;
    else
        tally->refused++;
    EXPECT_TRUE(err == CAS_OK || is_refusal_fit(err, "outbox", &why));
}

typedef void try_function(const char *path, struct tally *tally);

/* One bit of a byte, and a byte made zero, at many places of the file. */
static struct tally
try_flips(const char *path, const struct file *good, try_function *try, struct test_dice *dice)
{
    struct tally tally = {0};
    for (unsigned i = 0; i < FLIPS; i++) {
        /* Each byte of the header once, the rest by lot. */
        size_t at = i < 100 ? i : test_below(dice, good->size);
        char was = good->data[at];
        good->data[at] = (char)(i % 3 == 2 ? 0U : (unsigned char)was ^ (1U << test_below(dice, 7)));
        test_write(path, good->data, good->size);
        good->data[at] = was;
        try(path, &tally);
    }
    return tally;
}

static struct tally
try_cuts(const char *path, const struct file *good, try_function *try, struct test_dice *dice)
{
    struct tally tally = {0};
    for (unsigned i = 0; i < CUTS; i++) {
        size_t size = 1 + test_below(dice, good->size - 1);
        test_write(path,
                   good->data,
                   i % 2 == 0 ? size : size / PAGE_BYTES * PAGE_BYTES + PAGE_BYTES);
        if (size / PAGE_BYTES * PAGE_BYTES + PAGE_BYTES < good->size || i % 2 == 0)
            try(path, &tally);
    }
    return tally;
}

enum part {
    FIRST_HALF,
    SECOND_HALF,
    WHOLE_PAGE
};

/* Of each page that differs: one part after the other from the older file, up to the last. */
static struct tally try_older(const char *path,
                              const struct file *good,
                              const struct file *old,
                              try_function *try,
                              enum part last)
{
    struct tally tally = {0};
    char *mixed = malloc(good->size);
    EXPECT_NOT_NULL(mixed);
    for (size_t at = 0; at + PAGE_BYTES <= good->size && at + PAGE_BYTES <= old->size;
         at += PAGE_BYTES) {
        for (unsigned part = FIRST_HALF; part <= last; part++) {
            size_t from = part == SECOND_HALF ? PAGE_BYTES / 2 : 0;
            size_t size = part == WHOLE_PAGE ? PAGE_BYTES : PAGE_BYTES / 2;
            if (memcmp(good->data + at + from, old->data + at + from, size) == 0)
                continue;
            memcpy(mixed, good->data, good->size);
            memcpy(mixed + at + from, old->data + at + from, size);
            test_write(path, mixed, good->size);
            try(path, &tally);
        }
    }
    free(mixed);
    return tally;
}

/* Why (I3): a row that turns into another one lets a command be done twice. How: 60 commands, all
 * done; the file is spoilt at many places, and mixed with the file as it was after 30. */
TEST(rot, spoilt_ledger_is_refused_or_says_the_truth)
{
    const char *path = test_path("ledger.db");
    struct test_dice dice = {.state = 11};
    struct file old, good;
    {
        CAS_AUTO(ledger) ledger = NULL;
        EXPECT_OK(ledger_open(path, &ledger, NULL), NULL);
        ledger_fill(ledger, 1, OLD_COMMANDS);
    }
    old = file_of(path);
    {
        CAS_AUTO(ledger) ledger = NULL;
        EXPECT_OK(ledger_open(path, &ledger, NULL), NULL);
        ledger_fill(ledger, OLD_COMMANDS + 1, COMMANDS);
    }
    good = file_of(path);
    struct tally tally = try_flips(path, &good, ledger_try, &dice);
    EXPECT_TRUE(tally.refused > FLIPS / 5 && tally.whole > FLIPS / 10);
    tally = try_cuts(path, &good, ledger_try, &dice);
    EXPECT_TRUE(tally.refused > CUTS / 2 && tally.whole == 0);
    tally = try_older(path, &good, &old, ledger_try, WHOLE_PAGE);
    EXPECT_TRUE(tally.refused > 5 && tally.whole == 0);
    free(old.data);
    free(good.data);
}

/* Why: what a crash leaves in the log is folded into the file at the next start. How: the file and
 * its log are taken while the ledger is open; bits of the log turn. */
TEST(rot, spoilt_log_of_the_ledger_takes_nothing_from_it)
{
    const char *path = test_path("ledger.db");
    char log[FILE_PATH_BYTES];
    struct cas_text text = CAS_TEXT(log);
    cas_text_add(&text, "%s-wal", path);
    struct test_dice dice = {.state = 13};
    struct file good, good_log;
    {
        CAS_AUTO(ledger) ledger = NULL;
        EXPECT_OK(ledger_open(path, &ledger, NULL), NULL);
        ledger_fill(ledger, 1, COMMANDS);
        good = file_of(path);
        good_log = file_of(log);
    }
    EXPECT_TRUE(good_log.size > PAGE_BYTES);
    struct tally tally = {0};
    for (unsigned i = 0; i < FLIPS / 4; i++) {
        size_t at = test_below(&dice, i % 2 == 0 ? good_log.size : 64);
        char was = good_log.data[at];
        good_log.data[at] = (char)((unsigned char)was ^ (1U << test_below(&dice, 7)));
        test_write(path, good.data, good.size);
        test_write(log, good_log.data, good_log.size);
        good_log.data[at] = was;
        ledger_try(path, &tally);
    }
    EXPECT_UINT_EQ(FLIPS / 4, tally.whole + tally.refused);
    EXPECT_TRUE(tally.whole > FLIPS / 8);
    free(good.data);
    free(good_log.data);
}

/* Why (I5): a record that turned into another one, or stands at another place, is a false report,
 * and its acknowledgement drops the true one. How: as above, with 120 records. What a page of
 * before can take unseen are the newest samples, when it is the last of them: nothing follows that
 * they are missed by. */
TEST(rot, spoilt_outbox_is_refused_or_says_the_truth)
{
    const char *path = test_path("outbox.db");
    struct test_dice dice = {.state = 12};
    struct file old, near, good;
    {
        CAS_AUTO(outbox) outbox = NULL;
        EXPECT_OK(outbox_open(path, OUTBOX_BYTES, &outbox, NULL), NULL);
        outbox_fill(outbox, 1, OLD_RECORDS);
    }
    old = file_of(path);
    {
        CAS_AUTO(outbox) outbox = NULL;
        EXPECT_OK(outbox_open(path, OUTBOX_BYTES, &outbox, NULL), NULL);
        outbox_fill(outbox, OLD_RECORDS + 1, RECORDS - 1);
    }
    near = file_of(path);
    {
        CAS_AUTO(outbox) outbox = NULL;
        EXPECT_OK(outbox_open(path, OUTBOX_BYTES, &outbox, NULL), NULL);
        outbox_fill(outbox, RECORDS, RECORDS);
    }
    good = file_of(path);
    struct tally tally = try_flips(path, &good, outbox_try, &dice);
    EXPECT_TRUE(tally.refused > FLIPS / 5 && tally.whole > FLIPS / 10);
    tally = try_cuts(path, &good, outbox_try, &dice);
    EXPECT_TRUE(tally.refused > CUTS / 2 && tally.whole == 0);
    EXPECT_UINT_EQ(0, tally.shortened);
    tally = try_older(path, &good, &old, outbox_try, SECOND_HALF);
    EXPECT_TRUE(tally.refused > 5 && tally.shortened == 0);
    tally = try_older(path, &good, &old, outbox_try, WHOLE_PAGE);
    EXPECT_TRUE(tally.refused > 8 && tally.whole == 0 && tally.shortened == 0);
    tally = try_older(path, &good, &near, outbox_try, WHOLE_PAGE);
    EXPECT_TRUE(tally.whole == 0 && tally.shortened == 1);
    free(near.data);
    free(old.data);
    free(good.data);
}
