/* Expected numbers were counted from the samples with awk and by eye, never with the code under
 * test. */
#include "tests/unit/test.h"

#include <math.h>
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

/* ---- text ---- */

/* Why: PowerShell's > writes UTF-16; a listing saved so must read like any other. How: "Ab" and a
 * character outside the first plane, in both byte orders, and a mark of UTF-8. */
TEST(capture, utf16_and_marks_become_plain_utf8)
{
    static const char little[] = "\xFF\xFE"
                                 "A\0b\0\x3D\xD8\x00\xDE";
    static const char big[] = "\xFE\xFF\0A\0b\xD8\x3D\xDE\x00";
    static const char marked[] = "\xEF\xBB\xBF"
                                 "Ab";
    struct capture_input input[3] = {{"l", {little, sizeof little - 1}},
                                     {"b", {big, sizeof big - 1}},
                                     {"m", {marked, sizeof marked - 1}}};
    const char *expected[3] = {"Ab\xF0\x9F\x98\x80", "Ab\xF0\x9F\x98\x80", "Ab"};
    for (size_t i = 0; i < 3; i++) {
        char *text = NULL;
        size_t size = 0;
        struct cas_why why = {""};
        EXPECT_OK(capture_decode(input[i], 100, &text, &size, &why), &why);
        EXPECT_UINT_EQ(strlen(expected[i]), size);
        EXPECT_TEXT_EQ(expected[i], text);
        free(text);
    }
}

/* Why: a limit is only one if its edge holds; half a character is a damaged file. */
TEST(capture, decoding_keeps_its_limit_and_refuses_half_a_character)
{
    char *text = NULL;
    size_t size = 0;
    struct cas_why why = {""};
    EXPECT_OK(capture_decode(text_input("12345"), 5, &text, &size, &why), &why);
    free(text);
    EXPECT_ERR(CAS_ERR_TOO_LONG, capture_decode(text_input("123456"), 5, &text, &size, &why));
    EXPECT_TEXT_HAS("6 bytes, at most 5", why.text);
    struct capture_input half = {"h",
                                 {"\xFF\xFE"
                                  "A\0b",
                                  5}};
    EXPECT_ERR(CAS_ERR_FORMAT, capture_decode(half, 100, &text, &size, &why));
    /* Three bytes of UTF-8 for two of UTF-16: the limit holds for the result too. */
    struct capture_input wide = {"w", {"\xFF\xFE\xAC\x20\xAC\x20", 6}};
    EXPECT_ERR(CAS_ERR_TOO_LONG, capture_decode(wide, 5, &text, &size, &why));
}

/* ---- counters ---- */

/* Why: the plain case, a file typeperf wrote. How: 45 counters, 4 rows, no time zone. */
TEST(capture, typeperf_file_reads_as_it_is)
{
    char *owned = NULL;
    CAS_AUTO(capture_pdh) pdh = NULL;
    struct cas_why why = {""};
    EXPECT_OK(capture_pdh_open(sample("perf/typeperf-processor-2cpu.csv", &owned), 0, &pdh, &why),
              &why);
    const struct capture_pdh_head *head = capture_pdh_head(pdh);
    EXPECT_UINT_EQ(45, head->column_n);
    EXPECT_UINT_EQ(42, head->other_n); /* three "% Processor Time" are ours */
    EXPECT_FALSE(head->has_zone);
    EXPECT_SLICE_EQ("GS-1-WIN", head->column[0].host);
    EXPECT_SLICE_EQ("Processor", head->column[0].object);
    EXPECT_SLICE_EQ("0", head->column[0].instance);
    EXPECT_SLICE_EQ("% Processor Time", head->column[0].counter);
    EXPECT_INT_EQ(CAPTURE_CPU, head->column[0].kind);
    struct capture_row row;
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    EXPECT_INT_EQ(1609266042717, row.time_ms);
    EXPECT_UINT_EQ(0, row.missing_n);
    EXPECT_NEAR(0.156136, capture_pdh_value(pdh, &row, CAPTURE_CPU, "_Total"), 1e-9);
    EXPECT_NEAR(190.683616, row.value[42], 1e-9);
    for (size_t i = 0; i < 3; i++)
        EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    EXPECT_UINT_EQ(5, row.line_n);
    EXPECT_NEAR(0.000038, capture_pdh_value(pdh, &row, CAPTURE_CPU, "_Total"), 1e-9);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, capture_pdh_next(pdh, &row, &why));
    capture_pdh_rewind(pdh);
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    EXPECT_UINT_EQ(2, row.line_n);
    free(owned);
}

/* Why: a second real file guards against a parser made for one. How: instances with blanks and
 * colons. */
TEST(capture, instances_with_blanks_and_colons_read)
{
    char *owned = NULL;
    CAS_AUTO(capture_pdh) pdh = NULL;
    struct cas_why why = {""};
    EXPECT_OK(capture_pdh_open(sample("perf/typeperf-physicaldisk.csv", &owned), -60, &pdh, &why),
              &why);
    const struct capture_pdh_head *head = capture_pdh_head(pdh);
    EXPECT_UINT_EQ(42, head->column_n);
    EXPECT_SLICE_EQ("0 C:", head->column[20].instance);
    EXPECT_SLICE_EQ("Split IO/Sec", head->column[20].counter);
    struct capture_row row;
    size_t row_n = 0;
    double last = 0;
    while (capture_pdh_next(pdh, &row, &why) == CAS_OK) {
        row_n++;
        last = row.value[41];
    }
    EXPECT_UINT_EQ(4, row_n);
    EXPECT_NEAR(0.697526, last, 1e-9);
    free(owned);
}

/* Why: on the console typeperf frames its table with an empty first line, closing sentences and
 * stray CRs. */
TEST(capture, typeperf_console_frame_is_passed_over)
{
    char *owned = NULL;
    CAS_AUTO(capture_pdh) pdh = NULL;
    struct cas_why why = {""};
    EXPECT_OK(capture_pdh_open(sample("perf/typeperf-stdout-sc1.txt", &owned), 0, &pdh, &why),
              &why);
    EXPECT_UINT_EQ(2, capture_pdh_head(pdh)->column_n);
    struct capture_row row;
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    EXPECT_INT_EQ(1790113352824, row.time_ms);
    EXPECT_NEAR(20261367808.0, row.value[1], 0.5);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, capture_pdh_next(pdh, &row, &why));
    free(owned);
}

/* Why: relog writes local time and the zone beside it; a sign read wrongly shifts a server by two
 * hours. How: noon in Berlin is 11:00 UTC; an empty zone name, a name with parentheses, one broken
 * off. */
TEST(capture, zone_in_the_header_gives_utc)
{
    static const struct {
        const char *zone;
        int64_t noon_ms;
        bool has_zone;
    } row_of[] = {
        {" (W. Europe Standard Time)(-60)", 1709204400000, true},
        {" ()(-60)", 1709204400000, true},
        {" (Pacific Daylight Time)(420)", 1709233200000, true},
        {" (Maroc (heure d'hiver))(0)", 1709208000000, true},
        {" (Maroc (heure d", 1709208600000, false}, /* then the assumed 10 minutes */
    };
    for (size_t i = 0; i < CAS_COUNT(row_of); i++) {
        char text[256];
        (void)snprintf(text,
                       sizeof text,
                       "\"(PDH-CSV 4.0)%s\",\"\\Memory\\Available MBytes\"\r\n"
                       "\"02/29/2024 12:00:00.000\",\" 4096.5\"\r\n",
                       row_of[i].zone);
        CAS_AUTO(capture_pdh) pdh = NULL;
        struct capture_row row;
        struct cas_why why = {""};
        EXPECT_OK(capture_pdh_open(text_input(text), 10, &pdh, &why), &why);
        EXPECT_INT_EQ(row_of[i].has_zone, capture_pdh_head(pdh)->has_zone);
        EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
        EXPECT_INT_EQ(row_of[i].noon_ms, row.time_ms);
        EXPECT_NEAR(4096.5, capture_pdh_value(pdh, &row, CAPTURE_MEMORY_MBYTES, NULL), 1e-9);
    }
}

/* Why: a gap must stay a gap: a missing value read as 0 or -1 is a false alarm or a missed one.
 * How: the three forms of a missing value, a short row, quoted commas, a header wider than the
 * rows. */
TEST(capture, missing_values_stay_missing)
{
    static const char text[] =
        "\"(PDH-CSV 4.0)\",\"\\A(x,y)\\B\",\"\\A\\C \"\"q\"\"\",\"\\A\\D\",\"\\A\\E\"\n"
        "\"02/29/2024 12:00:00.000\",\" \",\"\",\"-1\",\"-1.5\"\n"
        "\"02/29/2024 12:00:15.000\",\"2e3\"\n"
        "\"02/29/2024 12:00:30.000\",\"1\",\"2\",\"3\",\"4\",\" \"\n";
    CAS_AUTO(capture_pdh) pdh = NULL;
    struct capture_row row;
    struct cas_why why = {""};
    EXPECT_OK(capture_pdh_open(text_input(text), 0, &pdh, &why), &why);
    EXPECT_SLICE_EQ("x,y", capture_pdh_head(pdh)->column[0].instance);
    EXPECT_SLICE_EQ("C \"q\"", capture_pdh_head(pdh)->column[1].counter);
    EXPECT_UINT_EQ(4, capture_pdh_head(pdh)->other_n);
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    EXPECT_UINT_EQ(3, row.missing_n);
    EXPECT_FALSE(cas_is_number(row.value[0]));
    EXPECT_NEAR(-1.5, row.value[3], 1e-9);
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    EXPECT_UINT_EQ(3, row.missing_n);
    EXPECT_NEAR(2000, row.value[0], 1e-9);
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    EXPECT_UINT_EQ(0, row.missing_n);
}

/* Why: what is refused must be found with an editor, and one bad row must not cost the good ones.
 */
TEST(capture, bad_row_is_named_and_the_next_one_read)
{
    static const char text[] = "\"(PDH-CSV 4.0)\",\"\\Memory\\Available MBytes\"\n"
                               "\"02/30/2024 12:00:00.000\",\"1\"\n"
                               "\"02/29/2024 12:00:00.000\",\"1,5\"\n"
                               "\"02/29/2024 12:00:00.000\",\"1\",\"2\"\n"
                               "\"02/29/2024 12:00:00.000\",\"1\n"
                               "\"02/29/2024 12:00:00.000\",\"7\"\n"
                               "\"(PDH-CSV 4.0)\",\"\\Memory\\Available Bytes\"\n"
                               "\"02/29/2024 12:00:15.000\",\"8\"\n";
    static const char *reason[] = {"typed:2:2: \"02/30/2024 12:00:00.000\" is not a time",
                                   "typed:3:28: \"1,5\" is not a number (counter Available MBytes)",
                                   "typed:4:32: \"2\" is value 2 of a row",
                                   "typed:5:27: quotes that do not fit"};
    CAS_AUTO(capture_pdh) pdh = NULL;
    struct capture_row row;
    struct cas_why why = {""};
    EXPECT_OK(capture_pdh_open(text_input(text), 0, &pdh, &why), &why);
    for (size_t i = 0; i < CAS_COUNT(reason); i++) {
        EXPECT_ERR(CAS_ERR_FORMAT, capture_pdh_next(pdh, &row, &why));
        EXPECT_TEXT_HAS(reason[i], why.text);
    }
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    EXPECT_NEAR(7, row.value[0], 1e-9);
    EXPECT_ERR(CAS_ERR_FORMAT, capture_pdh_next(pdh, &row, &why));
    EXPECT_TEXT_HAS("typed:7:1: a second header", why.text);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, capture_pdh_next(pdh, &row, &why));
}

/* Why: a hostile header must not make us allocate without end. How: exactly the limit, then one
 * more. */
TEST(capture, number_of_counters_has_its_edge)
{
    for (size_t more = 0; more < 2; more++) {
        size_t column_n = (size_t)CAPTURE_COLUMNS + more;
        char *text = calloc(column_n + 32, 1);
        EXPECT_NOT_NULL(text);
        (void)snprintf(text, 32, "\"(PDH-CSV 4.0)\"");
        memset(text + strlen(text), ',', column_n);
        CAS_AUTO(capture_pdh) pdh = NULL;
        struct cas_why why = {""};
        enum cas_err err = capture_pdh_open(text_input(text), 0, &pdh, &why);
        EXPECT_INT_EQ(more == 0 ? CAS_OK : CAS_ERR_TOO_MANY, err);
        free(text);
    }
    struct cas_why why = {""};
    CAS_AUTO(capture_pdh) pdh = NULL;
    EXPECT_ERR(CAS_ERR_MISSING, capture_pdh_open(text_input("hello\n"), 0, &pdh, &why));
    EXPECT_ERR(CAS_ERR_RANGE,
               capture_pdh_open(text_input("\"(PDH-CSV 4.0) (x)(901)\""), 0, &pdh, &why));
    EXPECT_OK(capture_pdh_open(text_input("\"(PDH-CSV 4.0) (x)(900)\""), 0, &pdh, &why), &why);
}

/* Why: Get-Counter prints paths in lower case with the host in front. How: paths of an Exchange
 * 2016 server. */
TEST(capture, paths_come_apart_in_every_form)
{
    static const struct {
        const char *text, *host, *object, *instance, *counter;
        enum capture_counter kind;
    } row_of[] = {
        {"\\\\solo-e16a\\network interface(isatap.{5abd3c7a-9ce5-40ea-a66c-6f51c013accc})\\packets "
         "received discarded",
         "solo-e16a",
         "network interface",
         "isatap.{5abd3c7a-9ce5-40ea-a66c-6f51c013accc}",
         "packets received discarded",
         CAPTURE_OTHER},
        {"\\w3svc_w3wp(3676_msexchangesyncapppool)\\active requests",
         "",
         "w3svc_w3wp",
         "3676_msexchangesyncapppool",
         "active requests",
         CAPTURE_WORKER_ACTIVE},
        {"\\\\H\\W3SVC_W3WP(12_A_b (c) #1)\\Active Requests",
         "H",
         "W3SVC_W3WP",
         "12_A_b (c) #1",
         "Active Requests",
         CAPTURE_WORKER_ACTIVE},
        {"\\TCPv4\\Connections Established",
         "",
         "TCPv4",
         "",
         "Connections Established",
         CAPTURE_TCP_ESTABLISHED},
        {"\\Prozessor(_Total)\\Prozessorzeit (%)",
         "",
         "Prozessor",
         "_Total",
         "Prozessorzeit (%)",
         CAPTURE_OTHER},
    };
    for (size_t i = 0; i < CAS_COUNT(row_of); i++) {
        struct capture_path path;
        EXPECT_OK(capture_path_parse(cas_slice_of(row_of[i].text), &path), NULL);
        EXPECT_SLICE_EQ(row_of[i].host, path.host);
        EXPECT_SLICE_EQ(row_of[i].object, path.object);
        EXPECT_SLICE_EQ(row_of[i].instance, path.instance);
        EXPECT_SLICE_EQ(row_of[i].counter, path.counter);
        EXPECT_INT_EQ(row_of[i].kind, path.kind);
    }
    static const char *bad[] =
        {"", "Memory", "\\Memory", "\\\\host", "\\\\host\\Memory", "\\(x)\\y", "\\Memory\\"};
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        struct capture_path path;
        EXPECT_ERR(CAS_ERR_FORMAT, capture_path_parse(cas_slice_of(bad[i]), &path));
    }
}

/* Why: pool names hold underscores; split at any other place and the pool is never found. */
TEST(capture, worker_instance_splits_at_its_first_underscore)
{
    uint32_t pid = 0;
    struct cas_slice pool;
    EXPECT_TRUE(capture_worker_instance(cas_slice_of("3676_My_Pool (x)"), &pid, &pool));
    EXPECT_UINT_EQ(3676, pid);
    EXPECT_SLICE_EQ("My_Pool (x)", pool);
    EXPECT_TRUE(capture_worker_instance(cas_slice_of("4294967295_p"), &pid, &pool));
    static const char *bad[] = {"_Total", "3676", "3676_", "0_p", "x1_p", "4294967296_p", ""};
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_FALSE(capture_worker_instance(cas_slice_of(bad[i]), &pid, &pool));
}

/* Why: w3wp#1 of Process is not w3wp#1 of .NET CLR Memory; taken by number, another pool's memory
 * is reported. How: two pools, numbered crosswise; an overlap with two workers of the pool; then
 * one of them has gone. */
TEST(capture, workers_are_matched_by_pid_within_their_row)
{
    static const char text[] =
        "\"(PDH-CSV 4.0) ()(0)\",\"\\\\H\\W3SVC_W3WP(100_Sync)\\Active Requests\","
        "\"\\\\H\\W3SVC_W3WP(200_Other)\\Active Requests\",\"\\\\H\\W3SVC_W3WP(300_sync)\\Active "
        "Requests\","
        "\"\\\\H\\Process(w3wp)\\ID Process\",\"\\\\H\\Process(w3wp#1)\\ID "
        "Process\",\"\\\\H\\Process(w3wp#2)\\ID Process\","
        "\"\\\\H\\Process(w3wp)\\Private Bytes\",\"\\\\H\\Process(w3wp#1)\\Private "
        "Bytes\",\"\\\\H\\Process(w3wp#2)\\Private Bytes\","
        "\"\\\\H\\Process(w3wp#1)\\Elapsed Time\",\"\\\\H\\Process(w3wp#2)\\Elapsed Time\","
        "\"\\\\H\\.NET CLR Memory(w3wp)\\Process ID\",\"\\\\H\\.NET CLR Memory(w3wp)\\% Time in "
        "GC\","
        "\"\\\\H\\.NET CLR Memory(w3wp#1)\\Process ID\",\"\\\\H\\.NET CLR Memory(w3wp#1)\\% Time "
        "in GC\","
        "\"\\\\H\\.NET CLR Memory(w3wp_p300_r5)\\% Time in GC\"\n"
        "\"02/29/2024 "
        "12:00:00.000\",\"40\",\"7\",\"3\",\"200\",\"300\",\"100\",\"222\",\"333\",\"111\",\"60\","
        "\"9000\","
        "\"100\",\"44\",\"200\",\"5\",\"1\"\n"
        "\"02/29/2024 12:02:00.000\",\" \",\"7\",\"9\",\"200\",\"300\",\" \",\"222\",\"334\",\" "
        "\",\"180\",\" \","
        "\" \",\" \",\"200\",\"5\",\"2\"\n";
    CAS_AUTO(capture_pdh) pdh = NULL;
    struct capture_row row;
    struct cas_why why = {""};
    struct capture_worker worker[CAPTURE_WORKERS];
    size_t worker_n = 0;
    EXPECT_OK(capture_pdh_open(text_input(text), 0, &pdh, &why), &why);
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    capture_pdh_workers(pdh, &row, "Sync", worker, &worker_n);
    EXPECT_UINT_EQ(2, worker_n);
    EXPECT_UINT_EQ(100, worker[0].pid); /* the older first */
    EXPECT_NEAR(111, worker[0].value[CAPTURE_PROCESS_PRIVATE], 1e-9);
    EXPECT_NEAR(44, worker[0].value[CAPTURE_CLR_GC_TIME], 1e-9);
    EXPECT_UINT_EQ(300, worker[1].pid);
    EXPECT_NEAR(3, worker[1].value[CAPTURE_WORKER_ACTIVE], 1e-9);
    EXPECT_NEAR(333, worker[1].value[CAPTURE_PROCESS_PRIVATE], 1e-9);
    EXPECT_NEAR(1, worker[1].value[CAPTURE_CLR_GC_TIME], 1e-9); /* by the PID in its name */
    EXPECT_FALSE(cas_is_number(worker[1].value[CAPTURE_PROCESS_HANDLES]));
    EXPECT_OK(capture_pdh_next(pdh, &row, &why), &why);
    capture_pdh_workers(pdh, &row, "Sync", worker, &worker_n);
    EXPECT_UINT_EQ(1, worker_n);
    EXPECT_NEAR(334, worker[0].value[CAPTURE_PROCESS_PRIVATE], 1e-9);
    capture_pdh_workers(pdh, &row, "Nobody", worker, &worker_n);
    EXPECT_UINT_EQ(0, worker_n);
}

static const struct capture_ports default_ports = {.first = 49152, .number = 16384};

/* ---- netstat ---- */

/* Why: three real listings must add up as they are. How: counted with awk: states, UDP rows,
 * distinct IPv4 ports of two ranges, the busiest remote endpoint. */
TEST(capture, real_listings_add_up)
{
    static const struct {
        const char *file;
        struct capture_ports ports;
        size_t row_n, listening_n, established_n, close_wait_n, used_n, peer_n;
        bool has_pid;
    } row_of[] = {
        {"netstat/win10-netstat-an.txt", {49152, 16384}, 260, 48, 32, 0, 10, 1, false},
        {"netstat/win10-netstat-ano.txt", {49152, 16384}, 208, 39, 32, 0, 7, 1, true},
        {"netstat/win10-netstat-ano.txt", {1024, 13977}, 208, 39, 32, 0, 20, 1, true},
        {"netstat/win10-netstat-anob-part.txt", {1024, 13977}, 81, 33, 45, 3, 44, 2, true},
    };
    for (size_t i = 0; i < CAS_COUNT(row_of); i++) {
        char *owned = NULL;
        struct cas_why why = {""};
        struct capture_netstat_sum sum;
        EXPECT_OK(
            capture_netstat_sum(sample(row_of[i].file, &owned), row_of[i].ports, 0, &sum, &why),
            &why);
        EXPECT_UINT_EQ(0, sum.refused_n);
        EXPECT_UINT_EQ(row_of[i].row_n, sum.row_n);
        EXPECT_INT_EQ(row_of[i].has_pid, sum.has_pid);
        EXPECT_UINT_EQ(row_of[i].listening_n, sum.state_n[CAPTURE_STATE_LISTENING]);
        EXPECT_UINT_EQ(row_of[i].established_n, sum.state_n[CAPTURE_STATE_ESTABLISHED]);
        EXPECT_UINT_EQ(row_of[i].close_wait_n, sum.state_n[CAPTURE_STATE_CLOSE_WAIT]);
        EXPECT_UINT_EQ(row_of[i].used_n, sum.ports_used);
        EXPECT_UINT_EQ(row_of[i].peer_n, sum.ports_peer_most);
        if (row_of[i].close_wait_n > 0) {
            EXPECT_UINT_EQ(1, sum.owner_n);
            EXPECT_UINT_EQ(27568, sum.owner[0].pid);
            EXPECT_UINT_EQ(3, sum.owner[0].close_wait_n);
            EXPECT_SLICE_EQ("82.102.152.152", sum.peer);
            EXPECT_UINT_EQ(443, sum.peer_port);
        }
        free(owned);
    }
}

/* Why: -b writes the owner below its row, sometimes a service between, sometimes a sentence
 * instead. */
TEST(capture, owner_lines_belong_to_the_row_above)
{
    char *owned = NULL;
    struct capture_netstat netstat;
    capture_netstat_init(&netstat, sample("netstat/win10-netstat-anob-part.txt", &owned));
    struct capture_socket socket;
    struct cas_why why = {""};
    size_t named_n = 0;
    size_t row_n = 0;
    while (capture_netstat_next(&netstat, &socket, &why) == CAS_OK) {
        row_n++;
        named_n += socket.owner.size > 0 ? 1 : 0;
        if (row_n == 1) {
            EXPECT_SLICE_EQ("0.0.0.0", socket.local);
            EXPECT_UINT_EQ(135, socket.local_port);
            EXPECT_UINT_EQ(1712, socket.pid);
            EXPECT_SLICE_EQ("svchost.exe", socket.owner); /* below its service, RpcSs */
        }
        if (row_n == 3)
            EXPECT_SLICE_EQ("", socket.owner); /* "Can not obtain ownership information" */
    }
    EXPECT_UINT_EQ(81, row_n);
    EXPECT_UINT_EQ(70, named_n);
    EXPECT_SLICE_EQ("SearchApp.exe", socket.owner); /* the last row has its owner too */
    EXPECT_UINT_EQ(4607, socket.local_port);
    free(owned);
}

/* Why: UDP and IPv6 rows have other shapes. How: the last row of the real listing. */
TEST(capture, udp_and_scoped_ipv6_rows_read)
{
    char *owned = NULL;
    struct capture_netstat netstat;
    capture_netstat_init(&netstat, sample("netstat/win10-netstat-ano.txt", &owned));
    struct capture_socket socket;
    struct cas_why why = {""};
    while (capture_netstat_next(&netstat, &socket, &why) == CAS_OK) {
    }
    EXPECT_TRUE(socket.is_udp);
    EXPECT_TRUE(socket.is_ipv6);
    EXPECT_SLICE_EQ("fe80::f5d1:8bf7:c410:e325%64", socket.local);
    EXPECT_UINT_EQ(52284, socket.local_port);
    EXPECT_SLICE_EQ("*", socket.remote);
    EXPECT_INT_EQ(CAPTURE_STATE_NONE, socket.state);
    EXPECT_UINT_EQ(8844, socket.pid);
    EXPECT_UINT_EQ(212, socket.line_n);
    free(owned);
}

/* Why: a German server's CLOSE_WAIT counts like any other; a word nobody knows is counted apart,
 * not guessed. How: headings in German, an umlaut in two code pages, a state of two words, a column
 * behind the PID. */
TEST(capture, translated_states_count_and_strange_ones_stand_apart)
{
    static const char text[] =
        "\r\nAktive Verbindungen\r\n\r\n  Proto  Lokale Adresse         Remoteadresse          "
        "Status           PID\r\n"
        "  TCP    0.0.0.0:443            0.0.0.0:0              ABH\x99REN         4\r\n"
        "  TCP    [::]:443               [::]:0                 ABH\xC3\x96REN         4\r\n"
        "  TCP    10.0.0.1:50001         10.0.0.2:444           SCHLIESSEN_WARTEN 77\r\n"
        "  TCP    10.0.0.1:50002         10.0.0.2:444           CLOSE_WAIT      77  InHost\r\n"
        "  TCP    10.0.0.1:50002         10.0.0.3:444           WARTEND         0\r\n"
        "  TCP    10.0.0.1:65536         10.0.0.3:444           WARTEND         0\r\n"
        "  TCP    10.0.0.1:50003         10.0.0.3:444           GANZ ANDERS     5\r\n"
        "  TCP    10.0.0.1:50004         10.0.0.3:444           OVATTOMASSA     5\r\n"
        "  TCP    10.0.0.1:50005         10.0.0.3:444           CLOSE_WAIT      9\r\n";
    struct capture_netstat_sum sum;
    struct cas_why why = {""};
    EXPECT_OK(capture_netstat_sum(text_input(text), default_ports, 9, &sum, &why), &why);
    EXPECT_UINT_EQ(8, sum.row_n);
    EXPECT_UINT_EQ(1, sum.refused_n);
    EXPECT_TEXT_HAS("typed:10:10: \"10.0.0.1:65536\" is not an address with a port",
                    sum.refused.text);
    EXPECT_UINT_EQ(2, sum.state_n[CAPTURE_STATE_LISTENING]);
    EXPECT_UINT_EQ(2, sum.state_n[CAPTURE_STATE_CLOSE_WAIT]); /* without our own PID, 9 */
    EXPECT_UINT_EQ(1, sum.state_n[CAPTURE_STATE_TIME_WAIT]);
    EXPECT_UINT_EQ(2, sum.state_n[CAPTURE_STATE_UNKNOWN]);
    EXPECT_UINT_EQ(77, sum.owner[0].pid);
    EXPECT_UINT_EQ(2, sum.owner[0].close_wait_n);
    EXPECT_UINT_EQ(4, sum.ports_used); /* 50001 50002 50003 50004; 50002 twice */
    EXPECT_UINT_EQ(3, sum.ports_peer_most);
    EXPECT_SLICE_EQ("10.0.0.3", sum.peer);
}

/* Why: an unknown range must not make every port count. */
TEST(capture, without_a_range_no_port_is_dynamic)
{
    static const char text[] = "  TCP    10.0.0.1:50001  10.0.0.2:444  ESTABLISHED  77\n";
    struct capture_netstat_sum sum;
    struct cas_why why = {""};
    struct capture_ports edge = {.first = 50001, .number = 1};
    EXPECT_OK(capture_netstat_sum(text_input(text), (struct capture_ports){0, 0}, 0, &sum, &why),
              &why);
    EXPECT_UINT_EQ(0, sum.ports_used);
    EXPECT_OK(capture_netstat_sum(text_input(text), edge, 0, &sum, &why), &why);
    EXPECT_UINT_EQ(1, sum.ports_used);
    edge.first = 50000; /* its end, 50000, lies just below */
    EXPECT_OK(capture_netstat_sum(text_input(text), edge, 0, &sum, &why), &why);
    EXPECT_UINT_EQ(0, sum.ports_used);
    edge.first = 50002;
    EXPECT_OK(capture_netstat_sum(text_input(text), edge, 0, &sum, &why), &why);
    EXPECT_UINT_EQ(0, sum.ports_used);
}

/* Why: rows that are nearly right must be told, and a line without end must not be searched without
 * end. */
TEST(capture, broken_rows_are_named_with_their_value)
{
    static const char *bad[] = {"  TCP    10.0.0.1  10.0.0.2:444  ESTABLISHED  77",
                                "  TCP    10.0.0.1:1  10.0.0.2:444",
                                "  TCP    10.0.0.1:1  10.0.0.2:444  ESTABLISHED  7x",
                                "  TCP    10.0.0.1:1  10.0.0.2:444  ESTABLISHED  4294967296",
                                "  TCP    [::1:1  10.0.0.2:444  ESTABLISHED  7",
                                "  TCP    :1  10.0.0.2:444  ESTABLISHED  7",
                                "TCP",
                                "  UDP    10.0.0.1:1"};
    struct capture_netstat netstat;
    struct capture_socket socket;
    struct cas_why why = {""};
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        capture_netstat_init(&netstat, text_input(bad[i]));
        EXPECT_ERR(CAS_ERR_FORMAT, capture_netstat_next(&netstat, &socket, &why));
        EXPECT_TEXT_HAS("typed:1:", why.text);
        EXPECT_ERR(CAS_ERR_NOT_FOUND, capture_netstat_next(&netstat, &socket, &why));
    }
    for (size_t more = 0; more < 2; more++) {
        size_t size = (size_t)CAPTURE_LINE_BYTES + more;
        char *line = malloc(size + 1);
        EXPECT_NOT_NULL(line);
        memset(line, ' ', size);
        memcpy(line, bad[0], 8);
        memcpy(line, "TCP 1:1 1:1 X 1", 15);
        line[size] = '\0';
        capture_netstat_init(&netstat, text_input(line));
        enum cas_err err = capture_netstat_next(&netstat, &socket, &why);
        EXPECT_INT_EQ(more == 0 ? CAS_OK : CAS_ERR_TOO_LONG, err);
        free(line);
    }
}
