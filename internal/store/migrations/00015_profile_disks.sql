-- Where the data of browser profiles are, in a cluster: on the disk of one node each. A disk has an id of its own, since
-- the node over it is another at each start; it is found by the address at which that node listens for the others.

-- +goose Up
CREATE TABLE disks (
  id      TEXT PRIMARY KEY,
  address TEXT NOT NULL
);

CREATE TABLE profile_disks (
  profile_uid TEXT PRIMARY KEY REFERENCES browser_profiles (uid) ON DELETE CASCADE,
  org_id      TEXT NOT NULL,
  disk_id     TEXT NOT NULL
);

-- +goose Down
DROP TABLE profile_disks;
DROP TABLE disks;
