/* appcmd.exe: says and does what IIS' own tool does, by asking was.exe over a pipe.
 *
 * C:\doubles\appcmd.mode: ok; fail (1168, an error text); hang; flood (text without end); german
 * (does it, says so in German, in the console's code page); silent (does it, says nothing); lie
 * (says it did, did nothing). They count for recycle, hang and flood for every question. Each call
 * leaves a line in C:\doubles\appcmd.log. */
#include "tests/windows/double_windows.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CODE_NOT_FOUND = 1168,
    CODE_USAGE = 87,
    CODE_NO_SERVICE = 1062
};

struct words {
    const char *verb;   /* list, recycle */
    const char *object; /* wp, apppool, requests */
    const char *pool;   /* "" any */
    const char *form;   /* of /text: */
    unsigned long elapsed_ms;
};

static bool is_one_of(const char *word, const char *one, const char *many)
{
    return _stricmp(word, one) == 0 || _stricmp(word, many) == 0;
}

static bool words_read(int argc, char **argv, struct words *ret_words)
{
    static const char pool_key[] = "/apppool.name:";
    static const char name_key[] = "/name:";
    static const char text_key[] = "/text:";
    static const char elapsed_key[] = "/elapsed:";
    *ret_words = (struct words){.pool = "", .form = ""};
    if (argc < 3)
        return false;
    ret_words->verb = argv[1];
    ret_words->object = argv[2];
    for (int i = 3; i < argc; i++) {
        const char *word = argv[i];
        if (_strnicmp(word, pool_key, strlen(pool_key)) == 0)
            ret_words->pool = word + strlen(pool_key);
        else if (_strnicmp(word, name_key, strlen(name_key)) == 0)
            ret_words->pool = word + strlen(name_key);
        else if (_strnicmp(word, text_key, strlen(text_key)) == 0)
            ret_words->form = word + strlen(text_key);
        else if (_strnicmp(word, elapsed_key, strlen(elapsed_key)) == 0)
            ret_words->elapsed_ms = strtoul(word + strlen(elapsed_key), NULL, 10);
        else if (word[0] != '/')
            ret_words->pool = word;
        else
            return false;
    }
    return true;
}

static bool ask(const char *verb, const char *pool, struct double_answer *ret_answer)
{
    struct double_ask asked = {.verb = ""};
    DWORD size = 0;
    (void)snprintf(asked.verb, sizeof asked.verb, "%s", verb);
    (void)snprintf(asked.pool, sizeof asked.pool, "%s", pool);
    memset(ret_answer, 0, sizeof *ret_answer);
    return CallNamedPipeA(DOUBLE_PIPE,
                          &asked,
                          sizeof asked,
                          ret_answer,
                          sizeof *ret_answer,
                          &size,
                          10000) &&
           size == sizeof *ret_answer;
}

static int error(const char *message, int code)
{
    (void)printf("ERROR ( message:%s )\r\n", message);
    return code;
}

static int unavailable(void)
{
    return error("The WAS service is not available - try starting the service first.",
                 CODE_NO_SERVICE);
}

static int list_workers(const struct words *words)
{
    struct double_answer answer;
    if (!ask("list", words->pool, &answer))
        return unavailable();
    (void)fputs(answer.text, stdout);
    return answer.text[0] == '\0' ? 1 : 0;
}

/* The settings Exchange's setup gives the pool. */
static const char *const tree[] = {
    "  [add]",
    "    name:\"%s\"",
    "    queueLength:\"1000\"",
    "    autoStart:\"true\"",
    "    enable32BitAppOnWin64:\"false\"",
    "    managedRuntimeVersion:\"v4.0\"",
    "    managedRuntimeLoader:\"webengine4.dll\"",
    "    enableConfigurationOverride:\"true\"",
    "    managedPipelineMode:\"Integrated\"",
    "    CLRConfigFile:\"C:\\Program Files\\Microsoft\\Exchange Server\\V15\\bin\\"
    "GenericAppPoolConfigWithGCServerEnabledFalse.config\"",
    "    passAnonymousToken:\"true\"",
    "    startMode:\"OnDemand\"",
    "    [processModel]",
    "      identityType:\"LocalSystem\"",
    "      userName:\"\"",
    "      password:\"\"",
    "      loadUserProfile:\"true\"",
    "      manualGroupMembership:\"false\"",
    "      idleTimeout:\"00:00:00\"",
    "      maxProcesses:\"1\"",
    "      shutdownTimeLimit:\"00:01:30\"",
    "      startupTimeLimit:\"00:01:30\"",
    "      pingingEnabled:\"false\"",
    "      pingInterval:\"00:00:30\"",
    "      pingResponseTime:\"00:01:30\"",
    "    [recycling]",
    "      disallowOverlappingRotation:\"false\"",
    "      disallowRotationOnConfigChange:\"false\"",
    "      logEventOnRecycle:\"Time, Requests, Schedule, Memory, IsapiUnhealthy, OnDemand, "
    "ConfigChange, PrivateMemory\"",
    "      [periodicRestart]",
    "        memory:\"0\"",
    "        privateMemory:\"0\"",
    "        requests:\"0\"",
    "        time:\"00:00:00\"",
    "        [schedule]",
    "    [failure]",
    "      loadBalancerCapabilities:\"HttpLevel\"",
    "      orphanWorkerProcess:\"false\"",
    "      rapidFailProtection:\"false\"",
    "      rapidFailProtectionInterval:\"00:05:00\"",
    "      rapidFailProtectionMaxCrashes:\"5\"",
    "    [cpu]",
    "      limit:\"0\"",
    "      action:\"NoAction\"",
    "      resetInterval:\"00:05:00\"",
};

static void tree_print(const char *pool, const char *state)
{
    (void)printf("APPPOOL\r\n  APPPOOL.NAME:\"%s\"\r\n  PipelineMode:\"Integrated\"\r\n"
                 "  RuntimeVersion:\"v4.0\"\r\n  state:\"%s\"\r\n",
                 pool,
                 state);
    for (size_t i = 0; i < sizeof tree / sizeof tree[0]; i++) {
        if (i == 1)
            (void)printf("    name:\"%s\"\r\n", pool);
        else
            (void)printf("%s\r\n", tree[i]);
    }
}

static int list_pool(const struct words *words)
{
    struct double_answer answer;
    if (!ask("state", words->pool, &answer))
        return unavailable();
    if (answer.code != 0)
        return 1; /* as the real one: nothing is said of what does not exist */
    char *state = strchr(answer.text, '\n');
    if (state == NULL)
        return 1;
    *state++ = '\0';
    if (strcmp(words->form, "*") == 0)
        tree_print(answer.text, state);
    else if (_stricmp(words->form, "state") == 0)
        (void)printf("%s\r\n", state);
    else
        (void)printf("APPPOOL \"%s\" (MgdVersion:v4.0,MgdMode:Integrated,state:%s)\r\n",
                     answer.text,
                     state);
    return 0;
}

static int list_requests(const struct words *words)
{
    struct double_answer answer;
    if (!ask("requests", words->pool, &answer))
        return unavailable();
    unsigned long count = strtoul(answer.text, NULL, 10);
    for (unsigned long i = 0; i < count; i++) {
        unsigned long age_ms = 3600000 + i * 61000;
        if (age_ms >= words->elapsed_ms)
            (void)printf("REQUEST \"%08lx800000%02lx\" (url:POST "
                         "/Microsoft-Server-ActiveSync/Proxy/default.eas?Cmd=Ping&User=u%lu,"
                         "time:%lu msec, client:10.1.2.%lu, stage:ExecuteRequestHandler, "
                         "module:ManagedPipelineHandler)\r\n",
                         0xfb000000UL + i,
                         i % 256,
                         i,
                         age_ms,
                         1 + i % 250);
    }
    return count == 0 ? 1 : 0;
}

static int recycle(const struct words *words, const char *mode)
{
    struct double_answer answer;
    if (strcmp(mode, "fail") == 0)
        return error("Cannot find APPPOOL object with that identifier.", CODE_NOT_FOUND);
    if (strcmp(mode, "lie") != 0) {
        if (!ask("recycle", words->pool, &answer))
            return unavailable();
        if (answer.code != 0)
            return error(answer.text, (int)answer.code);
    }
    if (strcmp(mode, "silent") == 0)
        return 0;
    if (strcmp(mode, "german") == 0)
        (void)printf("\"%s\" wurde erfolgreich zur\x81"
                     "ckgesetzt\r\n",
                     words->pool);
    else
        (void)printf("\"%s\" successfully recycled\r\n", words->pool);
    return 0;
}

static void call_note(void)
{
    FILE *file = fopen(DOUBLE_FOLDER "appcmd.log", "ab");
    if (file == NULL)
        return;
    (void)fprintf(file, "%s\n", GetCommandLineA());
    (void)fclose(file);
}

static void misbehave(const char *mode)
{
    if (strcmp(mode, "hang") == 0)
        Sleep(INFINITE);
    while (strcmp(mode, "flood") == 0)
        (void)puts("WP \"4120\" (applicationPool:MSExchangeSyncAppPool) and so on, and so on");
}

int main(int argc, char **argv)
{
    struct words words;
    char mode[DOUBLE_MODE_BYTES];
    (void)_setmode(_fileno(stdout), _O_BINARY);
    call_note();
    double_mode("appcmd.mode", mode);
    misbehave(mode);
    if (!words_read(argc, argv, &words))
        return error("Unknown parameters.", CODE_USAGE);
    if (_stricmp(words.verb, "recycle") == 0 && is_one_of(words.object, "apppool", "apppools"))
        return recycle(&words, mode);
    if (_stricmp(words.verb, "list") != 0)
        return error("Unknown command.", CODE_USAGE);
    if (is_one_of(words.object, "wp", "wps"))
        return list_workers(&words);
    if (is_one_of(words.object, "apppool", "apppools"))
        return list_pool(&words);
    if (is_one_of(words.object, "request", "requests"))
        return list_requests(&words);
    return error("Unknown object.", CODE_USAGE);
}
