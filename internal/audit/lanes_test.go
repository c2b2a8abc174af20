package audit

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/sample"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// nodes are servers that share the log of a place, of which the first signs it.
type nodes struct {
	*place
	ids    []string
	dbs    []*store.DB
	logs   []*Log
	notary *Notary
}

var nodesMade int

// join has so many nodes serve a place, which no server has.
func (p *place) join(n int) *nodes {
	p.Helper()
	require.Nil(p, p.store, "a server runs")
	url, err := os.ReadFile(p.db)
	require.NoError(p, err)
	all := &nodes{place: p}
	for range n {
		db, err := store.OpenPostgres(p.Context(), store.Postgres{URL: string(url), Shared: true}, p.rows)
		require.NoError(p, err)
		nodesMade++
		id := fmt.Sprintf("node-%d", nodesMade)
		_, err = db.RegisterNode(p.Context(), store.Node{ID: id}, "", time.Hour)
		require.NoError(p, err)
		db.Fence(id)
		log := New(db)
		require.NoError(p, log.StartNode(p.Context(), id))
		all.ids, all.dbs, all.logs = append(all.ids, id), append(all.dbs, db), append(all.logs, log)
	}
	all.notary, err = OpenNotary(p.Context(), NotaryConfig{
		DB:    all.dbs[0],
		Key:   p.key,
		Head:  HeadFile(p.head),
		Leads: func() bool { return true },
	})
	require.NoError(p, err)
	return all
}

// use records an intent and its outcome on a node.
func (all *nodes) use(node int) {
	all.Helper()
	done, err := all.logs[node].Begin(all.Context(), Event{
		Org:      "org",
		Caller:   "key:k",
		Action:   "vault.readRaw",
		Object:   "k0",
		Decision: Allowed,
	})
	require.NoError(all, err)
	require.NoError(all, done(End{Outcome: OK}))
	require.NoError(all, all.dbs[node].CatchUp(all.Context()))
}

// set changes a record on a node.
func (all *nodes) set(node int, key string) {
	all.Helper()
	all.store = all.dbs[node]
	all.place.set("org", key)
	all.store = nil
}

// leave ends the nodes, which signs the log.
func (all *nodes) leave() {
	all.Helper()
	require.NoError(all, all.notary.Close())
	for i, db := range all.dbs {
		require.NoError(all, db.ExpireLease(all.Context(), all.ids[i]))
		if i+1 == len(all.dbs) {
			db.Fence("")
			require.NoError(all, db.Write(all.Context(), func(tx *store.Tx) error {
				_, err := tx.EndDeadNodes(all.Context())
				return err
			}))
		}
		require.NoError(all, db.Close())
	}
}

// newLanes is a place whose log has a lane of a server alone, and two of nodes that took turns.
func newLanes(t *testing.T) *place {
	t.Helper()
	t.Setenv(storetest.Variable, "postgres")
	p := newPlace(t).filled()
	p.close()
	all := p.join(2)
	for i := range 6 {
		all.use(i % 2)
		all.set((i+1)%2, fmt.Sprintf("k%d", i%3))
	}
	all.leave()
	return p
}

// TestALogOfLanesIsWhole: a server alone goes on with it, and nodes again after that.
func TestALogOfLanesIsWhole(t *testing.T) {
	p := newLanes(t)
	report := p.verify().All()
	require.True(t, report.OK, "%+v", report.Problems)
	require.Equal(t, report.Head.Seq, report.Signed, "a clean end leaves nothing unsigned")
	require.EqualValues(t, 3, p.lanes(), "of a server alone, and of two nodes")
	p.open()
	p.set("org", "k0")
	p.set("org", "after")
	require.True(t, p.verify().All().OK)
	p.close()
	again := p.join(2)
	again.use(1)
	again.set(0, "k0")
	running, err := Verify(t.Context(), VerifyConfig{DB: again.dbs[1], Key: p.key, Head: HeadFile(p.head)})
	require.NoError(t, err)
	require.True(t, running.All().OK, "%+v", running.All().Problems)
	again.leave()
	report = p.verify().All()
	require.True(t, report.OK, "%+v", report.Problems)
	require.EqualValues(t, 3, p.lanes(), "lanes are taken again")
	p.accept()
	require.True(t, p.verify().All().OK)
}

// accept has the log go on from where it is.
func (p *place) accept() {
	p.Helper()
	db, err := storetest.Open(p.Context(), p.db, p.rows)
	require.NoError(p, err)
	require.NoError(p, Accept(p.Context(), NotaryConfig{DB: db, Key: p.key, Head: HeadFile(p.head)}, "it was meant"))
	require.NoError(p, db.Close())
}

// TestAKeyTakesOverALogOfLanes signs for what all lanes were, and not for what is made of one later.
func TestAKeyTakesOverALogOfLanes(t *testing.T) {
	p := newLanes(t)
	p.open()
	p.rotate()
	p.close()
	all := p.join(2)
	all.use(1)
	all.leave()
	report := p.verify().All()
	require.True(t, report.OK, "%+v", report.Problems)
	p.behind("DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events WHERE lane = 2 AND seq < "+
		"(SELECT MIN(seq) FROM seal_keys WHERE seq > 0))", "DELETE FROM audit_checkpoints")
	require.Contains(t, kinds(p.verify().All()), bctrl.AuditRewritten)
}

// TestALogOfWhichALaneWasCutGoesOnOnceThatIsAccepted, by nodes too.
func TestALogOfWhichALaneWasCutGoesOnOnceThatIsAccepted(t *testing.T) {
	p := newLanes(t)
	p.behind("DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events WHERE lane = 2)")
	require.ErrorIs(t, p.tryOpen(), ErrOlder)
	p.accept()
	p.open()
	p.set("org", "k1")
	p.close()
	all := p.join(2)
	all.use(0)
	all.use(1)
	all.leave()
	report := p.verify().All()
	require.True(t, report.OK, "%+v", report.Problems)
	require.NotEmpty(t, report.Accepted)
}

func (p *place) lanes() int64 {
	p.Helper()
	count := p.column(storetest.Raw(p, p.db), "SELECT COUNT(DISTINCT lane)::text FROM audit_events")
	n, err := strconv.ParseInt(count[0], 10, 64)
	require.NoError(p, err)
	return n
}

// laneTamperings are what somebody could do to lanes who has the database and not the key.
func laneTamperings() []tampering {
	const ofLane1 = "(SELECT seq FROM audit_events WHERE lane = 1 ORDER BY seq OFFSET 2 LIMIT 1)"
	return []tampering{
		{"an event of a lane deleted", func(p *place) { p.behind("DELETE FROM audit_events WHERE seq = " + ofLane1) },
			bctrl.AuditEventMissing, false},
		{"an event of a lane edited", func(p *place) {
			p.behind("UPDATE audit_events SET at = at + 1 WHERE seq = " + ofLane1)
		}, bctrl.AuditEventChanged, false},
		{"an event given another number in its lane", func(p *place) {
			p.behind("UPDATE audit_events SET seq = seq - 1 WHERE seq = " + ofLane1)
		}, bctrl.AuditEventChanged, false},
		{"an event moved to another lane", func(p *place) {
			p.behind("UPDATE audit_events SET lane = 2 WHERE seq = " + ofLane1)
		}, bctrl.AuditEventChanged, false},
		{"an event moved to a lane that there is not", func(p *place) {
			p.behind("UPDATE audit_events SET lane = 4711 WHERE seq = " + ofLane1)
		}, bctrl.AuditEventChanged, true},
		{"what an event follows edited", func(p *place) {
			p.behind("UPDATE audit_events SET previous = previous - 1 WHERE seq = " + ofLane1)
		}, bctrl.AuditEventChanged, false},
		{"the end of a lane cut off", func(p *place) {
			p.behind("DELETE FROM audit_events WHERE lane = 2 AND seq > " + ofLane1)
		}, bctrl.AuditRewritten, true},
		{"the end of the lane of a server alone cut off", func(p *place) {
			p.behind("DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events WHERE lane = 0)")
		}, bctrl.AuditRewritten, true},
		{"a lane deleted", func(p *place) { p.behind("DELETE FROM audit_events WHERE lane = 2") },
			bctrl.AuditRewritten, true},
		{"two lanes exchanged", func(p *place) { p.behind("UPDATE audit_events SET lane = 3 - lane WHERE lane > 0") },
			bctrl.AuditRewritten, true},
		{"the end of all lanes cut off", func(p *place) {
			p.behind("DELETE FROM audit_events WHERE lane > 0 AND seq > "+ofLane1,
				"DELETE FROM audit_checkpoints WHERE seq > (SELECT MAX(seq) FROM audit_events)")
		}, bctrl.AuditDatabaseOlder, true},
	}
}

func TestWhatIsDoneToLanesIsFound(t *testing.T) {
	for _, tc := range sample.Of(t, 3, laneTamperings()) {
		t.Run(tc.name, func(t *testing.T) {
			p := newLanes(t)
			require.True(t, p.verify().All().OK)
			tc.do(p)
			report := p.verify().All()
			require.False(t, report.OK)
			require.Contains(t, kinds(report), tc.kind, "%+v", report.Problems)
			err := p.tryOpen()
			require.Equal(t, tc.refused, err != nil, "starting: %v", err)
			if err == nil { // and what comes after does not hide it
				p.set("org", "k1")
				p.close()
				require.Contains(t, kinds(p.verify().All()), tc.kind)
			}
		})
	}
}

// TestEveryEventOfEveryLaneIsMissed deletes those that are signed, one at a time.
func TestEveryEventOfEveryLaneIsMissed(t *testing.T) {
	p := newLanes(t)
	db := storetest.Raw(t, p.db)
	kept := keptIn(t.Name())
	p.run(db, "CREATE SCHEMA "+kept+"; CREATE TABLE "+kept+".log AS TABLE audit_events")
	all := p.column(db, "SELECT seq::text FROM audit_events ORDER BY seq")
	last := p.column(db, "SELECT max(seq)::text FROM audit_events GROUP BY lane")
	for _, seq := range sample.Of(t, 4, all) { // most of the time is the verification's
		p.run(db, "DELETE FROM audit_events WHERE seq = "+seq)
		report := p.verify().All()
		require.False(t, report.OK, "without event %s", seq)
		if !slices.Contains(last, seq) {
			i := slices.Index(kinds(report), bctrl.AuditEventMissing)
			require.GreaterOrEqual(t, i, 0, "without event %s", seq)
			require.Equal(t, seq, strconv.FormatInt(report.Problems[i].Seq, 10))
		}
		p.run(db, "INSERT INTO audit_events SELECT * FROM "+kept+".log WHERE seq = "+seq)
	}
	p.run(db, "DROP SCHEMA "+kept+" CASCADE")
	require.True(t, p.verify().All().OK)
}

// TestReadersOfLanesReadTheSame has two who follow the log by pieces while nodes write, and one who reads
// it in the end: all see the same events in the same order, and an outcome never before its intent.
func TestReadersOfLanesReadTheSame(t *testing.T) {
	t.Setenv(storetest.Variable, "postgres")
	p := newPlace(t)
	p.close()
	all := p.join(3)
	defer all.leave()
	read := func(db *store.DB, position int64, most int) (entries []Entry, at int64) {
		settled, err := db.Settled(t.Context())
		require.NoError(t, err)
		entries, err = Since(t.Context(), db.Read(), "org", position, settled, most)
		require.NoError(t, err)
		at = position
		for _, e := range entries {
			at = e.Position
		}
		if len(entries) < most {
			at = max(at, settled)
		}
		return entries, at
	}
	_, begin := read(all.dbs[0], 0, 1000)
	rapid.Check(t, func(rt *rapid.T) {
		positions := func(entries []Entry) (list []string) {
			for _, e := range entries {
				list = append(list, fmt.Sprintf("%d %d %s", e.Position, e.Seq, e.Outcome))
			}
			return list
		}
		done := make(chan struct{})
		plan := rapid.SliceOfN(rapid.IntRange(0, len(all.logs)-1), 3, 20).Draw(rt, "nodes that use it")
		go func() {
			defer close(done)
			var group sync.WaitGroup
			for _, node := range plan {
				group.Go(func() {
					use := Event{Org: "org", Caller: "key:k", Action: "vault.use", Decision: Allowed}
					end, err := all.logs[node].Begin(t.Context(), use)
					if assert.NoError(t, err) {
						assert.NoError(t, end(End{Outcome: OK}))
					}
				})
			}
			group.Wait()
		}()
		followed := [2][]string{}
		at := [2]int64{begin, begin}
		most := rapid.IntRange(1, 5).Draw(rt, "most")
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			for i := range followed {
				var entries []Entry
				entries, at[i] = read(all.dbs[1+i], at[i], most)
				followed[i] = append(followed[i], positions(entries)...)
			}
		}
		for _, db := range all.dbs {
			require.NoError(rt, db.CatchUp(t.Context()))
		}
		for i := range followed {
			for {
				entries, next := read(all.dbs[1+i], at[i], most)
				followed[i], at[i] = append(followed[i], positions(entries)...), next
				if len(entries) < most {
					break
				}
			}
		}
		whole, end := read(all.dbs[0], begin, 1000)
		require.Equal(rt, positions(whole), followed[0])
		require.Equal(rt, positions(whole), followed[1])
		begin = end
	})
}
