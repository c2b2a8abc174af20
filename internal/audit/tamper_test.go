package audit

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

func TestAnUntouchedLogHasNoProblem(t *testing.T) {
	p := newPlace(t).filled()
	running := p.verify().All()
	require.True(t, running.OK, "while a server runs: %v", running.Problems)
	p.close()
	closed := p.verify().All()
	require.True(t, closed.OK, "%v", closed.Problems)
	require.EqualValues(t, 2+10*4+1, closed.Events)
	require.Equal(t, closed.Events, closed.Head.Seq)
	require.Equal(t, closed.Events, closed.Signed, "a clean end leaves nothing unsigned")
	require.EqualValues(t, 7, closed.Records,
		"the organizations, and the entries but the one that was deleted, which is one all the same")
	require.NotZero(t, closed.Checkpoints)
	p.open()
	p.set("org", "after")
	p.close()
	require.True(t, p.verify().All().OK, "after another start")
}

// tampering is what somebody could do to the real database who has it and not the key.
type tampering struct {
	name string
	do   func(p *place)
	// kind is the first problem; refused is set where a server does not
	// start on it either.
	kind    bctrl.AuditProblemKind
	refused bool
}

func tamperings() []tampering {
	const swap = `UPDATE audit_events SET body = CASE seq WHEN 7 THEN (SELECT body FROM audit_events WHERE seq = 11)
		ELSE (SELECT body FROM audit_events WHERE seq = 7) END
		WHERE seq IN (7, 11)`
	return []tampering{
		{"an event deleted", func(p *place) { p.behind("DELETE FROM audit_events WHERE seq = 7") },
			bctrl.AuditEventMissing, false},
		{"an event deleted and the rest moved up", func(p *place) {
			p.behind("DELETE FROM audit_events WHERE seq = 7",
				"UPDATE audit_events SET seq = 1 - seq, intent = 1 - intent WHERE seq > 7",
				"UPDATE audit_events SET seq = -seq, intent = -intent WHERE seq < 0")
		}, bctrl.AuditEventChanged, true},
		{"the first event deleted", func(p *place) { p.behind("DELETE FROM audit_events WHERE seq = 1") },
			bctrl.AuditEventMissing, false},
		{"the body of an event edited", func(p *place) {
			p.behind(`UPDATE audit_events SET body = replace(body, 'key:k', 'key:x') WHERE seq = 7`)
		}, bctrl.AuditEventChanged, false},
		{"the time of an event edited", func(p *place) { p.behind("UPDATE audit_events SET at = at - 1 WHERE seq = 7") },
			bctrl.AuditEventChanged, false},
		{"an event given to another organization", func(p *place) {
			p.behind("UPDATE audit_events SET org_id = 'other' WHERE seq = 3")
		}, bctrl.AuditEventChanged, false},
		{"an event hidden from who looks for its record", func(p *place) {
			p.behind("UPDATE audit_events SET record = NULL WHERE seq = 3")
		}, bctrl.AuditIndexChanged, false},
		{"an event inserted at the end", func(p *place) {
			p.behind("INSERT INTO audit_events (seq, at, org_id, body, hash, record) " +
				"SELECT seq + 1, at, org_id, body, hash, record FROM audit_events " +
				"ORDER BY seq DESC LIMIT 1")
		}, bctrl.AuditEventChanged, true},
		{"an event inserted between", func(p *place) {
			p.behind("UPDATE audit_events SET seq = -seq - 1 WHERE seq > 6", "UPDATE audit_events SET seq = -seq WHERE seq < 0",
				"INSERT INTO audit_events (seq, at, org_id, body, hash, record) "+
					"SELECT 7, at, org_id, body, hash, record FROM audit_events WHERE seq = 6")
		}, bctrl.AuditEventChanged, true},
		{"two events exchanged", func(p *place) { p.behind(swap) }, bctrl.AuditEventChanged, false},
		{"the end cut off", func(p *place) { p.behind("DELETE FROM audit_events WHERE seq > 20") },
			bctrl.AuditTruncated, true},
		{"the end cut off with its checkpoints", func(p *place) {
			p.behind("DELETE FROM audit_events WHERE seq > 20", "DELETE FROM audit_checkpoints WHERE seq > 20")
		}, bctrl.AuditDatabaseOlder, true},
		{"everything deleted", func(p *place) {
			p.behind("DELETE FROM audit_events", "DELETE FROM audit_checkpoints")
		}, bctrl.AuditDatabaseOlder, true},
		{"edited and restamped", func(p *place) {
			p.behind(`UPDATE audit_events SET body = replace(body, 'key:k', 'key:x') WHERE seq = 7`)
			p.restamp()
		}, bctrl.AuditRewritten, true},
		{"edited and restamped without checkpoints", func(p *place) {
			p.behind(`UPDATE audit_events SET body = replace(body, 'key:k', 'key:x') WHERE seq = 7`,
				"DELETE FROM audit_checkpoints")
			p.restamp()
		}, bctrl.AuditDatabaseOlder, true},
		{"edited, restamped, and the head outside removed", func(p *place) {
			p.behind(`UPDATE audit_events SET body = replace(body, 'key:k', 'key:x') WHERE seq = 7`,
				"DELETE FROM audit_checkpoints")
			p.restamp()
			require.NoError(p, os.Remove(p.head))
		}, bctrl.AuditHeadMissing, true},
		{"a checkpoint deleted", func(p *place) {
			p.behind("DELETE FROM audit_checkpoints WHERE seq = (SELECT MIN(seq) FROM audit_checkpoints)")
		}, bctrl.AuditCheckpointMissing, false},
		{"a checkpoint edited", func(p *place) {
			p.behind("UPDATE audit_checkpoints SET at = at + 1 WHERE seq = (SELECT MIN(seq) FROM audit_checkpoints)")
		}, bctrl.AuditCheckpointForged, false},
		{"the head outside removed", func(p *place) { require.NoError(p, os.Remove(p.head)) }, bctrl.AuditHeadMissing, true},
		{"the head outside edited", func(p *place) {
			require.NoError(p, os.WriteFile(p.head, []byte(`{"key":"`+p.key.ID()+`","seq":1,"head":"","signature":""}`), 0o600))
		}, bctrl.AuditHeadForged, true},
		{"a record edited", func(p *place) {
			p.behind("UPDATE vault_entries SET meta = '{\"origins\":[\"https://evil.example\"]}' WHERE key = 'k0'")
		}, bctrl.AuditRecordChanged, false},
		{"a record renamed", func(p *place) { p.behind("UPDATE vault_entries SET key = 'k9' WHERE key = 'k0'") },
			bctrl.AuditRecordChanged, false},
		{"a record put back to an older state", func(p *place) {
			p.behind("UPDATE vault_entries SET version = 1, sealed = 'sealed 1' WHERE key = 'k0'")
		}, bctrl.AuditRecordOlder, false},
		{"a record deleted", func(p *place) { p.behind("DELETE FROM vault_entries WHERE key = 'k0'") },
			bctrl.AuditRecordMissing, false},
		{"a record added", func(p *place) {
			p.behind("INSERT INTO vault_entries SELECT org_id, 'new', 'new', 'uid-new', version, has_totp, meta, sealed, " +
				"created_at, updated_at FROM vault_entries WHERE key = 'k0'")
		}, bctrl.AuditRecordAdded, false},
		{"a deleted record put back", func(p *place) {
			p.behind("INSERT INTO vault_entries SELECT org_id, 'k3', 'k3', 'uid-org-k3', version, has_totp, meta, sealed, " +
				"created_at, updated_at FROM vault_entries WHERE key = 'k0'")
		}, bctrl.AuditRecordAdded, false},
		{"a workspace put back to an older state", func(p *place) {
			p.workspace()
			p.behind("UPDATE workspaces SET version = 1, name = 'name 1'")
		}, bctrl.AuditRecordOlder, false},
		{"a workspace deleted", func(p *place) {
			p.workspace()
			p.behind("DELETE FROM workspaces")
		}, bctrl.AuditRecordMissing, false},
		{"a workspace added", func(p *place) {
			p.workspace()
			p.behind("INSERT INTO workspaces SELECT org_id, 'new', 'new', version, mounts, 'new', created_at, updated_at, " +
				"proof FROM workspaces")
		}, bctrl.AuditRecordAdded, false},
		{"a key of the attacker's added", func(p *place) {
			p.behind("INSERT INTO api_keys (id, org_id, hash, label, created_at) VALUES ('evil', 'org', x'00', '', 0)")
		}, bctrl.AuditRecordAdded, false},
	}
}

func TestWhatIsDoneBehindTheServersBackIsFound(t *testing.T) {
	for _, tc := range tamperings() {
		t.Run(tc.name, func(t *testing.T) { tc.isFound(t) })
	}
}

func (tc tampering) isFound(t *testing.T) {
	p := newPlace(t).filled()
	p.close()
	p.open() // for a second checkpoint
	p.set("org", "k0")
	p.close()
	require.True(t, p.verify().All().OK)
	tc.do(p)
	report := p.verify().All()
	require.False(t, report.OK)
	require.Equal(t, tc.kind, report.Problems[0].Kind, "%+v", report.Problems)
	err := p.tryOpen()
	require.Equal(t, tc.refused, err != nil, "starting: %v", err)
	if err == nil { // and what the server then signs does not hide it
		p.set("org", "k1")
		p.close()
		require.Contains(t, kinds(p.verify().All()), tc.kind)
	}
}

// TestTheLogIsProvenOnPostgreSQLToo runs a sample of what is tried on SQLite; at night all of it is, with
// BCTRL_TEST_DATABASE.
func TestTheLogIsProvenOnPostgreSQLToo(t *testing.T) {
	t.Setenv(storetest.Variable, "postgres")
	for _, tc := range tamperings() {
		switch tc.name {
		case "the body of an event edited", "edited, restamped, and the head outside removed",
			"a record put back to an older state":
			t.Run(tc.name, func(t *testing.T) { tc.isFound(t) })
		}
	}
	t.Run("put back", TestADatabasePutBackToAnOlderStateIsFoundAndRefused)
	t.Run("a crash", TestACrashLosesNoSignedEventAndTheRestIsSignedAfter)
}

func TestADatabasePutBackToAnOlderStateIsFoundAndRefused(t *testing.T) {
	p := newPlace(t).filled()
	p.close()
	old := filepath.Join(t.TempDir(), "old.db")
	p.copyTo(old)
	require.True(t, p.verify().All().OK)
	p.open()
	p.set("org", "k0")
	p.close()
	p.restore(old)
	require.Equal(t, []bctrl.AuditProblemKind{bctrl.AuditDatabaseOlder}, kinds(p.verify().All()))
	require.ErrorIs(t, p.tryOpen(), ErrOlder)
}

func TestADatabaseOfAnotherHistoryIsFoundAndRefused(t *testing.T) {
	p := newPlace(t).filled()
	p.close()
	old, head := filepath.Join(t.TempDir(), "old.db"), p.head
	p.copyTo(old)
	was, err := os.ReadFile(head)
	require.NoError(t, err)
	p.open()
	p.set("org", "k0")
	p.close()
	now, err := os.ReadFile(head)
	require.NoError(t, err)
	p.restore(old) // and go on from there, as long as it was
	require.NoError(t, os.WriteFile(head, was, 0o600))
	p.open()
	p.set("org", "k1")
	p.set("org", "k1")
	p.close()
	require.NoError(t, os.WriteFile(head, now, 0o600))
	require.Contains(t, kinds(p.verify().All()), bctrl.AuditDatabaseOlder)
	require.ErrorIs(t, p.tryOpen(), ErrOlder)
}

func TestAnotherKeyIsNamedAsSuch(t *testing.T) {
	p := newPlace(t).filled()
	p.close()
	other := newPlace(t)
	p.key = other.key
	require.ErrorContains(t, p.tryOpen(), "wrong key")
}

func TestAnOrganizationLearnsOfOthersProblemsOnlyThatThereAreSome(t *testing.T) {
	p := newPlace(t).filled()
	p.close()
	p.behind("UPDATE vault_entries SET version = 1 WHERE key = 'theirs'")
	report := p.verify()
	require.Equal(t, []bctrl.AuditProblemKind{bctrl.AuditRecordOlder}, kinds(report.For("other")))
	mine := report.For("org")
	require.False(t, mine.OK)
	require.Equal(t, []bctrl.AuditProblemKind{bctrl.AuditElsewhere}, kinds(mine))
	require.Zero(t, mine.Problems[0].Seq)
	require.NotContains(t, mine.Problems[0].Message+mine.Problems[0].Record, "theirs")
}

func TestAReportIsBounded(t *testing.T) {
	p := newPlace(t)
	for range 150 {
		p.set("org", "k")
	}
	p.close()
	p.behind("UPDATE audit_events SET at = at + 1")
	report := p.verify().All()
	require.Len(t, report.Problems, maxProblems)
	require.Greater(t, report.More, int64(40))
}

func TestACrashLosesNoSignedEventAndTheRestIsSignedAfter(t *testing.T) {
	p := newPlace(t).filled()
	// A crash: the store ends, and the notary does not get to sign.
	close(p.notary.stop)
	p.notary.done.Wait()
	require.NoError(t, p.store.Close())
	p.store = nil
	report := p.verify().All()
	require.True(t, report.OK, "%v", report.Problems)
	require.Less(t, report.Signed, report.Head.Seq)
	p.open()
	p.close()
	report = p.verify().All()
	require.True(t, report.OK)
	require.Equal(t, report.Head.Seq, report.Signed)
}

func TestAnUnsignedEndThatWasEditedIsNotSigned(t *testing.T) {
	p := newPlace(t).filled()
	close(p.notary.stop)
	p.notary.done.Wait()
	require.NoError(t, p.store.Close())
	p.store = nil
	p.behind("UPDATE audit_events SET body = replace(body, 'key:k', 'key:x') WHERE seq = 30")
	require.ErrorIs(t, p.tryOpen(), ErrOlder)
}

func TestTheNewestHeadIsOutsideWithinASecondOrSo(t *testing.T) {
	p := newPlace(t)
	p.set("org", "k")
	seq := p.store.Head().Seq
	require.Eventually(t, func() bool {
		c, _, err := readHead(p.Context(), HeadFile(p.head), signers{present: p.key})
		return err == nil && c.Seq >= seq
	}, 20*checkpointAge, checkpointAge/100)
	c, err := p.store.Read().NewestCheckpoint(t.Context())
	require.NoError(t, err)
	require.True(t, signedBy(p.key.Public(), c))
	require.False(t, signedBy(p.key.Public(), store.Checkpoint{
		Seq:       c.Seq,
		Head:      c.Head,
		Signature: c.Signature,
		At:        c.At,
		Previous:  c.Previous + 1,
	}))
}
