#define _XOPEN_SOURCE 700 /* nftw, mkdtemp */
#include "tests/bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CHILDREN = 8
};
/* Ended whatever happens. */
static int children[CHILDREN];
static char folders[CHILDREN][BENCH_PATH_BYTES];

static void leave(void)
{
    for (size_t i = 0; i < CHILDREN; i++) {
        if (children[i] != 0)
            bench_kill(&(struct bench_process){.pid = children[i]});
        if (folders[i][0] != '\0')
            bench_folder_free(folders[i]);
    }
}

void bench_die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("bench: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void bench_check(enum cas_err err, const struct cas_why *why)
{
    if (err != CAS_OK)
        bench_die("%s", why->text[0] != '\0' ? why->text : cas_err_words(err));
}

int64_t bench_now_us(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

void bench_wait_us(int64_t wait_us)
{
    struct timespec wait = {.tv_sec = (time_t)(wait_us / 1000000),
                            .tv_nsec = (long)(wait_us % 1000000) * 1000};
    (void)nanosleep(&wait, NULL);
}

uint64_t bench_files_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_cur : 0;
}

static size_t child_note(int pid)
{
    static bool is_set;
    if (!is_set && atexit(leave) != 0)
        bench_die("no room for what is done at the end");
    is_set = true;
    for (size_t i = 0; i < CHILDREN; i++) {
        if (children[i] == 0) {
            children[i] = pid;
            return i;
        }
    }
    bench_die("more than %d processes at once", CHILDREN);
}

static void child_forget(int pid)
{
    for (size_t i = 0; i < CHILDREN; i++) {
        if (children[i] == pid)
            children[i] = 0;
    }
}

struct bench_process bench_start(const char *const *argv, const char *log)
{
    /* execv takes what it does not change as changeable. */
    char *copy[32] = {NULL};
    size_t n = 0;
    for (; argv[n] != NULL && n + 1 < CAS_COUNT(copy); n++)
        copy[n] = strdup(argv[n]);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0)
        bench_die("%s: %s", log, strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        bench_die("no new process: %s", strerror(errno));
    if (pid == 0) {
        /* Ends with the bench, however that ends. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
            _exit(127);
        (void)dup2(out, STDOUT_FILENO);
        (void)dup2(out, STDERR_FILENO);
        (void)execv(copy[0], copy);
        _exit(127);
    }
    (void)close(out);
    for (size_t i = 0; i < n; i++)
        free(copy[i]);
    (void)child_note((int)pid);
    return (struct bench_process){.pid = (int)pid};
}

bool bench_has_ended(struct bench_process *process, int *ret_code)
{
    int status = 0;
    if (process->pid == 0 || waitpid(process->pid, &status, WNOHANG) == 0)
        return false;
    child_forget(process->pid);
    process->pid = 0;
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

void bench_kill(struct bench_process *process)
{
    if (process->pid == 0)
        return;
    (void)kill(process->pid, SIGKILL);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    child_forget(process->pid);
    process->pid = 0;
}

/* Nanoseconds on a processor, of one thread. */
static int64_t thread_us(int pid, const char *thread)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, thread);
    FILE *file = fopen(path, "r");
    unsigned long long spent_ns = 0;
    if (file == NULL)
        return 0;
    int got = fscanf(file, "%llu", &spent_ns);
    (void)fclose(file);
    return got == 1 ? (int64_t)(spent_ns / 1000) : 0;
}

struct bench_cpu bench_cpu_of(const struct bench_process *process)
{
    char path[64];
    char first[32];
    struct bench_cpu cpu = {0, 0};
    (void)snprintf(path, sizeof path, "/proc/%d/task", process->pid);
    (void)snprintf(first, sizeof first, "%d", process->pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return cpu;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.')
            cpu.all_us += thread_us(process->pid, entry->d_name);
    }
    (void)closedir(folder);
    cpu.main_us = thread_us(process->pid, first);
    return cpu;
}

int64_t bench_status_kib(const struct bench_process *process, const char *name)
{
    char path[64];
    char line[256];
    int64_t kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", process->pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    while (kib < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            kib = strtoll(line + strlen(name) + 1, NULL, 10);
    }
    (void)fclose(file);
    return kib;
}

int64_t bench_rss_kib(const struct bench_process *process)
{
    return bench_status_kib(process, "VmRSS");
}

void bench_machine(char *ret_text, size_t cap)
{
    char line[256];
    char model[128] = "";
    struct utsname name;
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file != NULL && model[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *at = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && at != NULL)
            (void)snprintf(model, sizeof model, "%.*s", (int)strcspn(at + 2, "\n"), at + 2);
    }
    if (file != NULL)
        (void)fclose(file);
    if (uname(&name) != 0)
        bench_die("uname: %s", strerror(errno));
    (void)snprintf(ret_text,
                   cap,
                   "%ld processors %s, %s %s, %lld MiB",
                   sysconf(_SC_NPROCESSORS_ONLN),
                   model,
                   name.sysname,
                   name.release,
                   (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / (1024 * 1024));
}

void bench_folder_make(char ret_path[BENCH_PATH_BYTES])
{
    const char *top = getenv("TMPDIR");
    (void)snprintf(ret_path,
                   BENCH_PATH_BYTES,
                   "%.900s/casfleet-bench.XXXXXX",
                   top != NULL ? top : "/tmp");
    if (mkdtemp(ret_path) == NULL)
        bench_die("%s: %s", ret_path, strerror(errno));
    for (size_t i = 0; i < CHILDREN; i++) {
        if (folders[i][0] == '\0') {
            (void)snprintf(folders[i], BENCH_PATH_BYTES, "%s", ret_path);
            return;
        }
    }
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
    (void)stat;
    (void)kind;
    (void)walk;
    (void)remove(path);
    return 0;
}

void bench_folder_free(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    for (size_t i = 0; i < CHILDREN; i++) {
        if (strcmp(folders[i], path) == 0)
            folders[i][0] = '\0';
    }
}

void bench_self(char ret_path[BENCH_PATH_BYTES])
{
    ssize_t size = readlink("/proc/self/exe", ret_path, BENCH_PATH_BYTES - 1);
    if (size <= 0)
        bench_die("/proc/self/exe: %s", strerror(errno));
    ret_path[size] = '\0';
}
