CREATE TABLE nightshift_archive_object (
  id BIGSERIAL NOT NULL,
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
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  archived_at TIMESTAMP WITH TIME ZONE,
  PRIMARY KEY (id),
  UNIQUE (object_key)
);

CREATE INDEX nightshift_archive_object_table_state ON nightshift_archive_object (table_name, state);

CREATE TABLE nightshift_restored_object (
  id BIGSERIAL NOT NULL,
  object_key VARCHAR(1024) NOT NULL,
  source_table TEXT NOT NULL,
  target_table TEXT NOT NULL,
  target_id TEXT NOT NULL,
  into_original BOOLEAN NOT NULL,
  timestamp_column TEXT,
  row_count BIGINT NOT NULL,
  existing_count BIGINT NOT NULL,
  hold_until TIMESTAMP WITH TIME ZONE,
  run_id VARCHAR(32) NOT NULL,
  restored_at TIMESTAMP WITH TIME ZONE NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (object_key, target_id)
);

CREATE TABLE nightshift_file_deletion (
  id BIGSERIAL NOT NULL,
  bucket TEXT NOT NULL,
  object_keys TEXT NOT NULL,
  files INTEGER NOT NULL,
  run_id VARCHAR(32) NOT NULL,
  attempts INTEGER DEFAULT '0' NOT NULL,
  last_error TEXT,
  next_try TIMESTAMP WITH TIME ZONE NOT NULL,
  PRIMARY KEY (id)
);

ALTER TABLE nightshift_file_deletion ALTER COLUMN object_keys SET STORAGE EXTERNAL;

CREATE TABLE nightshift_embedding (
  place TEXT NOT NULL,
  document_id TEXT NOT NULL,
  text_hash VARCHAR(64) NOT NULL,
  version TEXT,
  model TEXT NOT NULL,
  dimension INTEGER NOT NULL,
  state VARCHAR(16) NOT NULL,
  error TEXT,
  attempts INTEGER NOT NULL,
  round TEXT NOT NULL,
  embedded_at TIMESTAMP WITH TIME ZONE NOT NULL,
  PRIMARY KEY (place, document_id)
);

CREATE TABLE nightshift_embedding_place (
  place TEXT NOT NULL,
  model TEXT,
  dimension INTEGER,
  next_model TEXT,
  next_dimension INTEGER,
  next_type TEXT,
  switched_at TIMESTAMP WITH TIME ZONE,
  PRIMARY KEY (place)
);

CREATE TABLE nightshift_embedding_decision (
  decision TEXT NOT NULL,
  run_id VARCHAR(32) NOT NULL,
  finished_at TIMESTAMP WITH TIME ZONE NOT NULL,
  PRIMARY KEY (decision)
);

CREATE TABLE nightshift_feedback_run (
  id BIGSERIAL NOT NULL,
  decision VARCHAR(32) NOT NULL,
  source VARCHAR(64) NOT NULL,
  table_name TEXT NOT NULL,
  window_start TIMESTAMP WITH TIME ZONE NOT NULL,
  window_end TIMESTAMP WITH TIME ZONE NOT NULL,
  zone TEXT NOT NULL,
  likes BIGINT NOT NULL,
  dislikes BIGINT NOT NULL,
  low FLOAT(53),
  high FLOAT(53),
  confidence FLOAT(53) NOT NULL,
  threshold FLOAT(53) NOT NULL,
  min_votes INTEGER NOT NULL,
  state VARCHAR(16) NOT NULL,
  reason VARCHAR(16) NOT NULL,
  cooling_until TIMESTAMP WITH TIME ZONE,
  event TEXT,
  event_id TEXT,
  event_sent_at TIMESTAMP WITH TIME ZONE,
  as_of TIMESTAMP WITH TIME ZONE NOT NULL,
  run_id VARCHAR(32) NOT NULL,
  decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (source, window_start),
  UNIQUE (decision)
);

CREATE INDEX nightshift_feedback_run_table_window ON nightshift_feedback_run (table_name, window_start);

CREATE TABLE nightshift_feedback_day (
  source VARCHAR(64) NOT NULL,
  day VARCHAR(10) NOT NULL,
  likes BIGINT NOT NULL,
  dislikes BIGINT NOT NULL,
  counted_as_of TIMESTAMP WITH TIME ZONE NOT NULL,
  PRIMARY KEY (source, day)
);

CREATE TABLE nightshift_run (
  run_id VARCHAR(32) NOT NULL,
  job VARCHAR(64) NOT NULL,
  as_of TIMESTAMP WITH TIME ZONE NOT NULL,
  attempt INTEGER NOT NULL,
  status VARCHAR(16) NOT NULL,
  complete BOOLEAN,
  started_at TIMESTAMP WITH TIME ZONE NOT NULL,
  finished_at TIMESTAMP WITH TIME ZONE,
  duration_ms BIGINT,
  result TEXT,
  error TEXT,
  PRIMARY KEY (run_id)
);

CREATE INDEX nightshift_run_job_as_of ON nightshift_run (job, as_of);
