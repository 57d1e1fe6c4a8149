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
    LABEL_BYTES = 64,
    REASON_BYTES = 128,
    POOL_BYTES = 128, /* an application pool's name: IIS allows 64 characters */
    POOLS_ALLOWED = 16,

    /* agent's disk */
    OUTBOX_BYTES = 64 * 1024 * 1024,
    LEDGER_ROWS = 4096,
    CONFIG_BYTES = 65536,
    KEY_FILE_BYTES = 4096,
    FILE_PATH_BYTES = 4096, /* with its terminating byte */
};

#endif
