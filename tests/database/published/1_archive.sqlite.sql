CREATE TABLE nightshift_archive_object (
  id INTEGER NOT NULL,
  bucket VARCHAR(63) NOT NULL,
  object_key VARCHAR(1024) NOT NULL,
  table_name TEXT NOT NULL,
  state VARCHAR(16) NOT NULL,
  dt VARCHAR(10) NOT NULL,
  row_count BIGINT,
  byte_count BIGINT,
  sha256 VARCHAR(64),
  min_timestamp TEXT,
  max_timestamp TEXT,
  schema_fingerprint VARCHAR(64),
  version_id TEXT,
  run_id VARCHAR(32) NOT NULL,
  created_at DATETIME NOT NULL,
  archived_at DATETIME,
  PRIMARY KEY (id),
  UNIQUE (object_key)
);

CREATE INDEX nightshift_archive_object_table_state ON nightshift_archive_object (table_name, state);

CREATE TABLE nightshift_run (
  run_id VARCHAR(32) NOT NULL,
  job VARCHAR(64) NOT NULL,
  as_of DATETIME NOT NULL,
  attempt INTEGER NOT NULL,
  status VARCHAR(16) NOT NULL,
  complete BOOLEAN,
  started_at DATETIME NOT NULL,
  finished_at DATETIME,
  duration_ms BIGINT,
  result TEXT,
  error TEXT,
  PRIMARY KEY (run_id)
);

CREATE INDEX nightshift_run_job_as_of ON nightshift_run (job, as_of);
