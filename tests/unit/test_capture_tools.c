/* The second half of the room's tests: events, appcmd, Exchange versions, netsh. Expected
 * numbers were counted from the samples with awk and by eye, never with the code under test. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/host/capture.h"

static struct capture_input text_input(const char *text)
{
    return (struct capture_input){.file = "typed", .bytes = cas_slice_of(text)};
}

/* A sample as it is; caller frees *ret_owned. */
static struct capture_input sample(const char *name, char **ret_owned)
{
    char path[256];
    (void)snprintf(path, sizeof path, "tests/data/samples/%s", name);
    size_t size = 0;
    *ret_owned = test_read(test_source(path), &size);
    return (struct capture_input){.file = name, .bytes = {.data = *ret_owned, .size = size}};
}

/* ---- events ---- */

static const char tcpip_4227[] =
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider "
    "Name='Tcpip'/>"
    "<EventID "
    "Qualifiers='32768'>4227</EventID><Level>3</Level><Task>0</Task><Keywords>0x80000000000000</"
    "Keywords>"
    "<TimeCreated SystemTime='2024-02-29T12:00:00.1234567Z'/><EventRecordID>77</EventRecordID>"
    "<Channel>System</Channel><Computer>LON-CAS01</Computer><Security/></System><EventData><Data></"
    "Data>"
    "<Binary>00000000010028000000000083100080000000000000000000000000000000000000000000000000</"
    "Binary></EventData>"
    "</Event>";

/* Why: wevtutil writes one event a line in single quotes without a root; it is what an agent reads.
 * How: three events on two lines with noise around, the second of them broken. */
TEST(capture, wevtutil_lines_read_and_a_broken_event_costs_only_itself)
{
    char text[4096];
    (void)snprintf(text,
                   sizeof text,
                   "C:\\>wevtutil qe System & more\n%s\n<Event><System><x></System>%s\n",
                   tcpip_4227,
                   tcpip_4227);
    CAS_AUTO(capture_events) events = NULL;
    struct capture_event event;
    struct capture_told told;
    struct cas_why why = {""};
    EXPECT_OK(capture_events_open(text_input(text), &events, &why), &why);
    EXPECT_OK(capture_events_next(events, &event, &why), &why);
    EXPECT_TEXT_EQ("Tcpip", event.provider);
    EXPECT_UINT_EQ(4227, event.id);
    EXPECT_TRUE(event.has_qualifiers);
    EXPECT_UINT_EQ(32768, event.qualifiers);
    EXPECT_UINT_EQ(3, event.level);
    EXPECT_INT_EQ(1709208000123, event.time_ms);
    EXPECT_UINT_EQ(77, event.record_id);
    EXPECT_TEXT_EQ("System", event.channel);
    EXPECT_TEXT_EQ("LON-CAS01", event.computer);
    EXPECT_UINT_EQ(1, event.data_n);
    EXPECT_SLICE_EQ("", event.data[0].text);
    EXPECT_UINT_EQ(40, event.binary_n);
    EXPECT_UINT_EQ(2, event.line_n);
    EXPECT_OK(capture_event_meaning(&event, &told, &why), &why);
    EXPECT_INT_EQ(CAPTURE_MEANING_PORT_REUSED, told.meaning);
    EXPECT_ERR(CAS_ERR_FORMAT, capture_events_next(events, &event, &why));
    EXPECT_TEXT_HAS("typed:3:21: event at line 3: mismatched tag", why.text);
    EXPECT_OK(capture_events_next(events, &event, &why), &why);
    EXPECT_UINT_EQ(3, event.line_n);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, capture_events_next(events, &event, &why));
}

/* Why: a real System log, as libevtx prints it. How: 45 events, 123 Data, 20 Binary, counted in the
 * file. */
TEST(capture, real_system_log_reads_whole)
{
    char *owned = NULL;
    CAS_AUTO(capture_events) events = NULL;
    struct capture_event event;
    struct cas_why why = {""};
    size_t event_n = 0;
    size_t data_n = 0;
    size_t binary_n = 0;
    EXPECT_OK(
        capture_events_open(sample("events/system-log-win10-1703.xml", &owned), &events, &why),
        &why);
    enum cas_err err = CAS_OK;
    while ((err = capture_events_next(events, &event, &why)) == CAS_OK) {
        if (event_n == 0) {
            EXPECT_TEXT_EQ("EventLog", event.provider);
            EXPECT_UINT_EQ(6009, event.id);
            EXPECT_INT_EQ(1499879788214, event.time_ms);
            EXPECT_SLICE_EQ("Multiprocessor Free", event.data[3].text);
        }
        struct capture_told told;
        EXPECT_OK(capture_event_meaning(&event, &told, &why), &why);
        EXPECT_INT_EQ(CAPTURE_MEANING_NONE, told.meaning);
        event_n++;
        data_n += event.data_n;
        binary_n += event.binary_n > 0 ? 1 : 0;
        EXPECT_FALSE(event.is_cut);
    }
    EXPECT_ERR(CAS_ERR_NOT_FOUND, err);
    EXPECT_UINT_EQ(45, event_n);
    EXPECT_UINT_EQ(123, data_n);
    EXPECT_UINT_EQ(20, binary_n);
    EXPECT_UINT_EQ(995, event.line_n);
    EXPECT_UINT_EQ(1060, event.record_id);
    free(owned);
}

/* Why: text copied from Event Viewer carries "- " marks, and a rendering before the XML. */
TEST(capture, event_viewer_copies_read)
{
    static const struct {
        const char *file;
        uint32_t event_n, id, qualifiers;
        int64_t time_ms;
        const char *computer;
    } row_of[] = {
        {"events/tcpip-4207.xml", 2, 4207, 49152, 1717906245620, "lime"},
        {"events/was-5011-exchange.txt", 1, 5011, 32768, 1617269103024, "EXCHANGE.DOMAIN.local"},
        {"events/was-5076-system-part.xml", 1, 5076, 16384, 1786841997692, "somecomputer"},
        {"events/tcpip-4227-eventviewer.txt", 0, 0, 0, 0, NULL},
    };
    for (size_t i = 0; i < CAS_COUNT(row_of); i++) {
        char *owned = NULL;
        CAS_AUTO(capture_events) events = NULL;
        struct capture_event event;
        struct cas_why why = {""};
        EXPECT_OK(capture_events_open(sample(row_of[i].file, &owned), &events, &why), &why);
        for (uint32_t n = 0; n < row_of[i].event_n; n++) {
            EXPECT_OK(capture_events_next(events, &event, &why), &why);
            EXPECT_UINT_EQ(row_of[i].id, event.id);
            EXPECT_UINT_EQ(row_of[i].qualifiers, event.qualifiers);
            EXPECT_INT_EQ(row_of[i].time_ms, event.time_ms);
            EXPECT_TEXT_EQ(row_of[i].computer, event.computer);
        }
        EXPECT_ERR(CAS_ERR_NOT_FOUND, capture_events_next(events, &event, &why));
        free(owned);
    }
}

/* Why: which pool and which worker; and a record whose Binary names another event is not believed.
 */
TEST(capture, meanings_name_pool_and_worker)
{
    char *owned = NULL;
    CAS_AUTO(capture_events) events = NULL;
    struct capture_event event;
    struct capture_told told;
    struct cas_why why = {""};
    EXPECT_OK(capture_events_open(sample("events/was-5011-exchange.txt", &owned), &events, &why),
              &why);
    EXPECT_OK(capture_events_next(events, &event, &why), &why);
    EXPECT_OK(capture_event_meaning(&event, &told, &why), &why);
    EXPECT_INT_EQ(CAPTURE_MEANING_WORKER_ENDED, told.meaning);
    EXPECT_TEXT_EQ("MSExchangeMapiFrontEndAppPool", told.pool);
    EXPECT_UINT_EQ(4528, told.pid);
    free(owned);

    CAS_AUTO(capture_events) typed = NULL;
    EXPECT_OK(capture_events_open(text_input(tcpip_4227), &typed, &why), &why);
    EXPECT_OK(capture_events_next(typed, &event, &why), &why);
    event.binary[12] = 0x87; /* 4231 */
    EXPECT_ERR(CAS_ERR_FORMAT, capture_event_meaning(&event, &told, &why));
    EXPECT_TEXT_HAS("calls itself 4227, its Binary says 4231 (0x80001087)", why.text);
    event.binary_n = 15; /* too short to hold an id */
    EXPECT_OK(capture_event_meaning(&event, &told, &why), &why);
}

/* Why: XML invites entity bombs, deep nests and endless elements. How: each at its edge. */
TEST(capture, hostile_xml_is_refused_at_its_limits)
{
    static const struct {
        const char *text;
        enum cas_err err;
        const char *reason;
    } row_of[] = {
        {"<!DOCTYPE x [<!ENTITY a 'b'>]><Event/>", CAS_ERR_DENIED, "typed:1:1: a DOCTYPE"},
        {"<Event>&a;</Event>", CAS_ERR_FORMAT, "undefined entity"},
        {"<Event><a><b><c><d><e><f><g/></f></e></d></c></b></a></Event>",
         CAS_ERR_MISSING,
         "without Provider"},
        {"<Event><a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a></Event>",
         CAS_ERR_TOO_MANY,
         "deeper than 8"},
        {"<Event><System><Event>", CAS_ERR_FORMAT, "typed:1:16:"},
        {"<Event><System><EventID>x</EventID></System></Event>",
         CAS_ERR_FORMAT,
         "\"x\" is not an event id"},
        {"<Event><System><TimeCreated SystemTime='2024-02-30T12:00:00Z'/></System></Event>",
         CAS_ERR_FORMAT,
         "is not a time"},
        {"<Event><EventData><Binary>0</Binary></EventData></Event>", CAS_ERR_FORMAT, "half a byte"},
        {"<Event", CAS_ERR_NOT_FOUND, ""},
        {"<Event a='", CAS_ERR_FORMAT, "typed:1:1:"},
    };
    for (size_t i = 0; i < CAS_COUNT(row_of); i++) {
        CAS_AUTO(capture_events) events = NULL;
        struct capture_event event;
        struct cas_why why = {""};
        EXPECT_OK(capture_events_open(text_input(row_of[i].text), &events, &why), &why);
        EXPECT_ERR(row_of[i].err, capture_events_next(events, &event, &why));
        EXPECT_TEXT_HAS(row_of[i].reason, why.text);
    }
}

/* Why: a log cut off in the middle of an event, as by a full disk, must not swallow the event
 * behind it. How: cut at every byte. */
TEST(capture, event_behind_a_cut_off_one_is_read)
{
    for (int cut = 0; cut < (int)sizeof tcpip_4227 - 1; cut++) {
        char text[4096];
        (void)snprintf(text, sizeof text, "%.*s\n%s\n", cut, tcpip_4227, tcpip_4227);
        CAS_AUTO(capture_events) events = NULL;
        struct capture_event event = {.line_n = 0};
        struct cas_why why = {""};
        EXPECT_OK(capture_events_open(text_input(text), &events, &why), &why);
        size_t read_n = 0;
        enum cas_err err = CAS_OK;
        while ((err = capture_events_next(events, &event, &why)) != CAS_ERR_NOT_FOUND)
            read_n += err == CAS_OK ? 1 : 0;
        EXPECT_UINT_EQ(1, read_n);
        EXPECT_UINT_EQ(2, event.line_n);
        EXPECT_UINT_EQ(77, event.record_id);
    }
}

/* Why: one event of any size must not cost more than its limit. How: a good event padded to the
 * limit exactly, and one byte more; 64 Data and 65. */
TEST(capture, size_and_data_of_an_event_have_their_edges)
{
    static const char head[] =
        "<Event><System><Provider Name='P'/><EventID>1</EventID>"
        "<TimeCreated SystemTime='2024-02-29T12:00:00Z'/></System><EventData>";
    static const char tail[] = "</EventData></Event>";
    for (size_t more = 0; more < 2; more++) {
        size_t size = (size_t)CAPTURE_EVENT_BYTES + more;
        char *text = malloc(size + 2);
        EXPECT_NOT_NULL(text);
        memset(text, ' ', size);
        memcpy(text, head, sizeof head - 1);
        memcpy(text + size - (sizeof tail - 1), tail, sizeof tail - 1);
        text[size] = '\n';
        text[size + 1] = '\0';
        CAS_AUTO(capture_events) events = NULL;
        struct capture_event event;
        struct cas_why why = {""};
        EXPECT_OK(capture_events_open(text_input(text), &events, &why), &why);
        EXPECT_INT_EQ(more == 0 ? CAS_OK : CAS_ERR_TOO_LONG,
                      capture_events_next(events, &event, &why));

        char many[4096];
        struct cas_text list = CAS_TEXT(many);
        cas_text_clear(&list);
        cas_text_add(&list, "%s", head);
        for (size_t i = 0; i < CAPTURE_EVENT_DATA + more; i++)
            cas_text_add(&list, "<Data>%zu</Data>", i);
        cas_text_add(&list, "%s", tail);
        CAS_AUTO(capture_events) listed = NULL;
        EXPECT_OK(capture_events_open(text_input(many), &listed, &why), &why);
        EXPECT_OK(capture_events_next(listed, &event, &why), &why);
        EXPECT_UINT_EQ(CAPTURE_EVENT_DATA, event.data_n);
        EXPECT_SLICE_EQ("63", event.data[63].text);
        EXPECT_INT_EQ(more == 1, event.is_cut);
        free(text);
    }
}

/* Why: cmd redirects in the console's code page; one odd byte must not cost the events. */
TEST(capture, text_that_is_no_utf8_reads_as_latin1)
{
    static const char text[] =
        "<Event><System><Provider Name='P'/><EventID>1</EventID><TimeCreated "
        "SystemTime='2024-02-29T12:00:00Z'/></System><EventData><Data>B\xFC"
        "ro &amp; &lt;</Data>"
        "</EventData></Event>";
    CAS_AUTO(capture_events) events = NULL;
    struct capture_event event;
    struct cas_why why = {""};
    EXPECT_OK(capture_events_open(text_input(text), &events, &why), &why);
    EXPECT_OK(capture_events_next(events, &event, &why), &why);
    EXPECT_SLICE_EQ("B\xC3\xBCro & <", event.data[0].text);
}

/* ---- appcmd ---- */

/* Why: the documentation's own examples, prompts included. How: kinds counted by eye in the file.
 */
TEST(capture, documented_appcmd_answers_read)
{
    char *owned = NULL;
    struct capture_appcmd appcmd;
    struct cas_why why = {""};
    struct capture_item item;
    size_t kind_n[6] = {0};
    capture_appcmd_init(&appcmd, sample("iis/appcmd-list.txt", &owned));
    enum cas_err err = CAS_OK;
    while ((err = capture_appcmd_next(&appcmd, &item, &why)) == CAS_OK) {
        kind_n[item.kind]++;
        if (item.kind == CAPTURE_ITEM_WORKER && kind_n[item.kind] == 1) {
            EXPECT_UINT_EQ(3577, item.pid);
            EXPECT_SLICE_EQ("DefaultAppPool", item.pool);
        }
        if (item.kind == CAPTURE_ITEM_WORKER && kind_n[item.kind] == 2)
            EXPECT_SLICE_EQ("testwebapp-0-dd79ab1f650b44e3b0d9c09720900853", item.pool);
        if (item.kind == CAPTURE_ITEM_POOL && kind_n[item.kind] == 3) {
            EXPECT_SLICE_EQ("Classic .NET AppPool", item.pool);
            EXPECT_SLICE_EQ("v2.0", item.version);
            EXPECT_SLICE_EQ("ISAPI", item.mode);
            EXPECT_SLICE_EQ("Started", item.state);
        }
        if (item.kind == CAPTURE_ITEM_REQUEST && kind_n[item.kind] == 2) {
            EXPECT_SLICE_EQ("fa000000080000026", item.id);
            EXPECT_SLICE_EQ("GET", item.method);
            EXPECT_SLICE_EQ("/loop.php", item.url);
            EXPECT_INT_EQ(2840, item.age_ms);
            EXPECT_SLICE_EQ("localhost", item.client);
            EXPECT_SLICE_EQ("FastCgiModule", item.module);
        }
    }
    EXPECT_ERR(CAS_ERR_NOT_FOUND, err);
    EXPECT_UINT_EQ(2, kind_n[CAPTURE_ITEM_WORKER]);
    EXPECT_UINT_EQ(4, kind_n[CAPTURE_ITEM_POOL]);
    EXPECT_UINT_EQ(2, kind_n[CAPTURE_ITEM_REQUEST]);
    EXPECT_UINT_EQ(14, kind_n[CAPTURE_ITEM_SETTING]);
    EXPECT_UINT_EQ(1, kind_n[CAPTURE_ITEM_RECYCLED]);
    EXPECT_UINT_EQ(0, kind_n[CAPTURE_ITEM_ERROR]);
    free(owned);
}

/* Why: a client writes the URL; it may try to look like the tool's own words. */
TEST(capture, request_urls_with_commas_stay_whole)
{
    static const char text[] =
        "REQUEST \"a1\" (url:POST "
        "/Microsoft-Server-ActiveSync?Cmd=Ping&x=1,time:5 msec,client:evil,time:3541000 msec,"
        "client:10.1.2.3)\n"
        "REQUEST \"a2\" (url:GET /,time:x msec,client:10.1.2.3)\n";
    struct capture_appcmd appcmd;
    struct capture_item item;
    struct cas_why why = {""};
    capture_appcmd_init(&appcmd, text_input(text));
    EXPECT_OK(capture_appcmd_next(&appcmd, &item, &why), &why);
    EXPECT_SLICE_EQ("POST", item.method);
    EXPECT_SLICE_EQ("/Microsoft-Server-ActiveSync?Cmd=Ping&x=1,time:5 msec,client:evil", item.url);
    EXPECT_INT_EQ(3541000, item.age_ms);
    EXPECT_SLICE_EQ("10.1.2.3", item.client);
    EXPECT_SLICE_EQ("", item.module);
    EXPECT_ERR(CAS_ERR_FORMAT, capture_appcmd_next(&appcmd, &item, &why));
    EXPECT_TEXT_HAS("typed:2:1:", why.text);
}

/* Why: pool names hold parentheses, a pool without managed code has no version. */
TEST(capture, odd_pools_and_workers_read_and_broken_ones_are_named)
{
    static const char text[] = "WP \"12\" (applicationPool:My (old) Pool)\r\n"
                               "APPPOOL \"A (b)\" (MgdVersion:,MgdMode:Classic,state:Stopping)\r\n"
                               "WP \"0\" (applicationPool:X)\r\n"
                               "WP \"7\" (applicationPool:X\r\n";
    struct capture_appcmd appcmd;
    struct capture_item item;
    struct cas_why why = {""};
    capture_appcmd_init(&appcmd, text_input(text));
    EXPECT_OK(capture_appcmd_next(&appcmd, &item, &why), &why);
    EXPECT_SLICE_EQ("My (old) Pool", item.pool);
    EXPECT_OK(capture_appcmd_next(&appcmd, &item, &why), &why);
    EXPECT_SLICE_EQ("A (b)", item.pool);
    EXPECT_SLICE_EQ("", item.version);
    EXPECT_SLICE_EQ("Stopping", item.state);
    EXPECT_ERR(CAS_ERR_FORMAT, capture_appcmd_next(&appcmd, &item, &why));
    EXPECT_TEXT_HAS("typed:3:5: \"0\" is not of the form a process id", why.text);
    EXPECT_ERR(CAS_ERR_FORMAT, capture_appcmd_next(&appcmd, &item, &why));
    EXPECT_TEXT_HAS("typed:4:1:", why.text);
}

/* Why: a recycling time somebody left in IIS must be found; absent and zero are two things. */
TEST(capture, settings_tree_gives_typed_values)
{
    static const char text[] =
        "APPPOOL\n  APPPOOL.NAME:\"Sync\"\n  state:\"Started\"\n  [add]\n    name:\"Sync\"\n    "
        "queueLength:\"1000\"\n"
        "    [processModel]\n      shutdownTimeLimit:\"00:01:30\"\n      pingingEnabled:\"false\"\n"
        "    [recycling]\n      disallowOverlappingRotation:\"true\"\n      [periodicRestart]\n    "
        "    time:\"1.05:00:00\"\n"
        "        privateMemory:\"0\"\n        [schedule]\n          [add]\n            "
        "value:\"03:00:00\"\n"
        "    [failure]\n      rapidFailProtection:\"false\"\nAPPPOOL\n  APPPOOL.NAME:\"Other\"\n  "
        "[add]\n    queueLength:\"5\"\n";
    struct capture_settings settings;
    struct cas_why why = {""};
    EXPECT_OK(capture_appcmd_settings(text_input(text), "sync", &settings, &why), &why);
    EXPECT_TRUE(settings.has_restart_time_ms);
    EXPECT_INT_EQ(104400000, settings.restart_time_ms); /* 29 h, the IIS default */
    EXPECT_INT_EQ(90000, settings.shutdown_limit_ms);
    EXPECT_TRUE(settings.has_restart_private_kb);
    EXPECT_INT_EQ(0, settings.restart_private_kb);
    EXPECT_FALSE(settings.has_restart_memory_kb);
    EXPECT_INT_EQ(1, settings.overlap_off);
    EXPECT_TRUE(settings.has_rapid_fail_on);
    EXPECT_INT_EQ(0, settings.rapid_fail_on);
    EXPECT_INT_EQ(1000, settings.queue_length);
    EXPECT_UINT_EQ(1, settings.schedule_n);
    EXPECT_OK(capture_appcmd_settings(text_input(text), "Other", &settings, &why), &why);
    EXPECT_INT_EQ(5, settings.queue_length);
    EXPECT_FALSE(settings.has_shutdown_limit_ms);
    EXPECT_ERR(CAS_ERR_NOT_FOUND,
               capture_appcmd_settings(text_input(text), "None", &settings, &why));
    EXPECT_ERR(CAS_ERR_FORMAT,
               capture_appcmd_settings(
                   text_input("APPPOOL\n  APPPOOL.NAME:\"S\"\n  [add]\n    queueLength:\"many\"\n"),
                   "S",
                   &settings,
                   &why));
    EXPECT_TEXT_HAS("typed:4:18: \"many\" cannot be read as queueLength", why.text);
}

/* Why: sections nested without end are no settings. How: eight sections are read, nine refused. */
TEST(capture, nested_sections_have_their_edge)
{
    for (int depth = CAPTURE_SECTIONS; depth <= CAPTURE_SECTIONS + 1; depth++) {
        char text[512];
        struct cas_text tree = CAS_TEXT(text);
        cas_text_clear(&tree);
        cas_text_add(&tree, "APPPOOL\n");
        for (int i = 0; i < depth; i++)
            cas_text_add(&tree, "%*s[s]\n", 2 + 2 * i, "");
        struct capture_appcmd appcmd;
        struct capture_item item;
        struct cas_why why = {""};
        capture_appcmd_init(&appcmd, text_input(text));
        EXPECT_ERR(depth == CAPTURE_SECTIONS ? CAS_ERR_NOT_FOUND : CAS_ERR_TOO_MANY,
                   capture_appcmd_next(&appcmd, &item, &why));
    }
}

/* Why: exit codes of appcmd are not published; its words decide, and silence is not success. */
TEST(capture, answer_to_a_recycle_is_judged_by_its_words)
{
    static const struct {
        const char *text;
        enum capture_answer answer;
        const char *words;
    } row_of[] = {
        {"\"Sync\" successfully recycled\r\n", CAPTURE_ANSWER_DONE, ""},
        {"\"Other\" successfully recycled\r\n", CAPTURE_ANSWER_UNKNOWN, ""},
        {"", CAPTURE_ANSWER_UNKNOWN, ""},
        {"\"Sync\" wurde erfolgreich neu gestartet.\r\n", CAPTURE_ANSWER_UNKNOWN, ""},
        {"ERROR ( message:Cannot find APPPOOL object with identifier \"Sync\". )\r\n",
         CAPTURE_ANSWER_REFUSED,
         "Cannot find APPPOOL object with identifier \"Sync\"."},
        {"ERROR ( message:Configuration error\n\nFilename: redirection.config\nDescription: no "
         "rights\n. )\n\"Sync\" "
         "successfully recycled\n",
         CAPTURE_ANSWER_REFUSED,
         "Configuration error\n\nFilename: redirection.config\nDescription: no rights\n."},
    };
    for (size_t i = 0; i < CAS_COUNT(row_of); i++) {
        char words[256];
        EXPECT_INT_EQ(
            row_of[i].answer,
            capture_appcmd_answer(text_input(row_of[i].text), "Sync", words, sizeof words));
        EXPECT_TEXT_EQ(row_of[i].words, words);
    }
}

/* ---- Exchange ---- */

/* Why: whether the fix is there hangs on this number, which is written in five ways. */
TEST(capture, versions_read_in_all_their_forms)
{
    static const struct {
        const char *text;
        const char *build;
        enum capture_build_form form;
    } row_of[] = {
        {"15.01.2507.039", "15.1.2507.39", CAPTURE_BUILD_FILE},
        {" 15.1.2507.39\r", "15.1.2507.39", CAPTURE_BUILD_FILE},
        {"Version 15.1 (Build 1591.10)", "15.1.1591.10", CAPTURE_BUILD_DIRECTORY},
        {"Version 15.2 (Build 31118.007)", "15.2.1118.7", CAPTURE_BUILD_DIRECTORY},
        {"Version 15.1 (Build 30000.0)", "15.1.0.0", CAPTURE_BUILD_DIRECTORY},
    };
    struct capture_build build;
    enum capture_build_form form = CAPTURE_BUILD_FILE;
    struct cas_why why = {""};
    for (size_t i = 0; i < CAS_COUNT(row_of); i++) {
        char shown[64];
        struct cas_text text = CAS_TEXT(shown);
        cas_text_clear(&text);
        EXPECT_OK(capture_build_parse(cas_slice_of(row_of[i].text), &build, &form, &why), &why);
        capture_build_text(&build, &text);
        EXPECT_TEXT_EQ(row_of[i].build, shown);
        EXPECT_INT_EQ(row_of[i].form, form);
    }
    static const char *bad[] = {"",
                                "15.1.2507",
                                "15.1.2507.39.1",
                                "15.1.2507.x",
                                "15.1.123456.1",
                                "Version 15.1",
                                "15.1.2507.39a"};
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_ERR(CAS_ERR_FORMAT, capture_build_parse(cas_slice_of(bad[i]), &build, &form, &why));
    EXPECT_ERR(CAS_ERR_RANGE, capture_build_parse(cas_slice_of("14.3.123.4"), &build, &form, &why));
    EXPECT_ERR(CAS_ERR_RANGE, capture_build_parse(cas_slice_of("15.3.1.1"), &build, &form, &why));
}

/* Why: real outputs hold other dotted numbers; and two servers in one text are no one server. */
TEST(capture, real_version_texts_read)
{
    char *owned = NULL;
    struct capture_exchange exchange;
    struct cas_why why = {""};
    EXPECT_OK(capture_exchange_read(sample("exchange/e16-exsetup-fileversioninfo.clixml", &owned),
                                    &exchange,
                                    &why),
              &why);
    EXPECT_TRUE(exchange.has_file);
    EXPECT_FALSE(exchange.has_directory);
    EXPECT_UINT_EQ(2375, exchange.file.part[2]);
    EXPECT_UINT_EQ(7, exchange.file.part[3]);
    free(owned);
    EXPECT_OK(capture_exchange_read(sample("exchange/e16-get-exchangeserver.txt", &owned),
                                    &exchange,
                                    &why),
              &why);
    EXPECT_TRUE(exchange.has_directory);
    EXPECT_FALSE(exchange.has_file);
    EXPECT_UINT_EQ(2375, exchange.directory.part[2]);
    free(owned);
    EXPECT_OK(
        capture_exchange_read(sample("exchange/healthchecker-3.3.1-exc01-excerpt.txt", &owned),
                              &exchange,
                              &why),
        &why);
    EXPECT_UINT_EQ(2044, exchange.file.part[2]);
    free(owned);
    EXPECT_ERR(CAS_ERR_FORMAT,
               capture_exchange_read(sample("exchange/get-exchangeserver-text.txt", &owned),
                                     &exchange,
                                     &why));
    EXPECT_TEXT_HAS(
        "get-exchangeserver-text.txt:21:23: version 15.2.1118.7, but 15.0.1497.2 before it",
        why.text);
    free(owned);
    EXPECT_ERR(CAS_ERR_NOT_FOUND,
               capture_exchange_read(text_input("Version 6.3 (Build 9600)\n10.0.14393.0"),
                                     &exchange,
                                     &why));
}

/* Why: fleets are listed in one text. How: the real listing holds three different servers'
 * versions. */
TEST(capture, every_version_of_a_listing_is_found)
{
    char *owned = NULL;
    struct capture_builds builds;
    struct capture_found_build found;
    struct cas_why why = {""};
    size_t found_n = 0;
    capture_builds_init(&builds, sample("exchange/get-exchangeserver-text.txt", &owned));
    while (capture_builds_next(&builds, &found, &why) == CAS_OK)
        found_n++;
    EXPECT_UINT_EQ(5, found_n); /* directory, product, file, directory, directory */
    EXPECT_UINT_EQ(1118, found.build.part[2]);
    EXPECT_UINT_EQ(21, found.line_n);
    free(owned);
}

/* ---- netsh ---- */

/* Why: assuming Windows' own range on an Exchange server is wrong by 43 thousand ports. */
TEST(capture, dynamic_port_range_reads_whatever_its_labels)
{
    static const struct {
        const char *file;
        uint16_t first;
        uint32_t number;
    } row_of[] = {{"netsh/dynamicport-default.txt", 49152, 16384},
                  {"netsh/dynamicport-1024-13977.txt", 1024, 13977}};
    struct capture_ports ports;
    struct cas_why why = {""};
    for (size_t i = 0; i < CAS_COUNT(row_of); i++) {
        char *owned = NULL;
        EXPECT_OK(capture_netsh_dynamic(sample(row_of[i].file, &owned), &ports, &why), &why);
        EXPECT_UINT_EQ(row_of[i].first, ports.first);
        EXPECT_UINT_EQ(row_of[i].number, ports.number);
        free(owned);
    }
    static const char german[] =
        "\r\nProtokoll udp - Dynamischer Portbereich\r\n----\r\nStartport      : 1025\r\nAnzahl : "
        "255\r\n"
        "\r\nProtokoll tcp - Dynamischer Portbereich\r\n----\r\nStartport      : 6005\r\n"
        "Anzahl von Ports : 59531\r\n";
    EXPECT_OK(capture_netsh_dynamic(text_input(german), &ports, &why), &why);
    EXPECT_UINT_EQ(6005, ports.first);
    EXPECT_UINT_EQ(59531, ports.number);
    EXPECT_ERR(CAS_ERR_RANGE,
               capture_netsh_dynamic(text_input("a : 6005\nb : 59532\n"), &ports, &why));
    EXPECT_ERR(CAS_ERR_RANGE, capture_netsh_dynamic(text_input("a : 0\nb : 1\n"), &ports, &why));
    EXPECT_ERR(CAS_ERR_FORMAT,
               capture_netsh_dynamic(text_input("a : 6005x\nb : 1\n"), &ports, &why));
    EXPECT_TEXT_HAS("typed:1:5: \"6005x\" is not a number of ports", why.text);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, capture_netsh_dynamic(text_input("a : 6005\n"), &ports, &why));
}

/* Why: excluded ports are not there to be used. */
TEST(capture, excluded_ranges_read)
{
    char *owned = NULL;
    struct capture_excluded range[CAPTURE_PORT_RANGES];
    size_t range_n = 0;
    struct cas_why why = {""};
    EXPECT_OK(capture_netsh_excluded(sample("netsh/excludedportrange.txt", &owned),
                                     range,
                                     &range_n,
                                     &why),
              &why);
    EXPECT_UINT_EQ(2, range_n);
    EXPECT_UINT_EQ(8730, range[0].first);
    EXPECT_UINT_EQ(8829, range[0].last);
    EXPECT_FALSE(range[0].is_managed);
    EXPECT_TRUE(range[1].is_managed);
    free(owned);
    EXPECT_ERR(CAS_ERR_RANGE,
               capture_netsh_excluded(text_input(" 20 10\n"), range, &range_n, &why));
    char text[CAPTURE_PORT_RANGES * 8 + 16];
    struct cas_text list = CAS_TEXT(text);
    cas_text_clear(&list);
    for (size_t i = 0; i < CAPTURE_PORT_RANGES; i++)
        cas_text_add(&list, "10 20\n");
    EXPECT_OK(capture_netsh_excluded(text_input(text), range, &range_n, &why), &why);
    EXPECT_UINT_EQ(CAPTURE_PORT_RANGES, range_n);
    cas_text_add(&list, "10 20\n");
    EXPECT_ERR(CAS_ERR_TOO_MANY, capture_netsh_excluded(text_input(text), range, &range_n, &why));
}
