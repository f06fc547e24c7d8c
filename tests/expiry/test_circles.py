"""Rows that hang on rows of their own table, and tables that hang on each other.

SQLite follows ON DELETE CASCADE by recursion, a thousand levels deep at the most: more than that fails, and loses
nothing.
"""

from __future__ import annotations

import pytest

from nightshift.errors import NightshiftError
from tests.support.expiry_runs import (
    DUE,
    JOB,
    LATER,
    MAKE_JOB,
    column,
    deleted,
    expire,
    expired,
    files_of,
    jobs,
    label,
    only,
    put,
    script,
)
from tests.support.house import House

SLOW = pytest.mark.slow
ACTIONS = [
    "NO ACTION",
    "CASCADE",
    pytest.param("RESTRICT", marks=SLOW),
    pytest.param("NO ACTION DEFERRABLE INITIALLY DEFERRED", marks=SLOW),
]


@pytest.mark.fast_cases("CASCADE")
@pytest.mark.parametrize("action", ACTIONS)
def test_a_tree_of_the_expiring_table_s_own(home: House, action: str) -> None:
    """Branches of it, to the last leaf; each row is counted as the expired one that it is, once."""
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(home, make_tree(action))
    script(
        home,
        f"INSERT INTO job VALUES (1, '{DUE}', 'f1', NULL), (2, '{DUE}', 'f2', 1), (3, '{DUE}', 'f3', 1),"
        f" (4, '{DUE}', 'f4', 2), (5, '{LATER}', 'f5', NULL), (6, '{DUE}', 'f6', 5), (7, '{DUE}', 'f7', 6),"
        f" (8, '{LATER}', 'f8', 5);",
    )
    put(home, *(f"f{n}" for n in range(1, 9)))

    answer = expired(home, JOB + files_of("job"))

    assert (only(answer)["expired"], deleted(answer)) == (6, {"job": 6})
    assert column(home, "job") == [5, 8]
    assert home.s3.keys(home.bucket) == ["f5", "f8"]


def make_tree(action: str) -> str:
    columns = "id int PRIMARY KEY, expires_at timestamp, s3_key text"
    return f"CREATE TABLE job ({columns}, parent_id int REFERENCES job ON DELETE {action});"


@pytest.mark.fast_cases("CASCADE")
@pytest.mark.parametrize("action", ["NO ACTION", "CASCADE"])
def test_a_living_row_keeps_the_expired_one_that_it_hangs_on(home: House, action: str) -> None:
    """And all that hangs on that; its neighbours go. When its own time comes, so do they all."""
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(home, make_tree(action) + "CREATE TABLE log (id int PRIMARY KEY, job_id int REFERENCES job);")
    script(
        home,
        f"INSERT INTO job VALUES (1, '{DUE}', 'f1', NULL), (2, '{DUE}', 'f2', 1), (3, '{LATER}', 'f3', 2),"
        f" (4, '{DUE}', 'f4', NULL), (5, '{DUE}', 'f5', 1); INSERT INTO log SELECT id, id FROM job;",
    )
    put(home, "f1", "f2", "f3", "f4", "f5")
    home.policies(JOB + files_of("job"))

    answer = expire(home)

    assert (answer["status"], only(answer)["expired"], only(answer)["busy"]) == ("partial", 2, 2)
    # The second, on which the living one hangs directly, is passed over by a condition.
    named = f"{label(home, 'job')} (id) = (1)"
    assert only(answer)["warnings"] == [f"rows were left out: a row that has not expired hangs on it: {named}"]
    assert column(home, "job") == column(home, "log") == [1, 2, 3]
    assert home.s3.keys(home.bucket) == ["f1", "f2", "f3"]
    assert only(expired(home, JOB + files_of("job"), scheduled_time="2025-10-15T05:00:01Z"))["expired"] == 3
    assert home.s3.keys(home.bucket) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_a_ring_of_rows(home: House, action: str) -> None:
    """Of the expiring table, of one that hangs on it, and a row that hangs on itself."""
    script(
        home,
        MAKE_JOB
        + jobs(1, 2, 3, living=[4])
        + f"""
        ALTER TABLE job ADD COLUMN next_id int REFERENCES job ON DELETE {action};
        CREATE TABLE step (id int PRIMARY KEY, job_id int REFERENCES job ON DELETE {action});
        ALTER TABLE step ADD COLUMN next_id int REFERENCES step ON DELETE {action};
        INSERT INTO step VALUES (10, 1, NULL), (11, NULL, NULL), (12, NULL, NULL), (13, 4, NULL), (14, NULL, NULL);
        """,
    )
    script(
        home,
        """
        UPDATE job SET next_id = CASE id WHEN 1 THEN 3 WHEN 3 THEN 2 WHEN 2 THEN 1 ELSE 4 END;
        UPDATE step SET next_id = CASE id WHEN 10 THEN 12 WHEN 12 THEN 11 WHEN 11 THEN 10 ELSE 14 END;
        """,
    )

    answer = expired(home, JOB)

    assert (only(answer)["expired"], deleted(answer)) == (3, {"job": 3, "step": 3})
    assert (column(home, "job"), column(home, "step")) == ([4], [13, 14])


CHAIN = """
CREATE TABLE link (id int PRIMARY KEY, job_id int REFERENCES job, before_id int REFERENCES link ON DELETE {0});
WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 1100)
    INSERT INTO link SELECT id, CASE id WHEN 1 THEN 1 END, CASE WHEN id > 1 THEN id - 1 END FROM n;
INSERT INTO link VALUES (9999, 2, NULL);
"""


@pytest.mark.fast_cases("postgresql-CASCADE")
@pytest.mark.parametrize("action", ["NO ACTION", "CASCADE", pytest.param("RESTRICT", marks=SLOW)])
def test_a_chain_of_more_than_a_thousand(home: House, action: str) -> None:
    script(home, MAKE_JOB + jobs(1, living=[2]) + CHAIN.format(action))
    if home.url.startswith("sqlite") and action == "CASCADE":
        home.policies(JOB)
        before = home.state()
        with pytest.raises(NightshiftError, match="too many levels"):
            expire(home)
        assert home.state() == before
        return

    assert deleted(expired(home, JOB)) == {"job": 1, "link": 1100}
    assert column(home, "link") == [9999]


def make_circle(house: House, action: str, back: str) -> None:
    """A job has orders, an order has jobs; files in both. Jobs 1 to 3 hang on each other through their orders."""
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    script(
        house,
        MAKE_JOB
        + jobs(1, 2, 3, living=[4])
        + f"""
        ALTER TABLE job ADD COLUMN s3_key text;
        CREATE TABLE "order" (id int PRIMARY KEY, job_id int REFERENCES job ON DELETE {action}, s3_key text);
        INSERT INTO "order" VALUES (10, 1, 'o10'), (20, 2, 'o20'), (30, 3, 'o30'), (40, 4, 'o40'), (41, 4, NULL);
        ALTER TABLE job ADD COLUMN order_id int REFERENCES "order" ON DELETE {back};
        UPDATE job SET s3_key = 'j' || id, order_id = CASE id WHEN 1 THEN 30 WHEN 2 THEN 10 WHEN 3 THEN 20 END;
        CREATE TABLE line (order_id int REFERENCES "order", job_id int REFERENCES job, s3_key text);
        INSERT INTO line VALUES (10, NULL, 'l1'), (30, 3, 'l2'), (NULL, 2, 'l3'), (40, 4, 'l4');
        """,
    )
    put(house, *(f"j{n}" for n in (1, 2, 3, 4)), "o10", "o20", "o30", "o40", "l1", "l2", "l3", "l4")


CIRCLE = JOB + "".join(files_of(table) for table in ("job", "order", "line"))


@pytest.mark.fast_cases("postgresql-CASCADE-CASCADE")
@pytest.mark.parametrize(
    ("action", "back"),
    [
        ("NO ACTION", "NO ACTION"),
        ("NO ACTION", "RESTRICT"),
        ("CASCADE", "CASCADE"),
        pytest.param("NO ACTION", "CASCADE", marks=SLOW),
        pytest.param("NO ACTION", "NO ACTION DEFERRABLE INITIALLY DEFERRED", marks=SLOW),
        pytest.param("CASCADE", "NO ACTION", marks=SLOW),
    ],
)
def test_tables_in_a_circle(home: House, action: str, back: str) -> None:
    make_circle(home, action, back)

    answer = expired(home, CIRCLE)

    assert deleted(answer) == {"job": 3, "order": 3, "line": 3}
    assert home.s3.keys(home.bucket) == ["j4", "l4", "o40"]
    assert answer["files"]["deleted"] == 9


def test_a_circle_beside_the_way(home: House) -> None:
    """Teams and people hang on each other, and a job on neither: it takes the team that hangs on it, and all of it."""
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + """
        CREATE TABLE person (id int PRIMARY KEY);
        CREATE TABLE team (id int PRIMARY KEY, job_id int REFERENCES job, boss_id int REFERENCES person);
        INSERT INTO person VALUES (1), (2), (3), (4);
        INSERT INTO team VALUES (10, 1, 1), (11, NULL, 2), (12, 2, 3), (13, NULL, NULL);
        ALTER TABLE person ADD COLUMN team_id int REFERENCES team;
        UPDATE person SET team_id = CASE id WHEN 1 THEN 11 WHEN 2 THEN 10 WHEN 3 THEN 12 END;
        """,
    )

    assert deleted(expired(home, JOB)) == {"job": 1, "team": 2, "person": 2}
    assert (column(home, "person"), column(home, "team")) == ([3, 4], [12, 13])


def test_tables_without_a_primary_key_on_which_rows_of_their_own_hang(home: House) -> None:
    """SQLite has row identifiers; PostgreSQL needs a key to tell the rows of a circle apart."""
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + """
        CREATE TABLE link (code int UNIQUE, job_id int REFERENCES job, before int REFERENCES link (code));
        INSERT INTO link VALUES (1, 1, NULL), (2, NULL, 1), (3, 2, NULL), (NULL, 1, 2);
        """,
    )
    if home.url.startswith("sqlite"):
        assert deleted(expired(home, JOB)) == {"job": 1, "link": 3}
        return
    home.policies(JOB)
    refusal = only(expire(home))["refusal"]
    assert (refusal["guard"], refusal["message"]) == ("no_key", "public.link has no primary key, and rows hang on it")
    assert column(home, "job") == [1, 2]
