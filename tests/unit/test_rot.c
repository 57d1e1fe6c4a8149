/* Files of the journals that are no longer what was written: a bit or a byte turned, the end cut
 * off, half a page or a whole one of an older version. Each file is opened and used; where the
 * damage is in a page in use it is refused by name and with what to do, and where it is in a page
 * that is free, all that the journal says is the truth. */
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
    CUTS = 40,
    PAGES = 256,        /* of a file here, at most */
    FREE_FIRST_AT = 32, /* in the header: the first page that lists free ones */
    FREE_COUNT_AT = 36
};

struct file {
    char *data;
    size_t size;
    bool is_free[PAGES]; /* by its number, from 1: nothing is kept in the page */
};

enum outcome {
    REFUSED,
    WHOLE,
    SHORTENED /* what is there is true, and the newest are missing */
};

struct tally {
    unsigned refused, whole, shortened; /* by damage to pages in use */
    unsigned harmless;                  /* damage where nothing is kept */
};

static uint32_t number_at(const char *data)
{
    const uint8_t *byte = (const uint8_t *)data;
    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

/* As SQLite keeps them: a page that lists free ones names the next such page, how many it lists,
 * and these; it is in use itself. */
static void free_find(struct file *file)
{
    uint32_t list = number_at(file->data + FREE_FIRST_AT), list_n = 0, free_n = 0;
    EXPECT_TRUE(file->size / PAGE_BYTES < PAGES);
    while (list != 0) {
        EXPECT_TRUE(list <= file->size / PAGE_BYTES && list_n++ < PAGES);
        const char *page = file->data + (size_t)(list - 1) * PAGE_BYTES;
        uint32_t n = number_at(page + 4);
        EXPECT_TRUE(n <= PAGE_BYTES / 4 - 2);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t number = number_at(page + 8 + (size_t)i * 4);
            EXPECT_TRUE(number <= file->size / PAGE_BYTES && !file->is_free[number]);
            file->is_free[number] = true;
        }
        list = number_at(page);
        free_n += n;
    }
    EXPECT_UINT_EQ(number_at(file->data + FREE_COUNT_AT), list_n + free_n);
}

static bool is_free_at(const struct file *file, size_t at)
{
    return file->is_free[1 + at / PAGE_BYTES];
}

static struct file file_of(const char *path)
{
    struct file file = {.size = 0};
    file.data = test_read(path, &file.size);
    return file;
}

static struct file journal_of(const char *path)
{
    struct file file = file_of(path);
    free_find(&file);
    return file;
}

/* Damage is harmless where the page tells nothing, and only there. */
static void count(struct tally *tally, bool is_harmless, enum outcome outcome)
{
    if (is_harmless) {
        EXPECT_INT_EQ(WHOLE, outcome);
        tally->harmless++;
        return;
    }
    tally->refused += outcome == REFUSED ? 1 : 0;
    tally->whole += outcome == WHOLE ? 1 : 0;
    tally->shortened += outcome == SHORTENED ? 1 : 0;
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

/* Opens it as the agent does: refused, or every command is there as it was written and the next can
 * be. */
static enum outcome ledger_try(const char *path)
{
    CAS_AUTO(ledger) ledger = NULL;
    struct cas_why why = {.text = ""};
    enum cas_err err = ledger_open(path, &ledger, &why);
    if (err != CAS_OK) {
        EXPECT_TRUE(is_refusal_fit(err, "ledger", &why));
        return REFUSED;
    }
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
    EXPECT_TRUE(ledger_is_writable(ledger, &why)); /* goes over the free pages */
    return WHOLE;
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
static enum outcome outbox_try(const char *path)
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
        if (err == CAS_OK && n == 0)
            return SHORTENED;
        for (size_t i = 0; err == CAS_OK && i < n; i++) {
            EXPECT_UINT_EQ(++seen, entry[i].seq);
            EXPECT_INT_EQ(1700000000000 + (int64_t)seen, entry[i].at_ms);
            EXPECT_UINT_EQ(200, entry[i].body.size);
            EXPECT_UINT_EQ(seen & 0xff, (uint8_t)entry[i].body.data[199]);
        }
    }
    EXPECT_TRUE(err == CAS_OK || is_refusal_fit(err, "outbox", &why));
    return err == CAS_OK ? WHOLE : REFUSED;
}

typedef enum outcome try_function(const char *path);

/* One bit of a byte, and a byte made zero where it was not, at many places of the file. */
static struct tally
try_flips(const char *path, const struct file *good, try_function *try, struct test_dice *dice)
{
    struct tally tally = {0};
    for (unsigned i = 0; i < FLIPS; i++) {
        /* Each byte of the header once, the rest by lot. */
        size_t at = i < 100 ? i : test_below(dice, good->size);
        char was = good->data[at];
        unsigned turned = (unsigned char)was ^ (1U << test_below(dice, 8));
        good->data[at] = (char)(i % 3 == 2 && was != 0 ? 0U : turned);
        test_write(path, good->data, good->size);
        good->data[at] = was;
        count(&tally, is_free_at(good, at), try(path));
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
        /* Where pages are missing, the first does not tell how many there are. */
        if (size / PAGE_BYTES * PAGE_BYTES + PAGE_BYTES < good->size || i % 2 == 0)
            count(&tally, size > good->size - PAGE_BYTES && is_free_at(good, size), try(path));
    }
    return tally;
}

enum part {
    FIRST_HALF,
    SECOND_HALF,
    WHOLE_PAGE
};

/* The only page of a table, and no row in it then or now; what differs is what rows left behind. */
static bool is_empty_in_both(const char *page, const char *older)
{
    static const char leaf_of_none[] = {0x0d, 0, 0, 0, 0};
    return memcmp(page, leaf_of_none, sizeof leaf_of_none) == 0 &&
           memcmp(older, leaf_of_none, sizeof leaf_of_none) == 0;
}

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
            bool is_older = memcmp(mixed + at, old->data + at, PAGE_BYTES) == 0;
            count(&tally,
                  is_free_at(good, at) ||
                      (is_older && is_empty_in_both(good->data + at, old->data + at)),
                  try(path));
        }
    }
    free(mixed);
    return tally;
}

/* Why (I3): a row that turns into another one lets a command be done twice. How: 60 commands, all
 * done; the file is spoilt at many places, and mixed with the file as it was after 30. Which pages
 * are free is read from the good file: a turned bit is refused in each page that is not. */
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
    old = journal_of(path);
    {
        CAS_AUTO(ledger) ledger = NULL;
        EXPECT_OK(ledger_open(path, &ledger, NULL), NULL);
        ledger_fill(ledger, OLD_COMMANDS + 1, COMMANDS);
    }
    good = journal_of(path);
    struct tally tally = try_flips(path, &good, ledger_try, &dice);
    EXPECT_TRUE(tally.refused > FLIPS / 5 && tally.whole == 0);
    EXPECT_TRUE(tally.harmless > FLIPS / 10); /* the reserve */
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
    unsigned whole_n = 0;
    for (unsigned i = 0; i < FLIPS / 4; i++) {
        size_t at = test_below(&dice, i % 2 == 0 ? good_log.size : 64);
        char was = good_log.data[at];
        good_log.data[at] = (char)((unsigned char)was ^ (1U << test_below(&dice, 7)));
        test_write(path, good.data, good.size);
        test_write(log, good_log.data, good_log.size);
        good_log.data[at] = was;
        whole_n += ledger_try(path) == WHOLE ? 1 : 0;
    }
    EXPECT_TRUE(whole_n > FLIPS / 8);
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
    old = journal_of(path);
    {
        CAS_AUTO(outbox) outbox = NULL;
        EXPECT_OK(outbox_open(path, OUTBOX_BYTES, &outbox, NULL), NULL);
        outbox_fill(outbox, OLD_RECORDS + 1, RECORDS - 1);
    }
    near = journal_of(path);
    {
        CAS_AUTO(outbox) outbox = NULL;
        EXPECT_OK(outbox_open(path, OUTBOX_BYTES, &outbox, NULL), NULL);
        outbox_fill(outbox, RECORDS, RECORDS);
    }
    good = journal_of(path);
    struct tally tally = try_flips(path, &good, outbox_try, &dice);
    EXPECT_UINT_EQ(FLIPS, tally.refused); /* no page of it is free */
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
