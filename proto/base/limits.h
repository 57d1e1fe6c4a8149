/* limits.h - every bound of casfleet, by name; each is tested at its edge. */
#ifndef PROTO_BASE_LIMITS_H
#define PROTO_BASE_LIMITS_H

enum {
    CAS_WHY_BYTES = 512,
    CAS_NAME_BYTES = 64, /* a name with its terminating byte */
    CAS_KEY_BYTES = 32,  /* CURVE25519 and Ed25519 public keys */
    CAS_ID_BYTES = 16,   /* cmd_id, nonce, boot_id, spool_id, leader_id */
    CAS_HASH_BYTES = 32, /* plan hash, BLAKE2b-256 */
    CAS_SIGN_BYTES = 64, /* Ed25519 signature */

    /* the wire */
    WIRE_FRAME_BYTES = 65536, /* one message, one frame; also ZMQ_MAXMSGSIZE */
    WIRE_DEPTH = 6,           /* nested arrays and maps */
    WIRE_OBJECTS = 1200,      /* msgpack objects in one frame: 24 bytes each once unpacked */
    WIRE_ARENA_BYTES = 65536, /* what decoding one frame may take, msgpack zone included */
    WIRE_REPORT_RECORDS = 64,
    WIRE_REPORT_BYTES = 49152,
    WIRE_BODY_BYTES = 4096, /* one record's body */
    WIRE_READINGS = 64,
    WIRE_TAIL = 16,              /* journal tail in a heartbeat */
    WIRE_ARGS = 32,              /* arguments of one ASK */
    WIRE_ARG_BYTES = 16384,      /* a node set of a large farm */
    WIRE_DOCUMENT_BYTES = 60000, /* part of a document in one ANSWER */
    WIRE_DOCUMENT_TOTAL = 8 * 1024 * 1024,
    WIRE_PLAN_BYTES = 57344,
    WIRE_SIGNATURES = 8,

    /* peers */
    PEER_RATE_PER_S = 20, /* messages a second and agent; more are dropped and counted */
    PEER_RATE_BURST = 40,
    OPERATOR_RATE_PER_S = 200, /* a script asks as fast as programs start */
    OPERATOR_RATE_BURST = 400,
    PEER_VIOLATIONS_PER_MIN = 3, /* then quarantine */
    PEER_QUARANTINE_MS = 60000,
    PEER_MAX = 12000,
    PEER_PENDING_MAX = 256, /* unknown keys remembered while they wait for approval */

    /* time, all in ms */
    TICK_MS = 5000,        /* TICK every, answered by HB */
    FRESH_MS = 20000,      /* F: health older than this is no proof */
    GRANT_LIFE_MS = 15000, /* G: nonce to effect, on the agent's two clocks */
    SAMPLE_MS = 15000,
    REPORT_MS = 60000,
    CLAIM_WAIT_MS = 30000, /* OFFER to CLAIM, then the server has failed */
    RESEND_MS = 5000,      /* OFFER, GRANT, REVOKE, RESULT are sent again until answered */
    CLOCK_SKEW_MS = 30000,
    PLAN_VALID_MS = 30 * 60 * 1000,

    /* farm */
    FLEET_SERVERS = 12000,
    FLEET_ROLLOUTS_OPEN = 64,
    ROLLOUT_SERVERS = 4096,
    ROLLOUT_LEAP = 10000, /* numbers left out once an agent says that a rollout's is of before */
    LABEL_BYTES = 64,
    REASON_BYTES = 128,
    ROLLOUT_WORDS_BYTES = 384, /* told of one decision, or of one server at a halt; a longer one
                                  ends in "..." */
    AUDIT_WORDS_BYTES = ROLLOUT_WORDS_BYTES + 64, /* of one row: with its reason */
    POOL_BYTES = 128, /* an application pool's name: IIS allows 64 characters */
    POOLS_ALLOWED = 16,

    /* agent's disk */
    OUTBOX_BYTES = 64 * 1024 * 1024,
    LEDGER_ROWS = 4096,
    LEDGER_REVOKED = 1024, /* of them, at most, commands revoked before they were begun */
    CONFIG_BYTES = 65536,
    KEY_FILE_BYTES = 4096,

    /* captures: files that Windows tools wrote */
    CAPTURE_FILE_BYTES = 64 * 1024 * 1024,
    CAPTURE_LINE_BYTES = 16384,      /* one line of netstat, appcmd, netsh or ExSetup text */
    CAPTURE_ROW_BYTES = 1024 * 1024, /* one line of a counter file: thousands of columns */
    CAPTURE_COLUMNS = 8192,
    CAPTURE_SOCKETS = 262144,    /* rows of one netstat listing */
    CAPTURE_OWNERS = 256,        /* processes told apart by their CLOSE_WAIT */
    CAPTURE_WORKERS = 16,        /* worker processes of one pool in one row */
    CAPTURE_EVENT_BYTES = 65536, /* one event's XML */
    CAPTURE_EVENT_DEPTH = 8,     /* nested elements in it */
    CAPTURE_EVENT_DATA = 64,     /* Data values kept of it */
    CAPTURE_EVENT_TEXT = 16384,  /* bytes kept of all of them */
    CAPTURE_EVENT_BINARY = 512,
    CAPTURE_SECTIONS = 8,     /* nested [sections] of appcmd's text form */
    CAPTURE_PATH_BYTES = 128, /* recycling.periodicRestart.time */
    CAPTURE_PORT_RANGES = 64, /* excluded port ranges */
    FILE_PATH_BYTES = 4096,   /* with its terminating byte */
    ARGS_VALUE_BYTES = 4096,  /* of the environment that is looked at, likewise */

    /* what a server can hold: a number beyond is no measurement */
    SCENE_REQUESTS_MOST = 10000000,
    SCENE_PER_S_MOST = 10000000,
    SCENE_GIB_MOST = 262144, /* of memory */
    SCENE_HANDLES_MOST = 16777216,
    SCENE_EVENTS_MOST = 10000000,
    SCENE_AGE_DAYS_MOST = 3650,  /* of a worker */
    SCENE_AHEAD_MS_MOST = 60000, /* its start may lie so far ahead of a clock that was set */

    /* what people write and read */
    NODESET_BYTES = 65536,                /* text of a node set */
    NODESET_BRACKETS = 4,                 /* lists in one part of it */
    NODESET_MENTIONS = 4 * FLEET_SERVERS, /* names before doubles are dropped */
    NODESET_DIGITS = 18,                  /* of a number in a name that counts as a number */
    OPTIONS_ROWS = 128,
    OPTIONS_TEXT_BYTES = 256,
    OPTIONS_PATH_BYTES = 1024,
    OPTIONS_ITEM_BYTES = 128,
    OPTIONS_LIST_ITEMS = 64,
    OPTIONS_WORDS = 16,
    OPTIONS_HELP_BYTES = 32768,
    LOG_LINE_BYTES = 1024, /* what is longer ends in "..." */
    LOG_BURST = 10,        /* lines of one event at once; after that one a second on average */
    LOG_SUMMARY_MS = 10000,
};

#endif
