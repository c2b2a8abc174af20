package pgtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// shared is the cluster that the tests of a process have together. Each has a
// database of its own in it.
var shared struct {
	mu      sync.Mutex
	cluster *Cluster
	made    int
	// emptied are the names of databases that a test has had, by their template.
	emptied map[string][]string
}

// Database returns the URL of a database for a test: a copy of another, which holds
// tables without a row. One that a test before it had is emptied and used again, so
// a test that changes more than rows takes [Fresh].
func Database(tb testing.TB, template string) string {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	name := ""
	if free := shared.emptied[template]; len(free) > 0 {
		name, shared.emptied[template] = free[len(free)-1], free[:len(free)-1]
	} else {
		var err error
		if name, err = makeNext(template); err != nil {
			tb.Fatalf("making a database: %v", err)
		}
	}
	tb.Cleanup(func() {
		if err := giveBack(name, template); err != nil {
			tb.Errorf("emptying a database: %v", err)
		}
	})
	return shared.cluster.URL(name)
}

// Fresh returns the URL of a database that no other test gets, a copy of another or
// empty where template is empty.
func Fresh(tb testing.TB, template string) string {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	name, err := makeNext(template)
	if err != nil {
		tb.Fatalf("making a database: %v", err)
	}
	return shared.cluster.URL(name)
}

// Make makes an empty database that stays for the process, and returns its URL.
func Make(name string) (string, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return makeFrom(name, "template0")
}

// makeNext makes the next database. The lock is held.
func makeNext(template string) (name string, err error) {
	if template == "" {
		template = "template0"
	}
	shared.made++
	name = fmt.Sprintf("test%d", shared.made)
	_, err = makeFrom(name, template)
	return name, err
}

// giveBack empties the tables of a database, for the next test, and takes triggers from
// them. The versions of goose stay.
func giveBack(name, template string) (err error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if err := execIn(shared.cluster.URL(name), `DO $$ DECLARE t name; BEGIN
		FOR t IN SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace LOOP
			EXECUTE format('DROP FUNCTION %I CASCADE', t);
		END LOOP;
		SET LOCAL session_replication_role = replica;
		FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
			AND relname <> 'goose_db_version' LOOP
			EXECUTE format('DELETE FROM %I', t);
		END LOOP; END $$`); err != nil {
		return err
	}
	if shared.emptied == nil {
		shared.emptied = map[string][]string{}
	}
	shared.emptied[template] = append(shared.emptied[template], name)
	return nil
}

// makeFrom makes a database. The lock is held: PostgreSQL copies a template for one at
// a time.
func makeFrom(name, template string) (at string, err error) {
	if err := startShared(); err != nil {
		return "", err
	}
	return shared.cluster.URL(name), execIn(shared.cluster.URL("postgres"), "CREATE DATABASE "+name+" TEMPLATE "+template)
}

func startShared() (err error) {
	if shared.cluster == nil {
		shared.cluster, err = New(false)
	}
	return err
}

// Main is a [testing.M] that ends what the tests have shared after them, for
// goleak.VerifyTestMain.
type Main struct{ M *testing.M }

// Run runs the tests.
func (m Main) Run() int {
	code := m.M.Run()
	if err := stop(); err != nil {
		fmt.Println("ending PostgreSQL:", err)
		return max(code, 1)
	}
	return code
}

func stop() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	err := RemoveInitial()
	if shared.cluster == nil {
		return err
	}
	err = errors.Join(err, shared.cluster.Close())
	shared.cluster, shared.emptied = nil, nil
	return err
}
