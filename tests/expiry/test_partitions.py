"""Partitioned tables, wherever they stand; and references that only a partition knows."""

from __future__ import annotations

from tests.support.expiry_runs import DUE, JOB, LATER, MAKE_JOB, column, deleted, expired, files_of, jobs, put
from tests.support.house import House

PARTITIONED = f"""
CREATE TABLE job (id int, expires_at timestamp, PRIMARY KEY (id, expires_at)) PARTITION BY RANGE (expires_at);
CREATE TABLE job_old PARTITION OF job FOR VALUES FROM (MINVALUE) TO ('2025-10-01');
CREATE TABLE job_new PARTITION OF job FOR VALUES FROM ('2025-10-01') TO (MAXVALUE);
INSERT INTO job VALUES (1, '2025-09-01'), (2, '{DUE}'), (3, '{LATER}');
"""


def test_the_expiring_table_and_all_below_it(house: House) -> None:
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    house.sql(
        PARTITIONED
        + """
        CREATE TABLE part (id int, kind text, job_id int, ends timestamp, s3_key text, PRIMARY KEY (id, kind),
            FOREIGN KEY (job_id, ends) REFERENCES job (id, expires_at) ON DELETE CASCADE) PARTITION BY LIST (kind);
        CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
        CREATE TABLE part_rest PARTITION OF part DEFAULT PARTITION BY HASH (id);
        CREATE TABLE part_rest_0 PARTITION OF part_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE part_rest_1 PARTITION OF part_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE TABLE scan (part_id int, kind text, FOREIGN KEY (part_id, kind) REFERENCES part)
            PARTITION BY HASH (kind);
        CREATE TABLE scan_all PARTITION OF scan FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        INSERT INTO part SELECT n, CASE n % 3 WHEN 0 THEN 'a' ELSE 'b' END, id, expires_at, 'f' || n
            FROM job CROSS JOIN generate_series(id * 10, id * 10 + 5) n;
        INSERT INTO scan SELECT id, kind FROM part;
        """
    )
    put(house, *column(house, "part", "s3_key"))

    answer = expired(house, JOB + files_of("part"))

    assert deleted(answer) == {"job": 2, "part": 12, "scan": 12}
    assert column(house, "part") == [30, 31, 32, 33, 34, 35]
    assert house.s3.keys(house.bucket) == [f"f{n}" for n in range(30, 36)]


def test_a_key_on_one_partition_alone(house: House) -> None:
    """Another partition may have a row of the same number: what hangs on the first stays with it."""
    house.sql(
        """
        CREATE TABLE job (id int, expires_at timestamp, place int, PRIMARY KEY (id, place)) PARTITION BY LIST (place);
        CREATE TABLE job_here PARTITION OF job (UNIQUE (id)) FOR VALUES IN (1);
        CREATE TABLE job_there PARTITION OF job (UNIQUE (id)) FOR VALUES IN (2);
        """
        f"INSERT INTO job VALUES (1, '{DUE}', 1), (2, '{LATER}', 1), (3, '{DUE}', 1),"
        f" (1, '{LATER}', 2), (2, '{DUE}', 2);"
        """
        CREATE TABLE here (id int PRIMARY KEY, job_id int REFERENCES job_here (id) ON DELETE CASCADE);
        CREATE TABLE deep (id int, here_id int REFERENCES here);
        INSERT INTO here VALUES (1, 1), (2, 2), (3, 3); INSERT INTO deep VALUES (1, 1), (2, 2), (3, 3);
        """
    )

    answer = expired(house, JOB)

    assert deleted(answer) == {"job": 3, "here": 2, "deep": 2}
    assert (column(house, "here"), column(house, "deep")) == ([2], [2])


def test_a_reference_that_one_partition_makes(house: House) -> None:
    """What hangs on the table as a whole hangs on that partition's rows, too."""
    house.sql(
        MAKE_JOB
        + jobs(1, living=[2])
        + """
        CREATE TABLE part (id int PRIMARY KEY, job_id int) PARTITION BY RANGE (id);
        CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (100);
        CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (100) TO (200);
        CREATE TABLE scan (id int PRIMARY KEY, part_id int REFERENCES part ON DELETE CASCADE, s3_key text);
        INSERT INTO part VALUES (1, 1), (2, 2), (101, 1), (102, 2);
        ALTER TABLE part_low ADD FOREIGN KEY (job_id) REFERENCES job ON DELETE CASCADE;
        INSERT INTO scan VALUES (1, 1, 's1'), (2, 2, 's2'), (101, 101, 's101');
        """
    )
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    put(house, "s1", "s2", "s101")

    answer = expired(house, JOB + files_of("scan"))

    assert deleted(answer) == {"job": 1, "part_low": 1, "scan": 1}
    assert (column(house, "part"), column(house, "scan")) == ([2, 101, 102], [2, 101])
    assert house.s3.keys(house.bucket) == ["s101", "s2"]


def test_a_policy_for_one_partition(house: House) -> None:
    house.sql(
        PARTITIONED + "CREATE TABLE part (job_id int, ends timestamp,"
        " FOREIGN KEY (job_id, ends) REFERENCES job ON DELETE CASCADE) PARTITION BY HASH (job_id);"
        "CREATE TABLE part_all PARTITION OF part FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "INSERT INTO part SELECT id, expires_at FROM job"
    )

    answer = expired(house, JOB.replace('"job"', '"job_old"'))

    assert deleted(answer) == {"job_old": 1, "part": 1}
    assert (column(house, "job"), column(house, "part", "job_id")) == ([2, 3], [2, 3])
