"""What Schemathesis cannot know: how bodies are written that are neither JSON nor forms, and what bodies look like that the store's own rules let through."""

import io
import json
import tarfile
from pathlib import Path
from random import Random

import schemathesis
from schemathesis import GenerationMode

DIGEST = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
NAMES = ["a", "b/c", "report.json", "logs/run.txt", "../up", "/root", "a//b", "nfc-\u00e9", "nfc-e\u0301", "", ".", "x" * 300, "new\nline", "\u0001"]
CLASSES = ["transient", "raw-evidence", "permanent-record", "fuzz-class", "none-such"]
TIMES = ["2020-01-01", "2099-01-01T00:00:00Z", "2027-02-30", "9999-12-31T23:59:59Z", "P30D"]
SCHEMAS = [{}, {"type": "object"}, {"required": ["board"]}, {"$ref": "#"}, {"$ref": "https://example.org/x"}, {"type": "nothing"}, {"pattern": "("}]
KINDS = [tarfile.REGTYPE, tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE]


# The one of the module begins anew with each case, at the same place.
random = Random()


def words(name):
    return [json.loads(line) for line in Path(f"{name}.txt").read_text().splitlines()]


def some(choices, most):
    return random.sample(choices, random.randint(0, min(most, len(choices))))


def content():
    return random.randbytes(random.choice([0, 1, 100, 5000]))


def metadata():
    return {name: random.choice(["x", 7, 1.5, True, None, [], {"deep": [1]}]) for name in some(["board", "count", "\u00fc", "a.b"], 3)}


def facts():
    possible = {
        "producer": "rig",
        "subject": "board \u2713",
        "runId": f"run-{random.randint(0, 20)}",
        "type": random.choice(["report", "application/vnd.example.report"]),
        "retentionClass": random.choice(CLASSES),
        "metadata": metadata(),
        "tags": some(["latest", "v1", "v2"], 2),
        "links": [{"rel": "build", "url": "https://ci.example.org/1"}],
        "fileSets": [{"name": "raw", "match": ["*.bin"], "class": random.choice(CLASSES)}],
        "metadataSchema": random.choice(words("schemas")),
        "provenance": {"tool": {"name": "rig"}, "sources": [{"repository": "https://example.org/r.git", "commit": "0" * 40}]},
    }
    return {name: possible[name] for name in some(list(possible), 4)}


def lines():
    entries = []
    for _ in range(random.randint(0, 20)):
        path = random.choice(NAMES)
        known = {"path": path, "type": "file", "digest": DIGEST, "size": random.choice([2, 3, -1])}
        entries.append(random.choice([known, known, {"path": path, "type": "directory"}, {"path": path, "type": "symlink", "target": random.choice(NAMES)}, {}]))
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def archive():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=random.choice(["w:", "w:gz"]), format=tarfile.PAX_FORMAT) as tar:
        for _ in range(random.randint(0, 8)):
            info = tarfile.TarInfo(random.choice(NAMES + [f"n{random.randint(0, 99)}"] * 30))
            info.type = random.choice(KINDS)
            info.linkname = random.choice(NAMES)
            data = content() if info.type == tarfile.REGTYPE else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    whole = out.getvalue()
    return whole if random.random() < 0.7 else whole[: random.randint(0, len(whole))]


def reason(**more):
    return lambda: {"reason": "since it is so", **{name: value() for name, value in more.items()}}


def hold():
    target = random.choice([{"packageId": random.choice(words("packages"))}, {"selector": {"repository": "demo"}}, {}])
    return {"kind": random.choice(["legal", "temporary", "event", "other"]), "matter": "m", "authority": "a", "reason": "r", **target}


BODIES = {
    "POST /packages": lambda: {"repository": random.choice(words("repositories")), **facts()},
    "POST /packages/{id}/finalize": lambda: random.choice([{}, {"metadata": metadata()}]),
    "POST /packages/{id}/missing": lines,
    "POST /packages/{id}/files": archive,
    "PUT /packages/{id}/files/{path}": content,
    "PUT /repositories/{name}": lambda: {"defaultClass": random.choice(CLASSES), "publicRead": random.random() < 0.5},
    "PUT /repositories/{name}/tags/{tag}": lambda: {"ref": random.choice(words("references"))},
    "POST /metadata-schemas": lambda: {"name": f"fuzz.s{random.randint(0, 20)}.v{random.randint(1, 3)}", "schema": random.choice(SCHEMAS)},
    "POST /holds": hold,
    "POST /holds/{id}/release": reason(),
    "PUT /retention/classes/{name}": lambda: {"disposition": random.choice(["automatic", "review", "keep"]), "duration": random.choice([1, 30, "P1Y", "P1X"])},
    "POST /packages/{id}/retention/mode": reason(mode=lambda: random.choice(["none", "governance", "compliance"])),
    "POST /packages/{id}/retention/extensions": reason(expiresAt=lambda: random.choice(TIMES)),
    "POST /packages/{id}/retention/shorten": reason(expiresAt=lambda: random.choice(TIMES), bypass=lambda: random.random() < 0.8),
    "POST /retention/plans": lambda: random.choice([{}, {"repository": "demo/board"}]),
    "PATCH /uploads/{id}": lambda: random.randbytes(random.randint(0, 12)),
}


@schemathesis.hook
def map_case(_context, case):
    body = BODIES.get(f"{case.method.upper()} {case.path}")
    # The phase of coverage goes through what the schemas say, one by one.
    if case.meta.phase.name.value == "coverage":
        return case
    random.seed(repr((case.path_parameters, case.query, case.headers, case.body)))
    if body is not None and case.meta.generation.mode == GenerationMode.POSITIVE and random.random() < 0.7:
        case.body = body()
    # Of the many requests with the same key all but one would be refused.
    if random.random() < 0.9:
        for name in [name for name in case.headers or {} if name.lower() == "idempotency-key"]:
            del case.headers[name]
    return case


@schemathesis.serializer(
    "application/jsonl",
    "application/offset+octet-stream",
    "application/x-tar",
    "application/gzip",
    "application/zstd",
    "application/zip",
    "*/*",
)
def as_they_are(_context, value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()
