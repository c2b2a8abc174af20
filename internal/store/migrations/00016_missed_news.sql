-- Which runtimes are to end that another node has, so that it knows also where it missed the news. Each hold has a nonce,
-- so that what is given back late does not free it for who has it next. A node that an operator drained stays drained when
-- it has lost its lease and comes back as another.

-- +goose Up
ALTER TABLE runtime_nodes ADD COLUMN asked_to_end BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE holds ADD COLUMN nonce TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN drained BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE nodes DROP COLUMN drained;
ALTER TABLE holds DROP COLUMN nonce;
ALTER TABLE runtime_nodes DROP COLUMN asked_to_end;
