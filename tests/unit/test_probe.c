#include "agent/host/probe.h"

#include "tests/unit/test.h"

static struct scene_probe judge(struct probe_end end, const char *words)
{
    struct probe_body none = {.used = 0};
    struct scene_probe probe;
    if (end.body == NULL)
        end.body = &none;
    memset(&probe, 'x', sizeof probe);
    probe_judge(&end, words, &probe);
    return probe;
}

TEST(probe, addresses_of_this_machine_are_taken_apart)
{
    struct probe_url url;
    struct cas_why why = {.text = ""};
    EXPECT_OK(probe_url_parse("https://127.0.0.1:444/Microsoft-Server-ActiveSync/exhealth.check",
                              &url,
                              &why),
              &why);
    EXPECT_TRUE(url.is_tls);
    EXPECT_TEXT_EQ("127.0.0.1", url.host);
    EXPECT_UINT_EQ(444, url.port);
    EXPECT_TEXT_EQ("/Microsoft-Server-ActiveSync/exhealth.check", url.path);
    EXPECT_OK(probe_url_parse("https://localhost/a", &url, &why), &why);
    EXPECT_UINT_EQ(443, url.port);
    EXPECT_OK(probe_url_parse("http://[::1]/", &url, &why), &why);
    EXPECT_UINT_EQ(80, url.port);
    EXPECT_TEXT_EQ("::1", url.host);
    EXPECT_OK(probe_url_parse("http://[::1]:65535/", &url, &why), &why);
}

/* Why: the certificate is not looked at, which is right for this machine's own address alone. */
TEST(probe, no_other_host_is_ever_asked)
{
    static const char *const refused[] = {
        "https://mail.example.com/",
        "https://127.0.0.1.example.com/",
        "https://127.0.0.2/",
        "https://127.0.0.1@example.com/",
        "https://localhost.example.com/",
        "https:///a",
    };
    struct probe_url url;
    struct cas_why why = {.text = ""};
    for (size_t i = 0; i < CAS_COUNT(refused); i++)
        EXPECT_ERR(CAS_ERR_DENIED, probe_url_parse(refused[i], &url, &why));
    EXPECT_TEXT_HAS("only this machine", why.text);
}

TEST(probe, malformed_addresses_are_refused)
{
    struct probe_url url;
    char path[PROBE_PATH_BYTES + sizeof "http://127.0.0.1"];
    EXPECT_ERR(CAS_ERR_FORMAT, probe_url_parse("ftp://127.0.0.1/", &url, NULL));
    EXPECT_ERR(CAS_ERR_FORMAT, probe_url_parse("127.0.0.1", &url, NULL));
    EXPECT_ERR(CAS_ERR_FORMAT, probe_url_parse("http://127.0.0.1", &url, NULL));
    EXPECT_ERR(CAS_ERR_FORMAT, probe_url_parse("http://127.0.0.1:80", &url, NULL));
    EXPECT_ERR(CAS_ERR_FORMAT, probe_url_parse("http://127.0.0.1:x/", &url, NULL));
    EXPECT_ERR(CAS_ERR_RANGE, probe_url_parse("http://127.0.0.1:0/", &url, NULL));
    EXPECT_ERR(CAS_ERR_RANGE, probe_url_parse("http://127.0.0.1:65536/", &url, NULL));
    EXPECT_ERR(CAS_ERR_FORMAT, probe_url_parse("http://127.0.0.1/a b", &url, NULL));
    EXPECT_ERR(CAS_ERR_FORMAT, probe_url_parse("http://127.0.0.1/a\nHost: x", &url, NULL));
    struct cas_text text = CAS_TEXT(path);
    cas_text_clear(&text);
    cas_text_add(&text, "http://127.0.0.1/");
    while (text.used < strlen("http://127.0.0.1") + PROBE_PATH_BYTES - 1)
        cas_text_add(&text, "a");
    EXPECT_OK(probe_url_parse(path, &url, NULL), NULL);
    cas_text_add(&text, "a");
    EXPECT_ERR(CAS_ERR_TOO_LONG, probe_url_parse(path, &url, NULL));
}

TEST(probe, a_healthy_page_has_status_and_body_and_no_reason)
{
    struct probe_body body = {.used = 0};
    probe_body_add(&body, "200 OK<br/>", 11);
    probe_body_add(&body, "LON-CAS01.example.com", 21);
    struct scene_probe probe = judge((struct probe_end){.status = 200, .body = &body}, "");
    EXPECT_UINT_EQ(200, probe.status);
    EXPECT_TEXT_EQ("200 OK<br/>LON-CAS01.example.com", probe.body);
    EXPECT_TEXT_EQ("", probe.reason.text);
}

TEST(probe, each_end_says_what_happened)
{
    struct probe_end late = {.is_late = true, .spent_ms = 3004, .status = 200};
    struct scene_probe probe = judge(late, "");
    EXPECT_UINT_EQ(0, probe.status);
    EXPECT_TEXT_EQ("timed out after 3004 ms", probe.reason.text);
    EXPECT_TEXT_EQ("", probe.body);
    probe = judge((struct probe_end){.status = 503}, "");
    EXPECT_UINT_EQ(503, probe.status);
    EXPECT_TEXT_EQ("HTTP 503", probe.reason.text);
    probe = judge((struct probe_end){.error = 12029}, "");
    EXPECT_TEXT_EQ("connection refused (12029)", probe.reason.text);
    probe = judge((struct probe_end){.error = 12175, .tls = 8}, "");
    EXPECT_TEXT_EQ("TLS error 12175, certificate flags 0x8", probe.reason.text);
    probe = judge((struct probe_end){.error = 12157}, "");
    EXPECT_TEXT_EQ("TLS error 12157", probe.reason.text);
    probe = judge((struct probe_end){.error = 12002, .spent_ms = 60000}, "");
    EXPECT_TEXT_EQ("timed out after 60000 ms", probe.reason.text);
    probe = judge((struct probe_end){.error = 8}, "error 8 (Not enough memory)");
    EXPECT_TEXT_EQ("error 8 (Not enough memory)", probe.reason.text);
    probe = judge((struct probe_end){.error = 8, .status = 200}, "");
    EXPECT_UINT_EQ(0, probe.status);
    EXPECT_TEXT_EQ("error 8", probe.reason.text);
}

/* Why: whoever listens on the port decides how much comes. How: bodies at the edge of the limit, in
 * one piece and in as many as are taken. */
TEST(probe, a_body_at_its_limit_is_kept_and_a_longer_one_is_no_page)
{
    char bytes[SCENE_BODY_BYTES];
    struct probe_body fits = {.used = 0};
    struct probe_body over = {.used = 0};
    memset(bytes, 'a', sizeof bytes);
    EXPECT_UINT_EQ(SCENE_BODY_BYTES, probe_body_room(&fits));
    probe_body_add(&fits, bytes, SCENE_BODY_BYTES - 1);
    EXPECT_UINT_EQ(1, probe_body_room(&fits));
    struct scene_probe probe = judge((struct probe_end){.status = 200, .body = &fits}, "");
    EXPECT_UINT_EQ(SCENE_BODY_BYTES - 1, strlen(probe.body));
    EXPECT_TEXT_EQ("", probe.reason.text);
    probe_body_add(&over, bytes, SCENE_BODY_BYTES);
    EXPECT_UINT_EQ(0, probe_body_room(&over));
    probe = judge((struct probe_end){.status = 200, .body = &over}, "");
    EXPECT_UINT_EQ(200, probe.status);
    EXPECT_TEXT_EQ("", probe.body);
    EXPECT_TEXT_HAS("body too long: at most 1023 bytes", probe.reason.text);
}

TEST(probe, a_dribbled_body_ends_after_so_many_pieces)
{
    struct probe_body body = {.used = 0};
    for (int i = 0; i < PROBE_PIECES - 1; i++)
        probe_body_add(&body, "a", 1);
    EXPECT_FALSE(body.is_too_long);
    probe_body_add(&body, "a", 1);
    EXPECT_TRUE(body.is_too_long);
}

/* Why: a connection that breaks within the body ends like one that is complete. */
TEST(probe, a_body_shorter_than_the_server_said_is_no_page)
{
    struct probe_body body = {.used = 0};
    struct probe_end end = {.status = 200, .has_length = true, .length = 6, .body = &body};
    probe_body_add(&body, "200 O", 5);
    struct scene_probe probe = judge(end, "");
    EXPECT_TEXT_EQ("HTTP 200, body cut off: 5 of 6 bytes", probe.reason.text);
    EXPECT_TEXT_EQ("", probe.body);
    probe_body_add(&body, "K", 1);
    probe = judge(end, "");
    EXPECT_TEXT_EQ("200 OK", probe.body);
    EXPECT_TEXT_EQ("", probe.reason.text);
}
