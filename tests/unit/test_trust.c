#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/file.h"
#include "proto/trust/order.h"

enum {
    FRAME_BYTES = 2048,
    ARENA_BYTES = 65536
};

static struct keys *keys_of_seed(enum keys_kind kind, uint8_t first)
{
    struct cas_why why = {""};
    struct keys *keys = NULL;
    uint8_t seed[CAS_KEY_BYTES];
    EXPECT_OK(keys_start(&why), &why);
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(first + i);
    EXPECT_OK(keys_make_from(kind, seed, &keys), NULL);
    return keys;
}

static void expect_public(const char *hex, const struct keys *keys)
{
    char text[KEYS_TEXT_BYTES];
    struct keys_public key = keys_public_of(keys);
    keys_text(&key, text);
    EXPECT_TEXT_EQ(hex, text);
}

static void secret_write(const char *path, const char *text)
{
    struct cas_why why = {""};
    EXPECT_OK(file_write(path, cas_slice_of(text), FILE_SECRET, &why), &why);
}

static void expect_load(enum cas_err expected, const char *words, const char *path)
{
    struct keys *keys = NULL;
    struct cas_why why = {""};
    EXPECT_ERR(expected, keys_load(path, KEYS_CURVE, &keys, &why));
    EXPECT_NULL(keys);
    EXPECT_TEXT_HAS(path, why.text);
    EXPECT_TEXT_HAS(words, why.text);
}

/* Why: keys made by other tools, and by the next release, must be the same keys.
 * How: RFC 8032 section 7.1, test 1, and X25519 of the bytes 0..31, both also computed with PyNaCl.
 */
TEST(trust, public_keys_follow_from_their_secrets)
{
    static const uint8_t seed[CAS_KEY_BYTES] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
                                                0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
                                                0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19,
                                                0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
    CAS_AUTO(keys) curve = keys_of_seed(KEYS_CURVE, 0);
    CAS_AUTO(keys) sign = NULL;
    EXPECT_OK(keys_make_from(KEYS_SIGN, seed, &sign), NULL);
    expect_public("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", sign);
    expect_public("8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f", curve);
    EXPECT_INT_EQ(KEYS_SIGN, keys_kind_of(sign));
    EXPECT_INT_EQ(KEYS_CURVE, keys_kind_of(curve));
}

/* Why: two programs must not come up with the same key or nonce. */
TEST(trust, made_keys_and_random_bytes_differ_each_time)
{
    struct cas_why why = {""};
    CAS_AUTO(keys) one = NULL;
    CAS_AUTO(keys) two = NULL;
    uint8_t a[CAS_ID_BYTES] = {0};
    uint8_t b[CAS_ID_BYTES] = {0};
    EXPECT_OK(keys_start(&why), &why);
    EXPECT_OK(keys_make(KEYS_CURVE, &one), NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &two), NULL);
    struct keys_public first = keys_public_of(one);
    struct keys_public second = keys_public_of(two);
    EXPECT_FALSE(keys_same(&first, &second));
    EXPECT_TRUE(keys_same(&first, &first));
    keys_random(a, sizeof a);
    keys_random(b, sizeof b);
    EXPECT_TRUE(memcmp(a, b, sizeof a) != 0);
}

/* Why: a person compares this text by eye when approving an agent.
 * How: computed with Python's hashlib.blake2b(bytes(range(32)), digest_size=16). */
TEST(trust, fingerprint_is_blake2b_of_the_key)
{
    struct keys_public key;
    char text[KEYS_FINGERPRINT_BYTES];
    for (size_t i = 0; i < sizeof key.byte; i++)
        key.byte[i] = (uint8_t)i;
    keys_fingerprint(&key, text);
    EXPECT_TEXT_EQ("f39a-2cad-5841-1cd4-9f57-7e50-86b8-031f", text);
}

TEST(trust, key_text_reads_back_and_refuses_what_is_no_key)
{
    CAS_AUTO(keys) keys = keys_of_seed(KEYS_CURVE, 7);
    struct keys_public key = keys_public_of(keys);
    struct keys_public back = {{0}};
    struct cas_why why = {""};
    char text[KEYS_TEXT_BYTES];
    keys_text(&key, text);
    EXPECT_OK(keys_parse(cas_slice_of(text), &back, &why), &why);
    EXPECT_TRUE(keys_same(&key, &back));

    struct cas_slice shorter = {text, 63};
    EXPECT_ERR(CAS_ERR_FORMAT, keys_parse(shorter, &back, &why));
    EXPECT_TEXT_HAS("64", why.text);
    EXPECT_TEXT_HAS("63", why.text);
    EXPECT_ERR(CAS_ERR_FORMAT, keys_parse(cas_slice_of(""), &back, &why));
    text[10] = 'g';
    EXPECT_ERR(CAS_ERR_FORMAT, keys_parse(cas_slice_of(text), &back, &why));
    EXPECT_TEXT_HAS(text, why.text);
    EXPECT_TRUE(keys_same(&key, &back));
}

TEST(trust, key_file_reads_back_for_both_kinds)
{
    struct cas_why why = {""};
    for (int kind = KEYS_CURVE; kind <= KEYS_SIGN; kind++) {
        const char *path = test_path(kind == KEYS_CURVE ? "curve.key" : "sign.key");
        CAS_AUTO(keys) keys = keys_of_seed((enum keys_kind)kind, 3);
        CAS_AUTO(keys) back = NULL;
        EXPECT_OK(keys_save(keys, path, &why), &why);
        EXPECT_OK(keys_load(path, (enum keys_kind)kind, &back, &why), &why);
        size_t size = kind == KEYS_CURVE ? 32 : 64;
        EXPECT_BYTES_EQ(keys_secret_of(keys), keys_secret_of(back), size);
        struct keys_public key = keys_public_of(keys);
        struct keys_public other = keys_public_of(back);
        EXPECT_TRUE(keys_same(&key, &other));
    }
}

TEST(trust, key_file_is_made_once_and_then_kept)
{
    const char *path = test_path("agent.key");
    struct cas_why why = {""};
    CAS_AUTO(keys) made = NULL;
    CAS_AUTO(keys) kept = NULL;
    bool is_new = false;
    EXPECT_OK(keys_start(&why), &why);
    EXPECT_OK(keys_load_or_make(path, KEYS_CURVE, &made, &is_new, &why), &why);
    EXPECT_TRUE(is_new);
    EXPECT_OK(keys_load_or_make(path, KEYS_CURVE, &kept, &is_new, &why), &why);
    EXPECT_FALSE(is_new);
    struct keys_public first = keys_public_of(made);
    struct keys_public second = keys_public_of(kept);
    EXPECT_TRUE(keys_same(&first, &second));
    EXPECT_ERR(CAS_ERR_EXISTS, keys_save(made, path, &why));
    EXPECT_TEXT_HAS(path, why.text);
}

/* Why: a damaged key must stop the program and name the file, not make a new identity silently. */
TEST(trust, damaged_key_file_is_not_replaced)
{
    const char *path = test_path("agent.key");
    struct cas_why why = {""};
    struct keys *keys = NULL;
    bool is_new = false;
    EXPECT_OK(keys_start(&why), &why);
    secret_write(path, "casfleet-key curve\npublic = 12\n");
    EXPECT_ERR(CAS_ERR_FORMAT, keys_load_or_make(path, KEYS_CURVE, &keys, &is_new, &why));
    EXPECT_NULL(keys);
    char *text = test_read(path, NULL);
    EXPECT_TEXT_EQ("casfleet-key curve\npublic = 12\n", text);
    free(text);
}

TEST(trust, key_file_missing_or_empty_is_named)
{
    const char *path = test_path("none.key");
    expect_load(CAS_ERR_NOT_FOUND, "", path);
    secret_write(path, "");
    expect_load(CAS_ERR_FORMAT, "is empty", path);
}

/* Why: a secret others could read is no secret any more. */
TEST(trust, key_file_others_can_read_is_refused)
{
    const char *path = test_path("loose.key");
    struct cas_why why = {""};
    struct cas_slice text = cas_slice_of("casfleet-key curve\n");
    EXPECT_OK(file_write(path, text, FILE_PUBLIC, &why), &why);
    expect_load(CAS_ERR_MODE, "0600", path);
}

TEST(trust, key_file_of_the_other_kind_is_refused)
{
    const char *path = test_path("sign.key");
    struct cas_why why = {""};
    CAS_AUTO(keys) keys = keys_of_seed(KEYS_SIGN, 1);
    EXPECT_OK(keys_save(keys, path, &why), &why);
    expect_load(CAS_ERR_CONFIG, "\"casfleet-key sign\"", path);
    secret_write(path, "casfleet-controller\n");
    expect_load(CAS_ERR_CONFIG, "\"casfleet-key curve\"", path);
}

#define HEX_OF_0 "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f"
#define SEED_0   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

/* Why: the reason must lead to the line, and must never show a secret, whichever line it slipped
 * into. */
TEST(trust, corrupt_key_file_is_refused_by_line_without_showing_it)
{
    static const struct {
        const char *text;
        const char *words;
    } rows[] = {
        {"-----BEGIN PRIVATE KEY-----\n", ":1:"},
        {"casfleet-key curve\n" SEED_0 "\n", ":2:"},
        {"casfleet-key curve\n# all well\n\nseed = " SEED_0 "\n", ":4:"},
        {"casfleet-key curve\nsecret = " SEED_0 "00\n", ":2: \"secret\" must be 64"},
        {"casfleet-key curve\nsecret = " SEED_0 "\nsecret = " SEED_0 "\n", ":3: \"secret\" stands"},
        {"casfleet-key curve\npublic = " HEX_OF_0 "\n", ":2: ends without \"secret"},
        {"casfleet-key curve\nsecret = " SEED_0 "\n", "ends without \"public"},
        {"casfleet-key curve\npublic = xyz\n", ":2: \"public\" must be 64 hexadecimal digits"},
    };
    const char *path = test_path("bad.key");
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        struct keys *keys = NULL;
        struct cas_why why = {""};
        EXPECT_OK(keys_start(&why), &why);
        secret_write(path, rows[i].text);
        EXPECT_ERR(CAS_ERR_FORMAT, keys_load(path, KEYS_CURVE, &keys, &why));
        EXPECT_TEXT_HAS(path, why.text);
        EXPECT_TEXT_HAS(rows[i].words, why.text);
        EXPECT_NULL(strstr(why.text, "0a0b0c0d"));
    }
}

/* Why: after a mix-up of files the program would else come up with a key nobody approved. */
TEST(trust, public_part_of_another_pair_is_refused)
{
    const char *path = test_path("mixed.key");
    struct cas_why why = {""};
    EXPECT_OK(keys_start(&why), &why);
    secret_write(path, "casfleet-key curve\npublic=" SEED_0 "\nsecret=" SEED_0);
    expect_load(CAS_ERR_CONFIG, "public key is " HEX_OF_0, path);

    CAS_AUTO(keys) keys = NULL;
    secret_write(path,
                 "casfleet-key curve\r\n# moved\r\npublic = " HEX_OF_0 "\r\nsecret =  " SEED_0
                 " \r\n");
    EXPECT_OK(keys_load(path, KEYS_CURVE, &keys, &why), &why);
}

TEST(trust, controllers_public_file_reads_back)
{
    const char *path = test_path("controller.pub");
    struct cas_why why = {""};
    CAS_AUTO(keys) curve = keys_of_seed(KEYS_CURVE, 1);
    CAS_AUTO(keys) command = keys_of_seed(KEYS_SIGN, 2);
    struct keys_controller keys = {keys_public_of(curve), keys_public_of(command)};
    struct keys_controller back = {0};
    EXPECT_OK(keys_controller_save(path, &keys, &why), &why);
    EXPECT_OK(keys_controller_load(path, &back, &why), &why);
    EXPECT_TRUE(keys_same(&keys.curve, &back.curve));
    EXPECT_TRUE(keys_same(&keys.command, &back.command));

    EXPECT_ERR(CAS_ERR_NOT_FOUND, keys_controller_load(test_path("none.pub"), &back, &why));
    test_write(path, "casfleet-controller\ncurve = 00\n", 31);
    EXPECT_ERR(CAS_ERR_FORMAT, keys_controller_load(path, &back, &why));
    EXPECT_TEXT_HAS(":2: \"curve\" must be 64 hexadecimal digits, has 2 characters: 00", why.text);
    EXPECT_TRUE(keys_same(&keys.curve, &back.curve));
}

/* Why: cmd_id is how a command is known after a controller lost its last minutes.
 * How: Python's hashlib.blake2b(bytes(range(32)) + struct.pack(">3Q", 3, 77, 1), digest_size=16).
 */
TEST(trust, command_id_is_derived_from_plan_step_server_and_attempt)
{
    struct sign_command command = {.step = 3, .server_id = 77, .attempt = 1};
    for (size_t i = 0; i < CAS_HASH_BYTES; i++)
        command.plan_hash[i] = (uint8_t)i;
    struct sign_command others[4] = {command, command, command, command};
    others[0].plan_hash[CAS_HASH_BYTES - 1] ^= 1;
    others[1].step++;
    others[2].server_id++;
    others[3].attempt++;
    uint8_t id[CAS_ID_BYTES], other[CAS_ID_BYTES];
    char text[2 * CAS_ID_BYTES + 1];
    sign_command_id(&command, id);
    cas_hex(id, sizeof id, text);
    EXPECT_TEXT_EQ("43a8af66bf67835b18f727cd066382ce", text);
    for (size_t i = 0; i < CAS_COUNT(others); i++) {
        sign_command_id(&others[i], other);
        EXPECT_TRUE(memcmp(id, other, sizeof id) != 0);
    }
}

static void first_command_of(const struct record_plan_body *plan, uint8_t ret_id[CAS_ID_BYTES])
{
    uint8_t bytes[512];
    size_t size = 0;
    struct sign_command command = {.step = 1, .server_id = 1, .attempt = 1};
    EXPECT_OK(record_encode(RECORD_plan_body, plan, bytes, sizeof bytes, &size, NULL), NULL);
    sign_plan_hash((struct cas_slice){(const char *)bytes, size}, command.plan_hash);
    sign_command_id(&command, ret_id);
}

/* Why: after a database has gone back the same number, servers and settings may be planned anew:
 * that is another order, and what was done for the first does not do it.
 * How: plans alike but for when, by whom, and under which number they were made. */
TEST(trust, plans_of_one_content_name_their_commands_apart)
{
    struct record_plan_body plan = {.rollout_seq = 1,
                                    .verb = VERB_recycle,
                                    .pool = cas_slice_of("MSExchangeSyncAppPool"),
                                    .made_ms = 1795481412400,
                                    .start_ms = 1795482000000,
                                    .until_ms = 1795496400000,
                                    .at_once = 1,
                                    .act_ms = 1000,
                                    .proof_ms = 1000,
                                    .healthy_n = 1,
                                    .stop_after = 1,
                                    .by = cas_slice_of("ops.a"),
                                    .steps = cas_slice_of("LON-CAS01")};
    struct record_plan_body others[3] = {plan, plan, plan};
    others[0].made_ms++;
    others[1].by = cas_slice_of("ops.b");
    others[2].rollout_seq++;
    uint8_t id[CAS_ID_BYTES], other[CAS_ID_BYTES];
    first_command_of(&plan, id);
    first_command_of(&plan, other);
    EXPECT_BYTES_EQ(id, other, sizeof id);
    for (size_t i = 0; i < CAS_COUNT(others); i++) {
        first_command_of(&others[i], other);
        EXPECT_TRUE(memcmp(id, other, sizeof id) != 0);
    }
}

/* How: hashlib.blake2b(b"plan", digest_size=32). */
TEST(trust, plan_hash_is_blake2b)
{
    uint8_t hash[CAS_HASH_BYTES];
    char text[2 * CAS_HASH_BYTES + 1];
    sign_plan_hash(cas_slice_of("plan"), hash);
    cas_hex(hash, sizeof hash, text);
    EXPECT_TEXT_EQ("1026f647d7f04588ca86d24dd6f7fa4aee22ff66c2e0114fbc80f6d8803f5221", text);
    sign_plan_hash((struct cas_slice){NULL, 0}, hash);
}

/* Why: signatures must be checkable by other programs. How: the value is PyNaCl's, over
 * b"casfleet/grant/v1\0hello" with the seed 0..31. */
TEST(trust, signature_covers_domain_zero_and_bytes)
{
    CAS_AUTO(keys) keys = keys_of_seed(KEYS_SIGN, 0);
    uint8_t sign[CAS_SIGN_BYTES];
    char text[2 * CAS_SIGN_BYTES + 1];
    EXPECT_OK(sign_make(keys, SIGN_DOMAIN_GRANT, cas_slice_of("hello"), sign), NULL);
    cas_hex(sign, sizeof sign, text);
    EXPECT_TEXT_EQ("33cb2af5c7b0bf0cba6db4428872a58bb49e36e2aa2009fd8fa4d582fe3b8f98"
                   "1e398140add0df783a79ca76955f88ec5e639d00b1a6dc495d595dd1fc41da09",
                   text);
}

/* Why: a signature under a plan must not pass for one under a grant, nor half a domain move into
 * the bytes. */
TEST(trust, signature_of_another_domain_key_or_length_is_refused)
{
    CAS_AUTO(keys) keys = keys_of_seed(KEYS_SIGN, 0);
    CAS_AUTO(keys) other = keys_of_seed(KEYS_SIGN, 1);
    struct keys_public key = keys_public_of(keys);
    struct keys_public stranger = keys_public_of(other);
    struct cas_slice bytes = cas_slice_of("hello");
    uint8_t sign[CAS_SIGN_BYTES];
    EXPECT_OK(sign_make(keys, SIGN_DOMAIN_PLAN, bytes, sign), NULL);
    EXPECT_OK(sign_check(&key, SIGN_DOMAIN_PLAN, bytes, sign), NULL);
    EXPECT_ERR(CAS_ERR_SIGNATURE, sign_check(&key, SIGN_DOMAIN_GRANT, bytes, sign));
    EXPECT_ERR(CAS_ERR_SIGNATURE, sign_check(&stranger, SIGN_DOMAIN_PLAN, bytes, sign));
    EXPECT_ERR(CAS_ERR_SIGNATURE, sign_check(&key, SIGN_DOMAIN_PLAN, cas_slice_of("hell"), sign));
    EXPECT_ERR(CAS_ERR_SIGNATURE,
               sign_check(&key, "casfleet/plan/v", cas_slice_of("1hello"), sign));
    EXPECT_ERR(CAS_ERR_SIGNATURE,
               sign_check(&key, SIGN_DOMAIN_PLAN, (struct cas_slice){NULL, 0}, sign));
}

static struct record_order order_sample(void)
{
    struct record_order order = {
        .verb = VERB_recycle,
        .pool = cas_slice_of("MSExchangeSyncAppPool"),
        .drain_ms = 300000,
        .act_ms = 60000,
        .epoch = 7,
        .rollout_seq = 412,
        .issued_wall_ms = 1792540800000,
    };
    memset(order.audience, 0xa1, sizeof order.audience);
    memset(order.cmd_id, 0xc2, sizeof order.cmd_id);
    memset(order.nonce, 0xd3, sizeof order.nonce);
    return order;
}

/* A sealed grant, as an agent receives it. */
static void
grant_make(const struct keys *keys, struct cas_arena *arena, struct message *ret_message)
{
    struct cas_why why = {""};
    struct record_order order = order_sample();
    static uint8_t frame[FRAME_BYTES];
    size_t size = 0;
    EXPECT_OK(order_seal(&order, keys, frame, sizeof frame, &size, &why), &why);
    struct cas_slice bytes = {(const char *)frame, size};
    EXPECT_OK(message_decode(bytes, arena, ret_message, &why), &why);
    EXPECT_INT_EQ(MESSAGE_grant, ret_message->type);
}

TEST(trust, sealed_order_opens_with_every_field)
{
    struct cas_why why = {""};
    CAS_AUTO(keys) keys = keys_of_seed(KEYS_SIGN, 0);
    CAS_AUTO(cas_arena) arena = NULL;
    struct message message;
    struct record_order order;
    EXPECT_OK(cas_arena_open(ARENA_BYTES, &arena), NULL);
    grant_make(keys, arena, &message);
    struct keys_public key = keys_public_of(keys);
    EXPECT_OK(order_open(&message.as.grant, &key, arena, &order, &why), &why);
    struct record_order made = order_sample();
    EXPECT_SLICE_EQ("MSExchangeSyncAppPool", order.pool);
    EXPECT_BYTES_EQ(made.audience, order.audience, sizeof made.audience);
    EXPECT_BYTES_EQ(made.cmd_id, order.cmd_id, sizeof made.cmd_id);
    EXPECT_BYTES_EQ(made.nonce, order.nonce, sizeof made.nonce);
    EXPECT_UINT_EQ(7, order.epoch);
    EXPECT_UINT_EQ(412, order.rollout_seq);
    EXPECT_INT_EQ(made.issued_wall_ms, order.issued_wall_ms);
    EXPECT_FALSE(order.has_not_after_wall_ms);
}

/* Why: whoever stands between must not change one bit of an order.
 * How: each bit-flipped byte of order and signature in turn, then another command key. */
TEST(trust, order_changed_in_any_byte_is_refused)
{
    struct cas_why why = {""};
    CAS_AUTO(keys) keys = keys_of_seed(KEYS_SIGN, 0);
    CAS_AUTO(keys) other = keys_of_seed(KEYS_SIGN, 9);
    CAS_AUTO(cas_arena) arena = NULL;
    struct message message;
    struct record_order order;
    uint8_t bytes[FRAME_BYTES];
    EXPECT_OK(cas_arena_open(ARENA_BYTES, &arena), NULL);
    grant_make(keys, arena, &message);
    struct keys_public key = keys_public_of(keys);
    struct message_grant grant = message.as.grant;
    size_t size = grant.order.size;
    memcpy(bytes, grant.order.data, size);
    grant.order.data = (const char *)bytes;
    for (size_t i = 0; i < size + CAS_SIGN_BYTES; i++) {
        uint8_t *byte = i < size ? &bytes[i] : &grant.sign[i - size];
        *byte ^= (uint8_t)(1u << (i % 8));
        EXPECT_ERR(CAS_ERR_SIGNATURE, order_open(&grant, &key, arena, &order, &why));
        *byte ^= (uint8_t)(1u << (i % 8));
    }
    struct keys_public stranger = keys_public_of(other);
    EXPECT_ERR(CAS_ERR_SIGNATURE, order_open(&grant, &stranger, arena, &order, &why));
    EXPECT_OK(order_open(&grant, &key, arena, &order, &why), &why);
}

/* Why: right signature and wrong bytes is a mistake of the controller; the agent still must not act
 * on it. */
TEST(trust, signed_bytes_that_are_no_order_are_refused)
{
    struct cas_why why = {""};
    CAS_AUTO(keys) keys = keys_of_seed(KEYS_SIGN, 0);
    CAS_AUTO(cas_arena) arena = NULL;
    struct message_grant grant = {.order = cas_slice_of("not an order")};
    struct record_order order;
    EXPECT_OK(cas_arena_open(ARENA_BYTES, &arena), NULL);
    EXPECT_OK(sign_make(keys, SIGN_DOMAIN_GRANT, grant.order, grant.sign), NULL);
    struct keys_public key = keys_public_of(keys);
    EXPECT_ERR(CAS_ERR_FORMAT, order_open(&grant, &key, arena, &order, &why));
}

TEST(trust, order_that_the_table_forbids_is_not_sealed)
{
    struct cas_why why = {""};
    CAS_AUTO(keys) keys = keys_of_seed(KEYS_SIGN, 0);
    uint8_t frame[FRAME_BYTES];
    size_t size = 0;
    struct record_order order = order_sample();
    order.act_ms = 999;
    EXPECT_ERR(CAS_ERR_RANGE, order_seal(&order, keys, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_HAS("999", why.text);
    EXPECT_UINT_EQ(0, size);
}
