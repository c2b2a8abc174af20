-- Operations are listed by age, which is the order of their ids.

-- +goose Up
CREATE INDEX operations_listed ON operations (org_id, id);
CREATE INDEX operations_workspace ON operations (org_id, workspace_id, id);
CREATE INDEX operations_runtime ON operations (org_id, runtime_id, id);

-- +goose Down
DROP INDEX operations_runtime;
DROP INDEX operations_workspace;
DROP INDEX operations_listed;
