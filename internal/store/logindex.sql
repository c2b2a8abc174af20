-- The index of the log on SQLite, in a file of its own: what an event is found by, made of its body. It holds nothing
-- that is not in the log, and decides nothing.
--
-- A posting says that an event, by its number, is found by a term, such as the object of an organization. A run has
-- those of the events after one up to another, in the order of their terms and then of their numbers, in pages of some
-- kilobytes. Some thousands of events become a run, and several runs one, so that a search has few to look into.
CREATE TABLE audit_index_runs (
  id    INTEGER PRIMARY KEY,
  after BIGINT NOT NULL,
  last  BIGINT NOT NULL
);

-- Each page with the first posting in it.
CREATE TABLE audit_index (
  run   BIGINT NOT NULL,
  first BLOB NOT NULL,
  page  BLOB NOT NULL,
  PRIMARY KEY (run, first)
) WITHOUT ROWID;

-- Up to where the log is indexed, and the hash of that event: an index of another log, or of one that has since been
-- put back, is known by it.
CREATE TABLE audit_index_place (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  seq  BIGINT NOT NULL,
  hash BLOB NOT NULL
);
