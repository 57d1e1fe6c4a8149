"""Does the tree keep its own rules? Called by tidy.sh; prints "path:line: rule: what" for each breach."""

import os
import re
import sys

FILE_LINES = 800
FUNCTION_LINES = 60

WINGS = ("proto/", "agent/", "controller/")
SKIPPED_FOLDERS = {".git", "build", ".cache", "__pycache__", "node_modules", ".pytest_cache"}
DATA = ("data/", "tests/data/", "tests/fuzz/corpora/", "tests/golden/")
TEXT_ENDS = (".c", ".h", ".def", ".py", ".sh", ".md", ".txt", ".cmake", ".json", ".js", ".mjs", ".css", ".html", ".ini")

PROTO_ORDER = ("base", "wire", "trust", "channel")
CORE_ORDER = ("compliance", "inventory", "window", "diagnosis", "need", "rollout", "simulate")
CORE_PROTO = ("proto/base/cas.h", "proto/base/clock.h", "proto/base/limits.h", "proto/base/nodeset.h", "proto/wire/")
# Rooms of the controller that may see other rooms of it; every other one sees the core and itself.
SHELL = {
    "store": ("core",),
    "view": ("core", "store"),
    "hub": ("core", "store", "view", "ask"),
    "ask": ("core", "store", "view", "hub"),
    "http": ("core", "store", "view"),
    "cli": (),
}

# A library's headers, and the only places that may include them.
LIBRARIES = {
    "msgpack": ("proto/wire/",),
    "sodium": ("proto/trust/",),
    "zmq": ("proto/channel/",),
    "ini.h": ("proto/base/options.c",),
    "sqlite3": ("agent/journal/", "controller/store/"),
    "jansson": ("controller/view/", "controller/cli/", "controller/ask/"),
    "microhttpd": ("controller/http/",),
    "libical": ("controller/core/window",),
    "expat": ("agent/host/capture",),
    "cmocka": (),
}

C11 = set(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg "
    "stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath time uchar wchar wctype".split()
)

# Headers of one system: in the files of that system only.
POSIX_HEADER = re.compile(
    r"(aio|dirent|dlfcn|fnmatch|glob|grp|netdb|poll|pthread|pwd|regex|semaphore|spawn|strings|syslog|termios|unistd|"
    r"arpa/\w+|net/\w+|netinet/\w+|sys/(epoll|file|ioctl|mman|random|resource|select|socket|statvfs|time|uio|un|wait))\.h$"
)
WINDOWS_HEADER = re.compile(
    r"(?i:windows|win\w+|ws2\w+|io|direct|process|conio|sddl|acl\w+|psapi|pdh\w*|ip\w+api|tcpmib|tlhelp32|dpapi|"
    r"sdd\w+|evt\w*|wbem\w*|objbase|aclapi|shlobj|version|msi\w*)\.h$"
)

FORBIDDEN = re.compile(
    r"\b(strcpy|strncpy|strcat|strncat|sprintf|vsprintf|strtok|strtok_r|atoi|atol|atoll|atof|gets|alloca|rand|srand|"
    r"setjmp|longjmp|system)\s*\("
)
POSIX = re.compile(
    r"\b(strdup|strndup|stpcpy|strerror_r|localtime_r|gmtime_r|getline|getdelim|fileno|fdopen|popen|open_memstream|"
    r"asprintf|nanosleep|usleep|clock_gettime|setenv|unsetenv|kill|sigaction|fork|mkdir|unlink|fsync)\s*\(|"
    r"\b(ssize_t|off_t|pid_t)\b"
)
IMPURE = re.compile(r"\b(fopen|fread|fwrite|fprintf|printf|puts|getenv|time|clock|clock_now|clock_cpu_us|remove|rename)\s*\(")
SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX)|"
    r"PRAGMA\s+\w+|BEGIN\s+IMMEDIATE)\b"
)
# Letters in brackets, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b|(?i:\b(for no[w]|simplifie[d]|placeholde[r]s?|stu[b]s?)\b)")
FOREIGN = re.compile(
    r"/wor[k]/|/tm[p]/b-|(?i:\bissu[e]s? #?\d|claud[e]|anthropi[c]|opena[i]\b|chatgp[t]|copilo[t]|\bLL[M]s?\b|"
    r"language mode[l])"
)
TYPEDEF = re.compile(r"\btypedef\s+(struct|union|enum)\b[^;{(]*[;{]")
TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

breaches = []


def breach(path, line, rule, what):
    breaches.append((path, line, rule, what))


def tree_files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def blanked(text, keep_strings):
    """The code with comments, and unless kept strings, replaced by blanks; lines stay where they are."""

    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token if keep_strings else token[0] + re.sub(r"[^\n]", " ", token[1:-1]) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return TOKENS.sub(blank, text)


def is_platform(path):
    return re.search(r"_(posix|windows)\w*\.[ch]$", path) is not None


def is_windows(path):
    return re.search(r"_windows\w*\.[ch]$", path) is not None


def is_source(path):
    return path.endswith((".c", ".h", ".def"))


def wing_room(path):
    """("proto", "wire") of proto/wire/message.h, ("controller", "") of controller/controller_main.c."""
    parts = path.split("/")
    return parts[0], parts[1] if len(parts) > 2 else ""


def core_place(path):
    name = os.path.basename(path)
    for i, room in enumerate(CORE_ORDER):
        if re.match(room + r"[_.]", name):
            return i
    return None


def why_not(path, target):
    """Why path may not include target, None when it may."""
    wing, room = wing_room(path)
    target_wing, target_room = wing_room(target)
    if wing == "proto":
        if target_wing != "proto":
            return "proto/ includes proto/ only"
        if PROTO_ORDER.index(target_room) > PROTO_ORDER.index(room):
            return "rooms of proto/ in order: " + " < ".join(PROTO_ORDER)
        return None
    if wing == "agent":
        return None if target_wing in ("proto", "agent") else "agent/ includes proto/ and agent/ only"
    if target_wing not in ("proto", "controller"):
        return "controller/ includes proto/ and controller/ only"
    if room == "core":
        return why_not_core(path, target)
    if target_wing == "proto" or room == "" or target_room == room:
        return None
    allowed = SHELL.get(room, ("core",))
    if target_room in allowed:
        return None
    return "controller/%s includes proto/, itself%s only" % (room, "".join(" and controller/" + a for a in allowed))


def why_not_core(path, target):
    if target.startswith("proto/"):
        return None if target.startswith(CORE_PROTO) else "the core sees no log, clock, random, store or channel"
    if wing_room(target)[1] != "core":
        return "the core includes the core and messages only"
    if target.endswith(".def"):
        return None
    here, there = core_place(path), core_place(target)
    if here is None or there is None:
        return "core rooms are " + ", ".join(CORE_ORDER)
    return None if there <= here else "rooms of the core in order: " + " < ".join(CORE_ORDER)


def check_quoted(root, path, number, target):
    if not os.path.exists(os.path.join(root, target)):
        breach(path, number, "include", '"%s" is no path from the top of the tree' % target)
        return
    if is_windows(target) and not is_windows(path) and not path.startswith("tests/windows/"):
        breach(path, number, "platform", '"%s" is for *_windows*.c: a door hides which system it is' % target)
    if not path.startswith(WINGS):
        return
    if target.startswith("tests/"):
        breach(path, number, "include", "the product does not include tests")
        return
    reason = why_not(path, target) if target.startswith(WINGS) else "the product includes its own wings only"
    if reason is not None:
        breach(path, number, "include", '"%s": %s' % (target, reason))


def library_of(header):
    for library in LIBRARIES:
        if header == library or header.startswith((library + ".", library + "/", library + "_")):
            return library
    return None


def check_angled(path, number, header):
    library = library_of(header)
    in_product = path.startswith(WINGS)
    if library is not None:
        if in_product and not path.startswith(LIBRARIES[library] or ("tests/",)):
            breach(path, number, "library", "<%s> belongs to %s" % (header, ", ".join(LIBRARIES[library]) or "tests/"))
        return
    if not in_product or (header.endswith(".h") and header[:-2] in C11):
        return
    if is_platform(path):
        other = POSIX_HEADER if is_windows(path) else WINDOWS_HEADER
        if other.match(header):
            breach(path, number, "platform", "<%s> is the other system's" % header)
        return
    breach(path, number, "posix", "<%s> is not C11: such calls live in *_posix.c or *_windows.c" % header)


def check_includes(root, files, texts):
    """The include table, library headers that a door hands on, and circles among the shell rooms."""
    seen_from = {}
    with_library = {}
    edges = {}
    for path in files:
        for number, line in enumerate(texts[path].split("\n"), 1):
            match = INCLUDE.match(line)
            if match is None:
                continue
            if match.group(1) == "<":
                check_angled(path, number, match.group(2))
                if library_of(match.group(2)) is not None and path.endswith(".h"):
                    with_library[path] = (number, match.group(2))
                continue
            target = match.group(2)
            check_quoted(root, path, number, target)
            if path.startswith(WINGS) and os.path.dirname(path) != os.path.dirname(target):
                seen_from.setdefault(target, path)
                if path.startswith("controller/") and target.startswith("controller/"):
                    edges.setdefault((wing_room(path)[1], wing_room(target)[1]), (path, number))
    for path, (number, header) in with_library.items():
        if path in seen_from:
            breach(path, number, "library", "<%s> in a door: %s includes it" % (header, seen_from[path]))
    for (room, target), (path, number) in edges.items():
        if room < target and (target, room) in edges and room != "":
            breach(path, number, "include", "%s and %s include each other (%s)" % (room, target, edges[(target, room)][0]))


def check_sizes(path, text):
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    if len(lines) > FILE_LINES:
        breach(path, FILE_LINES + 1, "size", "a file has at most %d lines, this one %d" % (FILE_LINES, len(lines)))
    if not path.endswith((".c", ".h")):
        return
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        if line == "}" and start is not None:
            if number - start + 1 > FUNCTION_LINES:
                what = "a function has at most %d lines, this one %d" % (FUNCTION_LINES, number - start + 1)
                breach(path, start, "size", what)
            start = None


def check_words(path, text, raw):
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, rule in ((UNFINISHED, "unfinished"), (FOREIGN, "foreign")):
            match = pattern.search(line)
            if match is not None:
                breach(path, number, rule, 'the word "%s"' % match.group(0))
        if "\t" in line:
            breach(path, number, "blank", "a tab")
        if line.endswith((" ", "\r")):
            breach(path, number, "blank", "a carriage return" if line.endswith("\r") else "blanks at the end")
    if raw and not raw.endswith(b"\n"):
        breach(path, text.count("\n") + 1, "blank", "no line feed at the end")


def check_calls(path, code, kept):
    """Calls and words that are forbidden."""
    for match in TYPEDEF.finditer(code):
        breach(path, code.count("\n", 0, match.start()) + 1, "forbidden", "typedef of a " + match.group(1))
    for number, line in enumerate(code.split("\n"), 1):
        for name in (m.group(1) for m in FORBIDDEN.finditer(line)):
            if name in ("setjmp", "longjmp", "system") and path.startswith("tests/"):
                continue
            breach(path, number, "forbidden", name)
        if re.search(r"\bgoto\b", line):
            breach(path, number, "forbidden", "goto")
        if not path.startswith(WINGS):
            continue
        if "pthread" in line and not path.endswith("http/http_server.c"):
            breach(path, number, "forbidden", "threads belong to http_server.c")
        if not is_platform(path):
            for match in POSIX.finditer(line):
                breach(path, number, "posix", (match.group(1) or match.group(2)) + " is not C11")
            if re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b.*(_WIN32|__linux__|__unix__|__MINGW)", line):
                breach(path, number, "platform", "what differs lives in *_posix.c and *_windows.c")
        if re.search(r"\b(isnan|isinf|isfinite)\s*\(", line):
            breach(path, number, "forbidden", "isnan and its kin: use cas_is_number")
        check_layers(path, number, line)
    if not path.startswith(("agent/journal/", "controller/store/")) and path.startswith(WINGS):
        for number, line in enumerate(kept.split("\n"), 1):
            if SQL.search(line) is not None:
                breach(path, number, "sql", "SQL lives in agent/journal and controller/store")


def check_layers(path, number, line):
    is_core = path.startswith("controller/core/")
    is_below = path.startswith("proto/") and not re.match(r"proto/base/(log|clock)", path)
    if (is_core or is_below) and re.search(r"\blog_event\s*\(", line):
        breach(path, number, "log", "the core and proto/ never log")
    if is_below and re.search(r"\bclock_now\s*\(", line):
        breach(path, number, "pure", "the clock belongs to loops")
    if is_core:
        for match in IMPURE.finditer(line):
            breach(path, number, "pure", match.group(1) + ": the core only computes")


def check_door(path, text, code):
    name = os.path.basename(path)
    if not text.startswith("/* " + name + " - "):
        breach(path, 1, "door", 'opens with "/* %s - " and the question it answers' % name)
    for number, line in enumerate(code.split("\n"), 1):
        # What only hands an error on (x_fail, x_refuse) need not be checked.
        if re.match(r"enum cas_err (?!\w+_(fail|refuse)\()\w+\(", line):
            breach(path, number, "door", "a function that can fail is CAS_CHECK")


def check_names(files):
    first = {}
    for path in files:
        name = os.path.basename(path)
        if name in first:
            breach(path, 1, "name", "there is %s already" % first[name])
        first.setdefault(name, path)


def check_tree(root):
    files = [f for f in tree_files(root) if not f.startswith(DATA)]
    sources = [f for f in files if is_source(f) and f.startswith(WINGS + ("tests/",))]
    texts = {}
    for path in files:
        if not path.endswith(TEXT_ENDS):
            continue
        with open(os.path.join(root, path), "rb") as file:
            raw = file.read()
        text = raw.decode("utf-8", errors="replace")
        if path in sources:
            texts[path] = text
        check_words(path, text, raw)
        if path.endswith((".c", ".h", ".def", ".py", ".sh", ".js", ".mjs")):
            check_sizes(path, text)
    check_names(sources)
    check_includes(root, sources, texts)
    for path in sources:
        code = blanked(texts[path], keep_strings=False)
        check_calls(path, code, blanked(texts[path], keep_strings=True))
        if path.endswith(".h"):
            check_door(path, texts[path], code)
    for path in sources:
        if path.endswith((".c", ".h")):
            print("FORMAT " + path)


def main():
    check_tree(sys.argv[1])
    for path, line, rule, what in sorted(breaches):
        print("%s:%d: %s: %s" % (path, line, rule, what))


main()
