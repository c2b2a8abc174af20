-- Rows on which decisions rest carry a proof, made with a key that is not in the database, over all their other columns.
-- An empty one is none: rows of before are not believed. The operator is the organization that the first run made.

-- +goose Up
ALTER TABLE organizations ADD COLUMN operator BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE organizations ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE api_keys ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE workspaces ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE ai_mounts ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE browser_profiles ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE runtimes ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE runtime_tokens ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE operations ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE objects ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE invoke_rates ADD COLUMN proof BLOB NOT NULL DEFAULT x'';

-- +goose Down
ALTER TABLE invoke_rates DROP COLUMN proof;
ALTER TABLE objects DROP COLUMN proof;
ALTER TABLE operations DROP COLUMN proof;
ALTER TABLE runtime_tokens DROP COLUMN proof;
ALTER TABLE runtimes DROP COLUMN proof;
ALTER TABLE browser_profiles DROP COLUMN proof;
ALTER TABLE ai_mounts DROP COLUMN proof;
ALTER TABLE workspaces DROP COLUMN proof;
ALTER TABLE api_keys DROP COLUMN proof;
ALTER TABLE organizations DROP COLUMN proof;
ALTER TABLE organizations DROP COLUMN operator;
