/* double_windows.h - what the doubles of a CAS server's parts share; for tests under Wine only.
 *
 * Their folder in the prefix, C:\doubles: was.mode and appcmd.mode say how to misbehave (one word,
 * absent is "ok", read at each use), pool.health says what a health page would answer, effects.log
 * what really happened to the pool, one JSON line an effect, in the form of the sim host's. */
#ifndef TESTS_WINDOWS_DOUBLE_WINDOWS_H
#define TESTS_WINDOWS_DOUBLE_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>
#include <windows.h>

#define DOUBLE_FOLDER "C:\\doubles\\"
#define DOUBLE_PIPE   "\\\\.\\pipe\\casfleet-double-was"

enum {
    DOUBLE_TEXT_BYTES = 4096,
    DOUBLE_MODE_BYTES = 32,
};

/* What appcmd asks of was: a word and the pool's name ("" none). */
struct double_ask {
    char verb[16]; /* list, state, requests, recycle */
    char pool[128];
};
struct double_answer {
    uint32_t code;
    char text[DOUBLE_TEXT_BYTES]; /* terminated */
};

/* The word in C:\doubles\NAME; "ok" when there is none. */
void double_mode(const char *name, char ret_mode[DOUBLE_MODE_BYTES]);
/* Whole text into C:\doubles\NAME, in one step for readers. */
bool double_put(const char *name, const char *text);

#endif
