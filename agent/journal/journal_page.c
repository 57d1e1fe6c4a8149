#include "agent/journal/journal_page.h"

#include <string.h>

#include <sqlite3.h>

enum {
    HEADER_BYTES = 100, /* SQLite's, on the first page */
    HEADER_PAGE_AT = 16,
    HEADER_ROOM_AT = 20, /* bytes kept free at the end of each page */
    WORD_BYTES = 8
};
static const char layer_name[] = "casfleet-pages";

struct page_file {
    struct sqlite3_file base;
    struct sqlite3_file *below;
    bool has_sums; /* as its header says; read before any other page */
    uint8_t copy[JOURNAL_PAGE_BYTES];
};

static struct {
    struct sqlite3_vfs vfs;
    struct sqlite3_vfs *below;
} layer;

/* Each step maps different values to different values: a page with one word changed always has
 * another sum. The place is in it, so that a page written to a wrong place is found. */
static uint64_t sum_of(const uint8_t *page, sqlite3_int64 at)
{
    uint64_t sum = 0x9e3779b97f4a7c15U ^ (uint64_t)at;
    for (size_t i = 0; i < JOURNAL_PAGE_BYTES - JOURNAL_SUM_BYTES; i += WORD_BYTES) {
        const uint8_t *at_word = page + i;
        uint64_t word = (uint64_t)at_word[0] | (uint64_t)at_word[1] << 8 |
                        (uint64_t)at_word[2] << 16 | (uint64_t)at_word[3] << 24 |
                        (uint64_t)at_word[4] << 32 | (uint64_t)at_word[5] << 40 |
                        (uint64_t)at_word[6] << 48 | (uint64_t)at_word[7] << 56;
        sum = (sum ^ word) * 0xff51afd7ed558ccdU;
        sum ^= sum >> 32;
    }
    return sum;
}

static void sum_put(uint8_t *page, sqlite3_int64 at)
{
    uint64_t sum = sum_of(page, at);
    for (size_t k = 0; k < JOURNAL_SUM_BYTES; k++)
        page[JOURNAL_PAGE_BYTES - JOURNAL_SUM_BYTES + k] = (uint8_t)(sum >> (8 * k));
}

static bool is_sum_right(const uint8_t *page, sqlite3_int64 at)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < JOURNAL_SUM_BYTES; k++)
        sum |= (uint64_t)page[JOURNAL_PAGE_BYTES - JOURNAL_SUM_BYTES + k] << (8 * k);
    return sum == sum_of(page, at);
}

/* A page that was made and given up in one change is never written: a hole. SQLite refuses it when
 * it is in use. */
static bool is_hole(const uint8_t *page)
{
    for (size_t i = 0; i < JOURNAL_PAGE_BYTES; i++) {
        if (page[i] != 0)
            return false;
    }
    return true;
}

static void header_take(struct page_file *file, const uint8_t *page)
{
    file->has_sums = page[HEADER_PAGE_AT] == JOURNAL_PAGE_BYTES >> 8 &&
                     page[HEADER_PAGE_AT + 1] == 0 && page[HEADER_ROOM_AT] == JOURNAL_SUM_BYTES;
}

static bool is_page(int size, sqlite3_int64 at)
{
    return size == JOURNAL_PAGE_BYTES && at % JOURNAL_PAGE_BYTES == 0;
}

static struct page_file *page_file_of(struct sqlite3_file *file)
{
    return (struct page_file *)(void *)file;
}

static int page_read(struct sqlite3_file *base, void *data, int size, sqlite3_int64 at)
{
    struct page_file *file = page_file_of(base);
    int result = file->below->pMethods->xRead(file->below, data, size, at);
    /* What is beyond the end of the file is read as zeros, and no error to SQLite: a page that was
     * cut off in the middle looks like one. */
    if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ)
        return result;
    if (at == 0 && size >= HEADER_BYTES)
        header_take(file, data);
    if (!file->has_sums || !is_page(size, at) || is_sum_right(data, at) || is_hole(data))
        return result;
    return SQLITE_IOERR_DATA;
}

static int page_write(struct sqlite3_file *base, const void *data, int size, sqlite3_int64 at)
{
    struct page_file *file = page_file_of(base);
    if (at == 0 && size >= HEADER_BYTES)
        header_take(file, data);
    if (file->has_sums && is_page(size, at)) {
        memcpy(file->copy, data, JOURNAL_PAGE_BYTES);
        sum_put(file->copy, at);
        data = file->copy;
    }
    return file->below->pMethods->xWrite(file->below, data, size, at);
}

/* ---- what is passed on as it is ---- */

static int page_close(struct sqlite3_file *base)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xClose(below);
}

static int page_truncate(struct sqlite3_file *base, sqlite3_int64 size)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xTruncate(below, size);
}

static int page_sync(struct sqlite3_file *base, int flags)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xSync(below, flags);
}

static int page_size(struct sqlite3_file *base, sqlite3_int64 *ret_size)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xFileSize(below, ret_size);
}

static int page_lock(struct sqlite3_file *base, int level)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xLock(below, level);
}

static int page_unlock(struct sqlite3_file *base, int level)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xUnlock(below, level);
}

static int page_check_lock(struct sqlite3_file *base, int *ret_is_reserved)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xCheckReservedLock(below, ret_is_reserved);
}

static int page_control(struct sqlite3_file *base, int what, void *value)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xFileControl(below, what, value);
}

static int page_sector(struct sqlite3_file *base)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xSectorSize(below);
}

static int page_traits(struct sqlite3_file *base)
{
    struct sqlite3_file *below = page_file_of(base)->below;
    return below->pMethods->xDeviceCharacteristics(below);
}

/* Version 1: no shared index of the log and no memory map, neither of which a journal uses (its
 * lock is exclusive). */
static const struct sqlite3_io_methods page_methods = {
    .iVersion = 1,
    .xClose = page_close,
    .xRead = page_read,
    .xWrite = page_write,
    .xTruncate = page_truncate,
    .xSync = page_sync,
    .xFileSize = page_size,
    .xLock = page_lock,
    .xUnlock = page_unlock,
    .xCheckReservedLock = page_check_lock,
    .xFileControl = page_control,
    .xSectorSize = page_sector,
    .xDeviceCharacteristics = page_traits,
};

static int layer_open(struct sqlite3_vfs *vfs,
                      const char *path,
                      struct sqlite3_file *base,
                      int flags,
                      int *ret_flags)
{
    (void)vfs;
    if ((flags & SQLITE_OPEN_MAIN_DB) == 0)
        return layer.below->xOpen(layer.below, path, base, flags, ret_flags);
    struct page_file *file = page_file_of(base);
    memset(file, 0, sizeof *file);
    file->below = (struct sqlite3_file *)(void *)(file + 1);
    int result = layer.below->xOpen(layer.below, path, file->below, flags, ret_flags);
    /* SQLite closes what has methods, also after an error. */
    base->pMethods = file->below->pMethods != NULL ? &page_methods : NULL;
    return result;
}

const char *journal_page_layer(void)
{
    struct sqlite3_vfs *below = sqlite3_vfs_find(NULL);
    if (below == NULL)
        return NULL;
    if (layer.below == below)
        return layer_name;
    /* Tests put other disks below, between two openings. */
    if (layer.below != NULL)
        (void)sqlite3_vfs_unregister(&layer.vfs);
    layer.below = below;
    layer.vfs = *below;
    layer.vfs.pNext = NULL;
    layer.vfs.zName = layer_name;
    layer.vfs.szOsFile = (int)sizeof(struct page_file) + below->szOsFile;
    layer.vfs.xOpen = layer_open;
    return sqlite3_vfs_register(&layer.vfs, 0) == SQLITE_OK ? layer_name : NULL;
}

void journal_page_prepare(struct sqlite3 *db)
{
    int room = JOURNAL_SUM_BYTES;
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &room);
}
