package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// TestOnlyWhatNoCallIsResolvedByLeavesTheGeneration: a table that is written often is
// left out, with what goes when its rows do; every other changes the generation, as do
// tables that there are not yet.
func TestOnlyWhatNoCallIsResolvedByLeavesTheGeneration(t *testing.T) {
	objects, err := newestSchema()
	require.NoError(t, err)
	var tables []string
	for _, o := range objects {
		if o.kind != "table" {
			continue
		}
		tables = append(tables, o.name)
		for _, verb := range []string{"INSERT INTO %s (a) VALUES (1)", "UPDATE %s SET a = 1", "DELETE FROM %s\nWHERE a = 1"} {
			statement := fmt.Sprintf(verb, o.name)
			require.Equal(t, slices.Contains(apartFromCalls, o.name), leavesCallsAsTheyAre(statement), statement)
		}
		for _, parent := range apartFromCalls {
			cascades := strings.Contains(o.text, "REFERENCES "+parent+" ")
			require.False(t, cascades && !slices.Contains(apartFromCalls, o.name), "%s goes with %s", o.name, parent)
		}
	}
	require.Subset(t, tables, apartFromCalls)
	for _, statement := range []string{
		"INSERT OR REPLACE INTO events VALUES (1)", "WITH e AS (SELECT 1) DELETE FROM events", "DELETE FROM eventsx",
	} {
		require.False(t, leavesCallsAsTheyAre(statement), "what is not understood changes everything: %s", statement)
	}
}

// policyCache remembers the policy of a capability as somebody does who goes by the
// generation.
type policyCache map[uint64]string

func policyOf(ctx context.Context, q Queries) (string, error) {
	p, err := q.CapabilityPolicy(ctx, "org", "acme/things")
	if errors.Is(err, ErrNotFound) {
		return "none", nil
	}
	return string(p.Meta), err
}

// errStale is the error of something that is remembered and not what is stored.
var errStale = errors.New("what is remembered is not what is stored")

// inTransaction compares what is remembered with what is stored.
func (c policyCache) inTransaction(tx *Tx) error {
	n, err := tx.Generation(context.Background())
	if err != nil {
		return err
	}
	stored, err := policyOf(context.Background(), tx.Queries)
	if err != nil {
		return err
	}
	if known, ok := c[n]; ok && known != stored {
		return fmt.Errorf("%w: %s, %s", errStale, known, stored)
	}
	c[n] = stored
	return nil
}

// TestWhatIsRememberedByTheGenerationIsWhatIsStored plays random histories: changes
// that last, that fail, that fail with all that share their transaction, and that
// somebody makes behind the server's back. In between it is read, in transactions and
// beside them, and what was read once is compared with what is stored.
func TestWhatIsRememberedByTheGenerationIsWhatIsStored(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		db, at := e.openTest(t)
		raw := e.raw(t, at)
		rapid.Check(t, func(t *rapid.T) {
			known := policyCache{}
			for range rapid.IntRange(1, 15).Draw(t, "steps") {
				playPolicies(t, db, raw, e, known)
				require.NoError(t, db.Write(context.Background(), func(tx *Tx) error { return known.inTransaction(tx) }))
			}
		})
	})
}

var errOfJob = errors.New("a job that fails")

// playPolicies makes one step of a history.
func playPolicies(t *rapid.T, db *DB, raw *sql.DB, e engine, known policyCache) {
	ctx := context.Background()
	meta := fmt.Sprintf(`{"n":%d}`, rapid.IntRange(1, 3).Draw(t, "policy"))
	put := func(tx *Tx) error {
		defer tx.Append(&Entry{Org: "org", Body: []byte("{}")})
		return putPolicy(ctx, tx, meta)
	}
	switch rapid.IntRange(0, 5).Draw(t, "step") {
	case 0:
		require.NoError(t, db.Write(ctx, put))
	case 1: // it sees its own change, which then never was
		require.NotErrorIs(t, db.Write(ctx, func(tx *Tx) error {
			return errors.Join(put(tx), known.inTransaction(tx), errOfJob)
		}), errStale)
	case 2: // several at once, some of which fail
		fails := rapid.SliceOfN(rapid.Bool(), 2, 6).Draw(t, "fails")
		shareTransaction(t, db, len(fails), func(i int, tx *Tx) error {
			if err := errors.Join(known.inTransaction(tx), put(tx), known.inTransaction(tx)); err != nil || !fails[i] {
				return err
			}
			return errOfJob
		})
	case 3: // a change that others make
		_, err := raw.ExecContext(ctx, "UPDATE capability_policies SET meta = $1", meta)
		require.NoError(t, err)
	case 4: // a reader beside a change
		n, ok := db.Generation()
		require.Equal(t, e.driver == "sqlite", ok)
		if !ok {
			return
		}
		read, err := policyOf(ctx, db.Read())
		require.NoError(t, err)
		require.NoError(t, db.Write(ctx, put))
		known[n] = read
	case 5: // all of a transaction fails
		require.NotErrorIs(t, db.Write(ctx, func(tx *Tx) error {
			return errors.Join(put(tx), known.inTransaction(tx), ErrUnavailable)
		}), errStale)
	}
}

// putPolicy stores the policy of a capability, or replaces it.
func putPolicy(ctx context.Context, tx *Tx, meta string) error {
	p := CapabilityPolicy{
		UID:        PolicyUID("org", "acme/things"),
		Capability: "acme/things",
		Version:    1,
		Meta:       []byte(meta),
		Sealed:     []byte{1},
	}
	before, err := tx.CapabilityPolicy(ctx, "org", p.Capability)
	switch {
	case errors.Is(err, ErrNotFound):
		return tx.InsertCapabilityPolicy(ctx, "org", p)
	case err != nil:
		return err
	}
	p.Version = before.Version + 1
	return tx.UpdateCapabilityPolicy(ctx, "org", p)
}

// shareTransaction runs n jobs, which wait together behind another.
func shareTransaction(t require.TestingT, db *DB, n int, fn func(i int, tx *Tx) error) {
	ctx := context.Background()
	running, wait, ended := make(chan struct{}), make(chan struct{}), make(chan error, n+1)
	go func() {
		ended <- db.Write(ctx, func(*Tx) error {
			close(running)
			<-wait
			return nil
		})
	}()
	<-running
	for i := range n {
		go func() { ended <- db.Write(ctx, func(tx *Tx) error { return fn(i, tx) }) }()
	}
	for db.Waiting() < n {
		runtime.Gosched()
	}
	close(wait)
	errs := make([]error, n+1)
	for i := range errs {
		errs[i] = <-ended
	}
	for _, err := range errs {
		if !errors.Is(err, errOfJob) {
			require.NoError(t, err)
		}
	}
}

// TestWhatAnotherServerChangedIsInTheGeneration: a server that shares its database
// knows in each transaction what others have acknowledged, and beside one it does not
// say that it knows.
func TestWhatAnotherServerChangedIsInTheGeneration(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	servers := []*DB{openShared(t, at), openShared(t, at)}
	known := []policyCache{{}, {}}
	for i := range 8 {
		require.NoError(t, servers[i%2].Write(t.Context(), func(tx *Tx) error {
			defer tx.Append(&Entry{Org: "org", Body: []byte("{}")})
			return putPolicy(t.Context(), tx, fmt.Sprintf(`{"n":%d}`, i))
		}))
		for s, db := range servers {
			_, ok := db.Generation()
			require.False(t, ok)
			for range 2 {
				require.NoError(t, db.Write(t.Context(), func(tx *Tx) error { return known[s].inTransaction(tx) }))
			}
		}
	}
}

// TestUsesLeaveTheGenerationAsItIs: what is remembered lasts while calls are made,
// logins stored and runtimes run.
func TestUsesLeaveTheGenerationAsItIs(t *testing.T) {
	db, _ := openTest(t)
	generation := func() (n uint64) {
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) (err error) {
			n, err = tx.Generation(t.Context())
			return err
		}))
		return n
	}
	before := generation()
	require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
		defer tx.Append(&Entry{Org: "org", Body: []byte("{}")})
		_, err := tx.InsertEvent(t.Context(), "org", bctrl.Event{Time: time.Now()})
		return err
	}))
	require.NoError(t, db.AppendLater(&Entry{Org: "org", Body: []byte("{}"), Intent: 1}))
	require.NoError(t, db.CatchUp(t.Context()))
	_, err := policyOf(t.Context(), db.Read())
	require.NoError(t, err)
	require.Equal(t, before, generation())
}
