#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/redact.h"

static struct redact redact;
static char data[4096];

static void fresh(void)
{
    memset(&redact, 0, sizeof redact);
}

static const char *redacted(const char *text)
{
    struct cas_text out = CAS_TEXT(data);
    cas_text_clear(&out);
    redact_text(&redact, cas_slice_of(text), &out);
    return data;
}

/* Why: support must see that two lines speak of the same server without learning its name. */
TEST(redact, the_same_name_has_the_same_stand_in)
{
    fresh();
    redact_know(&redact, REDACT_HOST, "LON-CAS01.contoso.com");
    EXPECT_TEXT_EQ("host-1", redacted("LON-CAS01.contoso.com"));
    EXPECT_TEXT_EQ("host-1 and host-1, below host-2",
                   redacted("lon-cas01 and LON-CAS01, below contoso.com"));
    EXPECT_TEXT_EQ("NLON-CAS01, LON-CAS012, LON-CAS01-B",
                   redacted("NLON-CAS01, LON-CAS012, LON-CAS01-B"));
    EXPECT_TEXT_EQ("ip-1 ip-2 ip-1", redacted("10.0.0.5 10.0.0.6 10.0.0.5"));
}

/* Why: a short name is what Windows often tells, and the domain stands behind it in other lines. */
TEST(redact, a_known_short_name_takes_its_domain_along)
{
    fresh();
    redact_know(&redact, REDACT_HOST, "LON-CAS01");
    EXPECT_TEXT_EQ("host-1 said no.", redacted("LON-CAS01.corp said no."));
    EXPECT_TEXT_EQ("host-1", redacted("lon-cas01.corp"));
    EXPECT_TEXT_EQ("host-1.", redacted("LON-CAS01."));
}

/* Why: this is how a service that runs as SYSTEM is called on the network. */
TEST(redact, the_account_of_a_server_is_its_name)
{
    fresh();
    redact_know(&redact, REDACT_HOST, "LON-CAS01.contoso.com");
    EXPECT_TEXT_EQ("account host-1$ denied", redacted("account LON-CAS01$ denied"));
    EXPECT_TEXT_EQ("LON-CAS01$x", redacted("LON-CAS01$x"));
}

TEST(redact, addresses_go)
{
    fresh();
    EXPECT_TEXT_EQ("tcp://ip-1:5670", redacted("tcp://192.168.10.255:5670"));
    EXPECT_TEXT_EQ("ip-2 ip-3 [ip-4]:443", redacted("fe80::1 2001:db8:0:0:0:0:0:1 [::1]:443"));
    EXPECT_TEXT_EQ("ip-5", redacted("fe80::d4a8:6435:d2d8:d9f3%11"));
    EXPECT_TEXT_EQ("(ip-6)", redacted("(10.1.2.3)"));
}

TEST(redact, what_only_looks_like_one_stays)
{
    fresh();
    static const char *const plain[] = {
        "error 5 (Access is denied)",
        "at 12:30:05, code 0xC0000BB9",
        "2026-11-22T13:00:00.250Z",
        "15.1.2507.39",
        "256.1.1.1",
        "10.0.0.5a",
        "\\Processor(_Total)\\% Processor Time: PdhAddEnglishCounter",
        "C:\\Windows\\System32\\inetsrv\\appcmd.exe",
        "RegOpenKeyEx HKLM\\SOFTWARE\\Microsoft",
        "NT AUTHORITY\\SYSTEM",
        "\\MSExchange ActiveSync\\Ping Commands Pending: no such counter",
        "agent.ini:12: sampel",
        "x.y",
        "",
    };
    for (size_t i = 0; i < CAS_COUNT(plain); i++) {
        EXPECT_TEXT_EQ(plain[i], redacted(plain[i]));
    }
}

TEST(redact, accounts_go)
{
    fresh();
    EXPECT_TEXT_EQ("host-1\\user-1 asked", redacted("CONTOSO\\alice asked"));
    /* The short name of a domain and its long one are one domain. */
    EXPECT_TEXT_EQ("user-1@host-1", redacted("alice@contoso.com"));
    EXPECT_TEXT_EQ("C:\\Users\\user-1\\x.log", redacted("C:\\Users\\alice\\x.log"));
    EXPECT_TEXT_EQ("/home/user-2/x", redacted("/home/bob/x"));
    EXPECT_TEXT_EQ("\\\\host-2\\share", redacted("\\\\files01\\share"));
    EXPECT_TEXT_EQ("https://host-3/owa", redacted("https://mail.contoso.com/owa"));
    EXPECT_TEXT_EQ("at host-3.", redacted("at mail.contoso.com."));
}

/* Why: names are written in any script. */
/* Why: a colon before a name is a label's more often than a drive's. */
TEST(redact, an_account_behind_a_label_goes_too)
{
    fresh();
    EXPECT_TEXT_EQ("user:host-1\\user-1", redacted("user:CONTOSO\\svc-backup"));
    EXPECT_TEXT_EQ("C:temp\\x", redacted("C:temp\\x"));
}

TEST(redact, names_beyond_ascii_are_words_too)
{
    fresh();
    redact_know(&redact, REDACT_USER, "J\xc3\xbcrgen");
    EXPECT_TEXT_EQ("user-1, J\xc3\xbcrgens", redacted("J\xc3\xbcrgen, J\xc3\xbcrgens"));
    EXPECT_TEXT_EQ("K\xc3\xb6ln", redacted("K\xc3\xb6ln"));
}

TEST(redact, beyond_its_limit_names_are_hidden_all_the_same)
{
    fresh();
    for (unsigned i = 0; i < REDACT_NAMES; i++) {
        char text[64];
        char wanted[64];
        (void)snprintf(text, sizeof text, "10.0.%u.%u", i / 256, i % 256);
        (void)snprintf(wanted, sizeof wanted, "ip-%u", i + 1);
        EXPECT_TEXT_EQ(wanted, redacted(text));
    }
    EXPECT_TEXT_EQ("hidden ip-1", redacted("10.9.9.9 10.0.0.0"));
    static char longest[REDACT_NAME_BYTES + 16];
    memset(longest, 'a', sizeof longest - 1);
    fresh();
    memcpy(longest, "x\\", 2);
    EXPECT_TEXT_EQ("host-1\\hidden", redacted(longest));
}

/* Why: one letter would be found everywhere. */
TEST(redact, a_name_of_one_letter_is_not_taken)
{
    fresh();
    redact_know(&redact, REDACT_HOST, "a");
    redact_know(&redact, REDACT_HOST, "");
    EXPECT_TEXT_EQ("a b", redacted("a b"));
}

/* Any bytes: nothing is read beyond the end, and what is written is bounded. */
TEST(redact, noise_does_no_harm)
{
    struct test_dice dice = {7};
    static const char letters[] = "ab.:\\/@-10%\xc3\xff Users";
    for (int round = 0; round < 2000; round++) {
        char text[48];
        size_t size = (size_t)test_below(&dice, sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = letters[test_below(&dice, sizeof letters)];
        char *exact = malloc(size + 1);
        EXPECT_NOT_NULL(exact);
        memcpy(exact, text, size);
        char *fit = size > 0 ? realloc(exact, size) : exact;
        EXPECT_NOT_NULL(fit);
        struct cas_text out = CAS_TEXT(data);
        cas_text_clear(&out);
        fresh();
        redact_text(&redact, (struct cas_slice){fit, size}, &out);
        EXPECT_TRUE(out.used < sizeof data);
        free(fit);
    }
}
