/* Plays the files given as arguments through one fuzz target, so that every kept input runs on
 * every test run. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

enum {
    REPLAY_BYTES = 1024 * 1024
};

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "cannot open %s\n", path);
        return 1;
    }
    static uint8_t data[REPLAY_BYTES];
    size_t size = fread(data, 1, sizeof data, file);
    (void)fclose(file);
    /* A copy of exactly this size, so that a read past its end is seen. */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL)
        return 1;
    for (size_t i = 0; i < size; i++)
        exact[i] = data[i];
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "use: %s INPUT...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i]) != 0)
            return 1;
    }
    (void)printf("%d inputs replayed\n", argc - 1);
    return 0;
}
