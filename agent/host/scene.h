/* scene.h - what do the raw findings on a Windows server say about its pool?
 *
 * Pure: no Windows, no clock, no I/O; the same findings, the same readings. Every finding carries
 * when it was made and, where it is missing, the reason; a number that cannot be (negative, not a
 * number, beyond its bound) becomes a reason too, never a reading. Used by host_windows.c; tested
 * on any system. */
#ifndef AGENT_HOST_SCENE_H
#define AGENT_HOST_SCENE_H

#include "agent/host/capture.h"
#include "agent/host/host.h"

enum {
    SCENE_COUNTERS = 512,
    SCENE_INSTANCE_BYTES = 128,
    SCENE_STATES = 64,
    SCENE_BODY_BYTES = 1024,
};

/* "" is known. */
struct scene_reason {
    char text[REASON_BYTES];
};

struct scene_worker {
    uint32_t pid;
    int64_t start_ms; /* wall clock */
    double private_bytes, working_set_bytes, handles; /* NAN: not known */
    struct scene_reason memory;                       /* why they are not */
};
struct scene_memory {
    double available_bytes, total_bytes;
};

struct scene_socket {
    bool is_ipv6;
    uint8_t local[16], remote[16]; /* network order; IPv4 in the first four */
    uint16_t local_port, remote_port;
    enum capture_state state;
    uint32_t pid; /* 0: not told */
};

/* One value of one instance ("" where the object has none). */
struct scene_counter {
    enum capture_counter kind;
    char instance[SCENE_INSTANCE_BYTES];
    double value; /* NAN: the counter is there and had no value in this sample */
};
struct scene_counters {
    struct scene_counter row[SCENE_COUNTERS];
    size_t row_n;
    size_t dropped_n;                              /* beyond SCENE_COUNTERS */
    struct scene_reason absent[CAPTURE_COUNTER_N]; /* why a counter has no row at all */
};

struct scene_exchange {
    char install_path[256]; /* "" none */
    struct scene_reason missing;
    bool has_file;      /* ExSetup.exe's file version */
    char file[32];      /* 15.1.2507.39 */
    bool has_registry;  /* MsiProductMajor.. */
    char registry[32];
    bool has_mailbox, has_cas; /* role keys below ExchangeServer\v15 */
    bool is_setup_running;
};
struct scene_system {
    char os_name[128]; /* Windows Server 2016 Standard 10.0.14393 */
    char host_name[256];   /* DNS, fully qualified where known */
    bool is_reboot_pending;
    char reboot_reason[REASON_BYTES];
};
struct scene_state {
    char component[64];
    char requester[64];
    bool is_active;
    int64_t at_ms; /* 0: not told */
};
struct scene_states {
    struct scene_state row[SCENE_STATES];
    size_t row_n;
    size_t refused_n; /* values that could not be read; the first reason */
    struct scene_reason refused;
};
struct scene_probe {
    uint32_t status; /* 0: no answer; reason says why */
    char body[SCENE_BODY_BYTES];
    struct scene_reason reason;
};

#endif
