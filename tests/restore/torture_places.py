"""Geometry, networks, and the types that the server keeps its own books with."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from random import Random

from tests.restore.torture_kind import Kind
from tests.restore.torture_values import FLOATS, text, whole


def coordinate(random: Random) -> str:
    return random.choice(FLOATS) if random.random() < 0.2 else repr(random.uniform(-1e3, 1e3))


def point(random: Random) -> str:
    return f"({coordinate(random)},{coordinate(random)})"


def points(random: Random, most: int = 4) -> str:
    return ",".join(point(random) for _ in range(random.randint(1, most)))


def v4(random: Random) -> str:
    return str(IPv4Network((random.getrandbits(32), random.randint(0, 32)), strict=False))


def v6(random: Random) -> str:
    return str(IPv6Network((random.getrandbits(128), random.randint(0, 128)), strict=False))


def address(random: Random) -> str:
    if random.random() < 0.5:
        return ".".join(str(random.randrange(256)) for _ in range(4)) + f"/{random.randint(0, 32)}"
    return ":".join(f"{random.randrange(65536):x}" for _ in range(8)) + f"/{random.randint(0, 128)}"


def places() -> list[Kind]:
    """Geometry and networks."""
    return [
        Kind("point", ("(1.5,-0)", "(NaN,Infinity)", "(-Infinity,5e-324)"), point),
        Kind(
            "line", ("{1,-1,0.1}", "{NaN,1,-0}"), lambda r: f"{{{r.uniform(1, 9)!r},{coordinate(r)},{coordinate(r)}}}"
        ),
        Kind("lseg", ("[(0,0),(1e300,1)]", "[(NaN,-0),(Infinity,1)]"), lambda r: f"[{point(r)},{point(r)}]"),
        Kind("box", ("(2,2),(0,0)", "(Infinity,-0),(0,NaN)"), lambda r: f"{point(r)},{point(r)}", ";"),
        Kind(
            "path",
            ("[(0,0),(1,1)]", "((0,0),(1,1),(2,0))", "[(NaN,-0)]"),
            lambda r: r.choice(("[{}]", "({})")).format(points(r)),
        ),
        Kind("polygon", ("((0,0),(1,1),(2,0))", "((NaN,-0),(Infinity,1))"), lambda r: f"({points(r)})"),
        Kind(
            "circle", ("<(0,0),1.5>", "<(NaN,-0),Infinity>", "<(1,1),0>"), lambda r: f"<{point(r)},{r.uniform(0, 9)!r}>"
        ),
        Kind("inet", ("192.168.0.1", "10.1.2.3/8", "::1", "2001:db8::1/32", "0.0.0.0/0", "::ffff:1.2.3.4"), address),
        Kind("cidr", ("10.0.0.0/8", "::/0", "1.2.3.4/32"), lambda r: v4(r) if r.random() < 0.5 else v6(r)),
        Kind("macaddr", ("08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"), lambda r: r.randbytes(6).hex(":")),
        Kind("macaddr8", ("08:00:2b:01:02:03:04:05",), lambda r: r.randbytes(8).hex(":")),
    ]


def snapshot(random: Random) -> str:
    seen = sorted(random.sample(range(100, 200), 3))
    return f"100:200:{','.join(map(str, seen))}"


def internals() -> list[Kind]:
    """The server's own types."""
    unsigned = whole(0, (1 << 32) - 1)
    return [
        Kind("oid", ("0", "4294967295"), unsigned),
        Kind("xid", ("0", "4294967295"), unsigned),
        Kind("cid", ("7",), unsigned),
        Kind("xid8", ("0", "18446744073709551615"), whole(0, (1 << 64) - 1)),
        Kind("tid", ("(4294967295,65535)", "(0,0)"), lambda r: f"({r.getrandbits(32)},{r.getrandbits(16)})"),
        Kind("pg_lsn", ("FFFFFFFF/FFFFFFFF", "0/0"), lambda r: f"{r.getrandbits(32):X}/{r.getrandbits(32):X}"),
        Kind("pg_snapshot", ("10:20:10,14,15", "1:1:"), snapshot),
        Kind("txid_snapshot", ("10:20:10,14,15", "1:1:"), snapshot),
        Kind("refcursor", ("", "a cursor"), text),
        Kind("int2vector", ("", "1 2 3", "-32768"), lambda r: " ".join(whole(-9, 9)(r) for _ in range(r.randrange(5)))),
        Kind("oidvector", ("", "1 2 3", "4294967295"), lambda r: " ".join(unsigned(r) for _ in range(r.randrange(5)))),
        Kind("aclitem", ("postgres=r/postgres", "=r*w/postgres")),
        Kind("regproc", ("now", "0")),
        Kind("regprocedure", ("now()", "0")),
        Kind("regoper", ("pg_catalog.||/", "0")),
        Kind("regoperator", ("+(integer,integer)", "0")),
        Kind("regclass", ("pg_class", "0", "4294967295", '"Other schema"."한글 표"')),
        Kind("regtype", ("timestamp with time zone", "integer[]", '"Other schema"."기분"')),
        Kind("regcollation", ('"C"', "0")),
        Kind("regrole", ("postgres", "0")),
        Kind("regnamespace", ("pg_catalog", '"Other schema"')),
        Kind("regconfig", ("simple",)),
        Kind("regdictionary", ("simple",)),
    ]
