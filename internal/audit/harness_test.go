package audit

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to change the log behind its back

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// place is a store with a notary, and the files that they keep.
type place struct {
	*testing.T
	db, head string
	key      seal.Key
	rows     *seal.Rows

	store  *store.DB
	notary *Notary
	log    *Log
	n      int
	// behindIt is the database behind the store's back, where that is PostgreSQL.
	behindIt *sql.DB
}

// onPostgres reports whether the stores of this test are in PostgreSQL.
func onPostgres() bool { return os.Getenv(storetest.Variable) == "postgres" }

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	key, err := seal.CreateFile(filepath.Join(dir, "key"))
	require.NoError(t, err)
	p := &place{
		T:    t,
		db:   filepath.Join(dir, "bctrl.db"),
		head: filepath.Join(dir, "key.head"),
		key:  key,
		rows: storetest.Rows(t),
	}
	storetest.Create(t, p.db)
	p.open()
	p.write(func(tx *store.Tx) error {
		for _, org := range []string{"org", "other"} {
			if err := tx.InsertOrganization(t.Context(),
				store.Organization{ID: org, Name: org, CreatedAt: time.Now()}); err != nil {
				return err
			}
			if err := Append(tx, Event{Org: org, Caller: "server", Action: "organization.create"}); err != nil {
				return err
			}
		}
		return nil
	})
	t.Cleanup(p.close)
	return p
}

func (p *place) open() {
	p.Helper()
	require.NoError(p, p.tryOpen())
}

func (p *place) tryOpen() (err error) {
	p.Helper()
	p.store, err = storetest.Open(p.Context(), p.db, p.rows)
	require.NoError(p, err)
	p.log = New(p.store)
	p.notary, err = OpenNotary(p.Context(), NotaryConfig{DB: p.store, Key: p.key, Head: HeadFile(p.head)})
	if err != nil {
		require.NoError(p, p.store.Close())
		p.store, p.notary = nil, nil
	}
	return err
}

func (p *place) close() {
	p.Helper()
	if p.store != nil {
		require.NoError(p, p.notary.Close())
		require.NoError(p, p.store.Close())
		p.store, p.notary = nil, nil
	}
}

func (p *place) write(fn func(*store.Tx) error) {
	p.Helper()
	require.NoError(p, p.store.Write(p.Context(), fn))
}

// set writes a vault entry and records it.
func (p *place) set(org, key string) {
	p.Helper()
	ctx := p.Context()
	p.n++
	p.write(func(tx *store.Tx) error {
		e, err := tx.VaultEntry(ctx, org, key)
		isNew := err != nil
		e.Version++
		e.Meta, e.Sealed, e.UpdatedAt = []byte("{}"), fmt.Appendf(nil, "sealed %d", p.n), time.Now()
		if isNew {
			e.UID, e.Key, e.CreatedAt = "uid-"+org+"-"+key, key, time.Now()
			err = tx.InsertVaultEntry(ctx, org, key, e)
		} else {
			err = tx.UpdateVaultEntry(ctx, org, e)
		}
		if err != nil {
			return err
		}
		return Append(tx, Event{
			Org:      org,
			Caller:   "key:k",
			Action:   "vault.write",
			Object:   key,
			Decision: Allowed,
			Outcome:  OK,
		})
	})
}

// workspace opens the store, writes a workspace twice, and closes it. Its events have an index, those of
// vault entries have none in a file.
func (p *place) workspace() {
	p.Helper()
	p.open()
	for version := range int64(2) {
		p.write(func(tx *store.Tx) error {
			ws := store.Workspace{ID: "ws", Name: fmt.Sprint("name ", version+1), Version: version + 1, UpdatedAt: time.Now()}
			write := tx.InsertWorkspace
			if version > 0 {
				write = tx.UpdateWorkspace
			}
			if err := write(p.Context(), "org", ws); err != nil {
				return err
			}
			return Append(tx, Event{Org: "org", Caller: "key:k", Action: "workspace.write", Object: ws.ID, Outcome: OK})
		})
	}
	p.close()
}

// remove deletes a vault entry and records it.
func (p *place) remove(org, key string) {
	p.Helper()
	p.write(func(tx *store.Tx) error {
		if err := tx.DeleteVaultEntry(p.Context(), org, "uid-"+org+"-"+key); err != nil {
			return err
		}
		return Append(tx, Event{
			Org:      org,
			Caller:   "key:k",
			Action:   "vault.write",
			Object:   key,
			Decision: Allowed,
			Outcome:  OK,
		})
	})
}

// use records an intent and its outcome.
func (p *place) use(org, key, outcome string) {
	p.Helper()
	done, err := p.log.Begin(p.Context(), Event{
		Org:      org,
		Caller:   "key:k",
		Action:   "vault.readRaw",
		Object:   key,
		Decision: Allowed,
	})
	require.NoError(p, err)
	require.NoError(p, done(End{Outcome: outcome}))
}

// filled writes some of everything.
func (p *place) filled() *place {
	p.Helper()
	for i := range 10 {
		p.set("org", fmt.Sprintf("k%d", i%4))
		p.use("org", "k0", OK)
		p.set("other", "theirs")
	}
	p.remove("org", "k3")
	return p
}

// behind changes the database while no server has it.
func (p *place) behind(statements ...string) {
	p.Helper()
	require.Nil(p, p.store, "the server runs")
	p.raw(func(db *sql.DB) {
		for _, s := range statements {
			_, err := db.ExecContext(p.Context(), statement(p.db, s))
			require.NoError(p, err, s)
		}
	})
}

// statement is one of the tests here in the words of the store at a path: bodies are no texts to PostgreSQL.
func statement(path, s string) string {
	if !onPostgres() {
		return s
	}
	s = regexp.MustCompile(`replace\(body, ('[^']*'), ('[^']*')\)`).
		ReplaceAllString(s, "convert_to(replace(convert_from(body, 'UTF8'), $1, $2), 'UTF8')")
	return storetest.Statement(path, s)
}

func (p *place) raw(fn func(*sql.DB)) {
	p.Helper()
	if onPostgres() {
		if p.behindIt == nil {
			p.behindIt = storetest.Raw(p, p.db)
		}
		fn(p.behindIt)
		return
	}
	db, err := sql.Open("sqlite", p.db)
	require.NoError(p, err)
	defer func() { require.NoError(p, db.Close()) }()
	fn(db)
}

// restamp computes the hashes of all events anew, as somebody would who has all
// but the key.
func (p *place) restamp() {
	p.Helper()
	p.raw(func(db *sql.DB) {
		rows, err := db.QueryContext(p.Context(), "SELECT seq, at, org_id, body FROM audit_events ORDER BY seq")
		require.NoError(p, err)
		var all []store.Entry
		for rows.Next() {
			var e store.Entry
			var at int64
			require.NoError(p, rows.Scan(&e.Seq, &at, &e.Org, &e.Body))
			e.At = time.UnixMilli(at)
			all = append(all, e)
		}
		require.NoError(p, rows.Err())
		require.NoError(p, rows.Close())
		head := store.ZeroHash()
		for _, e := range all {
			head = store.NextHash(head, e)
			_, err := db.ExecContext(p.Context(), "UPDATE audit_events SET hash = $1 WHERE seq = $2", head, e.Seq)
			require.NoError(p, err)
		}
	})
}

// copyTo keeps the database as it is.
func (p *place) copyTo(name string) {
	p.Helper()
	require.Nil(p, p.store, "the server runs")
	p.raw(func(db *sql.DB) {
		if !onPostgres() {
			_, err := db.ExecContext(p.Context(), "VACUUM INTO $1", name)
			require.NoError(p, err)
			return
		}
		p.Cleanup(func() { p.run(db, "DROP SCHEMA "+keptIn(name)+" CASCADE") })
		p.run(db, "SET client_min_messages = warning; CREATE SCHEMA "+keptIn(name))
		for _, t := range p.tables(db) {
			p.run(db, "CREATE TABLE "+keptIn(name)+"."+t.name+" AS TABLE public."+t.name)
		}
	})
}

// keptIn is the schema that keeps what a file of SQLite would.
func keptIn(name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("kept_%x", sum[:8])
}

func (p *place) run(db *sql.DB, statement string) {
	p.Helper()
	_, err := db.ExecContext(context.WithoutCancel(p.Context()), statement)
	require.NoError(p, err)
}

func (p *place) restore(name string) {
	p.Helper()
	if onPostgres() {
		p.raw(func(db *sql.DB) {
			var all []string
			fill := ""
			for _, t := range p.tables(db) {
				all = append(all, t.name)
				fill += "; INSERT INTO public." + t.name + " SELECT * FROM " + keptIn(name) + "." + t.name
			}
			p.run(db, "TRUNCATE "+strings.Join(all, ", ")+fill)
		})
		return
	}
	for _, rest := range []string{"-wal", "-shm"} {
		_ = os.Remove(p.db + rest)
	}
	text, err := os.ReadFile(name)
	require.NoError(p, err)
	require.NoError(p, os.WriteFile(p.db, text, 0o600))
}

// verify verifies a store that no server has.
func (p *place) verify() *Report {
	p.Helper()
	if p.store != nil {
		return p.verifyOf(p.store)
	}
	db, err := storetest.Open(p.Context(), p.db, p.rows)
	require.NoError(p, err)
	defer func() { require.NoError(p, db.Close()) }()
	return p.verifyOf(db)
}

func (p *place) verifyOf(db *store.DB) *Report {
	p.Helper()
	report, err := Verify(context.WithoutCancel(p.Context()), VerifyConfig{DB: db, Key: p.key, Head: HeadFile(p.head)})
	require.NoError(p, err)
	return report
}

// kinds are the sorts of problems that a report names.
func kinds(r bctrl.AuditReport) (all []bctrl.AuditProblemKind) {
	for _, p := range r.Problems {
		all = append(all, p.Kind)
	}
	return all
}

// rotate lets another key take over, and returns the one before.
func (p *place) rotate() (old seal.Key) {
	p.Helper()
	ctx := p.Context()
	old = p.key
	require.NoError(p, p.notary.Close())
	seq, head := p.notary.Last()
	fresh, err := seal.CreateFile(filepath.Join(p.TempDir(), "key"))
	require.NoError(p, err)
	rows, err := p.store.Read().SealKeys(ctx)
	require.NoError(p, err)
	if len(rows) == 0 {
		rows = []store.SealKey{p.endorsed(store.SealKey{N: 1, Head: store.ZeroHash()}, nil, old)}
	}
	p.endorsed(store.SealKey{N: rows[0].N + 1, Seq: seq, Head: head}, old.Public(), fresh)
	p.key = fresh
	p.notary, err = OpenNotary(ctx, NotaryConfig{DB: p.store, Key: p.key, Head: HeadFile(p.head)})
	require.NoError(p, err)
	return old
}

func (p *place) endorsed(row store.SealKey, before []byte, key seal.Key) store.SealKey {
	p.Helper()
	row.Source, row.Derivation, row.CreatedAt = "file", []byte{}, store.Now()
	require.NoError(p, Endorse(&row, before, key))
	p.write(func(tx *store.Tx) error { return tx.InsertSealKey(p.Context(), row) })
	return row
}
