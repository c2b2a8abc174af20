package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Dump is a backup of a database, by pg_dump.
func Dump(ctx context.Context, at string) ([]byte, error) {
	return run(ctx, nil, "pg_dump", "--dbname", at)
}

// Load puts a backup into a database that is empty, by psql.
func Load(ctx context.Context, at string, dump []byte) error {
	_, err := run(ctx, dump, "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", at)
	return err
}

// run runs a program that comes with PostgreSQL.
func run(ctx context.Context, in []byte, program string, args ...string) ([]byte, error) {
	bin, err := locate()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, program), args...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", program, err, said.String())
	}
	return out, nil
}
