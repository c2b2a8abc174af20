package custody

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

const (
	first  = "correct horse battery staple"
	second = "hunter2 and so much more"
	third  = "yet another one of these"
)

// variable holds the key where the source is the environment.
const variable = "BCTRL_TEST_CUSTODY_KEY"

// place is data with its key, closed or open.
type place struct {
	*testing.T
	dir    string
	source bctrl.SealSource
	// given opens it: a passphrase.
	given string

	db   *store.DB
	rows *seal.Rows
	c    *Custodian
	// sealed are the values that were sealed in a scope.
	sealed map[string][]byte
}

func newPlace(t *testing.T, source bctrl.SealSource) *place {
	t.Helper()
	p := &place{
		T:      t,
		dir:    t.TempDir(),
		source: source,
		sealed: map[string][]byte{},
	}
	switch source {
	case bctrl.SealPassphrase:
		p.given = first
	case bctrl.SealEnvironment:
		t.Setenv(variable, seal.Generate().Expose())
	}
	storetest.Create(t, filepath.Join(p.dir, "bctrl.db"))
	p.open()
	t.Cleanup(p.close)
	for _, scope := range []string{"org-a", "org-b"} {
		p.keep(scope)
	}
	return p
}

func (p *place) keyFile() string { return filepath.Join(p.dir, "key") }

func (p *place) config() Config {
	return Config{
		DB:          p.db,
		Rows:        p.rows,
		Source:      p.source,
		KeyFile:     p.keyFile(),
		KeyVariable: variable,
		Passphrase:  bctrl.NewSecret(p.given),
		Head:        audit.HeadFile(filepath.Join(p.dir, "head")),
	}
}

func (p *place) open() {
	p.Helper()
	require.NoError(p, p.tryOpen())
}

func (p *place) tryOpen() (err error) {
	p.Helper()
	ctx := context.WithoutCancel(p.Context())
	p.rows = &seal.Rows{}
	p.db, err = store.Open(ctx, filepath.Join(p.dir, "bctrl.db"), p.rows)
	require.NoError(p, err)
	if p.c, err = Open(ctx, p.config()); err != nil {
		require.NoError(p, p.db.Close())
		p.db, p.c = nil, nil
	}
	return err
}

func (p *place) close() {
	p.Helper()
	if p.db == nil {
		return
	}
	require.NoError(p, p.c.Close())
	require.NoError(p, p.db.Close())
	p.db, p.c = nil, nil
}

// keep seals a value that has to stay readable.
func (p *place) keep(scope string) {
	p.Helper()
	require.NoError(p, p.c.Keys().Ensure(p.Context(), scope))
	sealed, err := p.c.Keys().Seal(record(scope), []byte("value of "+scope))
	require.NoError(p, err)
	p.sealed[scope] = sealed
}

func record(scope string) seal.Record { return seal.Record{Kind: "test", UID: "u", Scope: scope} }

// verified requires that everything that was sealed opens, and the log verifies.
func (p *place) verified(why string) {
	p.Helper()
	for scope, sealed := range p.sealed {
		require.NoError(p, p.c.Keys().Ensure(p.Context(), scope), why)
		plain, err := p.c.Keys().Open(record(scope), sealed)
		require.NoError(p, err, why)
		require.Equal(p, "value of "+scope, string(plain), why)
	}
	report, err := p.c.Verify(p.Context())
	require.NoError(p, err, why)
	require.True(p, report.All().OK, "%s: %+v", why, report.All().Problems)
}

// rotate exchanges the key, for what the source takes.
func (p *place) rotate(given string) error {
	p.Helper()
	switch p.source {
	case bctrl.SealPassphrase:
	case bctrl.SealEnvironment:
		given = seal.Generate().Expose()
		p.given = given
	default:
		given = ""
	}
	return p.c.Rotate(p.Context(), bctrl.NewSecret(given), p.commit)
}

func (p *place) commit(ctx context.Context, write func(*store.Tx) error) error {
	return p.db.Write(ctx, write)
}

// note writes an event, for the log to go on.
func (p *place) note(n int) {
	p.Helper()
	require.NoError(p, audit.New(p.db).Record(p.Context(), event("test", fmt.Sprint(n))))
}

// image copies everything as a crash would leave it now. It may be called on the writer's goroutine.
func (p *place) image() string {
	p.Helper()
	to := filepath.Join(p.TempDir(), "image")
	err := os.CopyFS(to, os.DirFS(p.dir))
	keys, globErr := filepath.Glob(filepath.Join(to, "key*"))
	err = errors.Join(err, globErr)
	for _, file := range keys { // copies are made more open
		err = errors.Join(err, os.Chmod(file, 0o600))
	}
	assert.NoError(p, err)
	return to
}

func auditAppend(tx *store.Tx) error { return audit.Append(tx, event("test", "")) }
