#include "tests/unit/power_disk.h"

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

enum {
    FILES = 16,
    PIECE = 512,              /* what a disk writes whole or not at all */
    FILE_BYTES = 1024 * 1024, /* of each */
    UNASKED_PCT = 20          /* of the writes reach the disk before they are synced */
};

/* What the program reads back, and what the disk has. */
struct content {
    uint8_t *now;
    uint8_t *safe;
    size_t now_size;
    size_t safe_size;
    bool is_waiting[FILE_BYTES / PIECE]; /* for the next sync, which alone brings it to the disk */
    char path[512];
};
struct power_file {
    struct sqlite3_file base;
    struct content *content; /* NULL: a file without a name */
    struct sqlite3_file *real;
};

static struct {
    struct content file[FILES];
    struct sqlite3_vfs vfs;
    struct sqlite3_vfs *below;
    struct test_dice *dice;
    uint64_t sync_n;
    bool is_broken;
} disk;

static struct content *content_at(const char *path)
{
    for (size_t i = 0; i < FILES; i++) {
        if (strcmp(disk.file[i].path, path) == 0)
            return &disk.file[i];
    }
    return NULL;
}

static void content_free(struct content *content)
{
    free(content->now);
    free(content->safe);
    memset(content, 0, sizeof *content);
}

static struct content *content_make(const char *path)
{
    struct content *content = content_at("");
    EXPECT_NOT_NULL(content);
    content->now = calloc(1, FILE_BYTES);
    content->safe = calloc(1, FILE_BYTES);
    EXPECT_TRUE(content->now != NULL && content->safe != NULL);
    (void)snprintf(content->path, sizeof content->path, "%.511s", path);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return content;
    content->now_size = fread(content->now, 1, FILE_BYTES, file);
    (void)fclose(file);
    memcpy(content->safe, content->now, content->now_size);
    content->safe_size = content->now_size;
    return content;
}

/* This piece reaches the disk. */
static void piece_save(struct content *content, size_t at)
{
    size_t size = content->now_size - at < PIECE ? content->now_size - at : PIECE;
    memcpy(content->safe + at, content->now + at, size);
    if (at + size > content->safe_size)
        content->safe_size = at + size;
}

static struct power_file *power(struct sqlite3_file *file)
{
    return (struct power_file *)file;
}

static int power_close(struct sqlite3_file *file)
{
    return power(file)->real->pMethods->xClose(power(file)->real);
}

static int power_read(struct sqlite3_file *file, void *bytes, int size, sqlite3_int64 at)
{
    return power(file)->real->pMethods->xRead(power(file)->real, bytes, size, at);
}

static int power_write(struct sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    struct content *content = power(file)->content;
    if (content != NULL) {
        size_t end = (size_t)at + (size_t)size;
        EXPECT_TRUE(end <= FILE_BYTES);
        memcpy(content->now + at, bytes, (size_t)size);
        content->now_size = end > content->now_size ? end : content->now_size;
        for (size_t piece = (size_t)at / PIECE * PIECE; piece < end; piece += PIECE) {
            content->is_waiting[piece / PIECE] = true;
            if (test_below(disk.dice, 100) < UNASKED_PCT)
                piece_save(content, piece);
        }
    }
    return power(file)->real->pMethods->xWrite(power(file)->real, bytes, size, at);
}

static int power_truncate(struct sqlite3_file *file, sqlite3_int64 size)
{
    struct content *content = power(file)->content;
    if (content != NULL && (size_t)size < content->now_size) {
        memset(content->now + size, 0, content->now_size - (size_t)size);
        content->now_size = (size_t)size;
    }
    return power(file)->real->pMethods->xTruncate(power(file)->real, size);
}

static void waiting_save(struct content *content)
{
    for (size_t i = 0; i * PIECE < content->now_size; i++) {
        if (content->is_waiting[i])
            piece_save(content, i * PIECE);
    }
    memset(content->safe + content->now_size, 0, FILE_BYTES - content->now_size);
    content->safe_size = content->now_size;
}

static int power_sync(struct sqlite3_file *file, int flags)
{
    struct content *content = power(file)->content;
    if (content != NULL && !disk.is_broken)
        waiting_save(content);
    /* As a kernel does: what could not be written is told once, and called clean from then on. */
    if (content != NULL)
        memset(content->is_waiting, 0, sizeof content->is_waiting);
    if (disk.is_broken)
        return SQLITE_IOERR_FSYNC;
    disk.sync_n++;
    return power(file)->real->pMethods->xSync(power(file)->real, flags);
}

static int power_size(struct sqlite3_file *file, sqlite3_int64 *ret_size)
{
    return power(file)->real->pMethods->xFileSize(power(file)->real, ret_size);
}

static int power_lock(struct sqlite3_file *file, int level)
{
    return power(file)->real->pMethods->xLock(power(file)->real, level);
}

static int power_unlock(struct sqlite3_file *file, int level)
{
    return power(file)->real->pMethods->xUnlock(power(file)->real, level);
}

static int power_is_locked(struct sqlite3_file *file, int *ret_is_locked)
{
    return power(file)->real->pMethods->xCheckReservedLock(power(file)->real, ret_is_locked);
}

static int power_control(struct sqlite3_file *file, int what, void *argument)
{
    (void)file;
    (void)what;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int power_sector(struct sqlite3_file *file)
{
    return power(file)->real->pMethods->xSectorSize(power(file)->real);
}

static int power_traits(struct sqlite3_file *file)
{
    return power(file)->real->pMethods->xDeviceCharacteristics(power(file)->real);
}

/* No shared index: whoever opens must lock the file for himself, as the journal does. */
static const struct sqlite3_io_methods methods = {.iVersion = 1,
                                                  .xClose = power_close,
                                                  .xRead = power_read,
                                                  .xWrite = power_write,
                                                  .xTruncate = power_truncate,
                                                  .xSync = power_sync,
                                                  .xFileSize = power_size,
                                                  .xLock = power_lock,
                                                  .xUnlock = power_unlock,
                                                  .xCheckReservedLock = power_is_locked,
                                                  .xFileControl = power_control,
                                                  .xSectorSize = power_sector,
                                                  .xDeviceCharacteristics = power_traits};

static int power_open(struct sqlite3_vfs *vfs,
                      const char *path,
                      struct sqlite3_file *file,
                      int flags,
                      int *ret_flags)
{
    (void)vfs;
    struct power_file *opened = power(file);
    memset(opened, 0, sizeof *opened);
    opened->real = (struct sqlite3_file *)(opened + 1);
    if (path != NULL) {
        opened->content = content_at(path);
        if (opened->content == NULL)
            opened->content = content_make(path);
    }
    int result = disk.below->xOpen(disk.below, path, opened->real, flags, ret_flags);
    if (result == SQLITE_OK)
        opened->base.pMethods = &methods;
    return result;
}

static int power_delete(struct sqlite3_vfs *vfs, const char *path, int is_folder_synced)
{
    (void)vfs;
    struct content *content = content_at(path);
    if (content != NULL)
        content_free(content);
    return disk.below->xDelete(disk.below, path, is_folder_synced);
}

void power_disk_on(struct test_dice *dice)
{
    if (disk.below != NULL) /* a test that failed left it on */
        power_disk_off();
    disk.below = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.below;
    disk.vfs.zName = "power";
    disk.vfs.szOsFile = (int)sizeof(struct power_file) + disk.below->szOsFile;
    disk.vfs.pNext = NULL;
    disk.vfs.xOpen = power_open;
    disk.vfs.xDelete = power_delete;
    disk.dice = dice;
    disk.sync_n = 0;
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_vfs_register(&disk.vfs, 1));
}

void power_disk_off(void)
{
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_vfs_unregister(&disk.vfs));
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_vfs_register(disk.below, 1));
    for (size_t i = 0; i < FILES; i++)
        content_free(&disk.file[i]);
    disk.below = NULL;
    disk.is_broken = false;
}

uint64_t power_disk_syncs(void)
{
    return disk.sync_n;
}

void power_disk_break(bool is_broken)
{
    disk.is_broken = is_broken;
}

static void image_write(const char *path, const char *to, uint64_t keep_pct)
{
    struct content *content = content_at(path);
    struct content *old = content_at(to);
    if (old != NULL)
        content_free(old);
    (void)remove(to);
    if (content == NULL)
        return;
    for (size_t at = 0; at < content->now_size; at += PIECE) {
        if (test_below(disk.dice, 100) < keep_pct)
            piece_save(content, at);
    }
    FILE *file = fopen(to, "wb");
    EXPECT_NOT_NULL(file);
    EXPECT_UINT_EQ(content->safe_size, fwrite(content->safe, 1, content->safe_size, file));
    EXPECT_INT_EQ(0, fclose(file));
}

void power_disk_image(const char *path, const char *to, uint64_t keep_pct)
{
    char log[512];
    char log_to[512];
    (void)snprintf(log, sizeof log, "%.500s-wal", path);
    (void)snprintf(log_to, sizeof log_to, "%.500s-wal", to);
    image_write(path, to, keep_pct);
    image_write(log, log_to, keep_pct);
}
