package audit

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

func TestTheLogGoesOnOverRotations(t *testing.T) {
	p := newPlace(t).filled()
	p.rotate()
	p.filled()
	head, err := os.ReadFile(p.head)
	require.NoError(t, err)
	p.rotate()
	require.NoError(t, os.WriteFile(p.head, head, 0o600)) // as a crash before the new key signs leaves it
	report := p.verify().All()
	require.True(t, report.OK, "%+v", report.Problems)
	p.set("org", "k0")
	p.close()
	p.open()
	p.set("org", "k1")
	p.close()
	report = p.verify().All()
	require.True(t, report.OK, "%+v", report.Problems)
	require.Equal(t, report.Head.Seq, report.Signed)
	require.EqualValues(t, p.key.Public(), report.PublicKey)
}

func TestAcceptingGoesOnFromWhatAFormerKeySigned(t *testing.T) {
	p := newPlace(t).filled()
	p.rotate()
	p.filled()
	p.close()
	require.NoError(t, os.Remove(p.head))
	db, err := storetest.Open(t.Context(), p.db, p.rows)
	require.NoError(t, err)
	require.NoError(t, Accept(t.Context(), NotaryConfig{DB: db, Key: p.key, Head: HeadFile(p.head)}, "lost"))
	require.NoError(t, db.Close())
	require.True(t, p.verify().All().OK)
	p.open()
}

// TestALogWithWhatIsNoTextIsWhole: nobody breaks the log by what an event says.
func TestALogWithWhatIsNoTextIsWhole(t *testing.T) {
	p := newPlace(t)
	for _, e := range []Event{
		{
			Org:    "org",
			Caller: "key:k",
			Action: "key.write",
			Object: "caf\xe9",
		},
		{
			Org:       "org",
			Caller:    "key:\xff",
			Action:    "\xc3",
			Object:    strings.Repeat("\xe9\xe9 ", maxObject),
			Workspace: "\xed\xa0\x80",
			Outcome:   "\xfe",
		},
	} {
		p.write(func(tx *store.Tx) error { return Append(tx, e) })
	}
	p.close()
	report := p.verify().All()
	require.True(t, report.OK, "%+v", report.Problems)
}

// TestWhoHasTheOldKeyForgesNothing lets somebody do what the key before the
// last rotation, and the database, make possible.
func TestWhoHasTheOldKeyForgesNothing(t *testing.T) {
	resign := func(p *place, old seal.Key) {
		db, err := storetest.Open(p.Context(), p.db, p.rows)
		require.NoError(p, err)
		var signed []store.Checkpoint
		for seq := int64(0); ; seq = signed[len(signed)-1].Seq {
			c, err := db.Read().NextCheckpoint(p.Context(), seq)
			if err != nil {
				break
			}
			c.Head, err = db.Read().HashAt(p.Context(), c.Seq)
			require.NoError(p, err)
			c.Signature, err = old.Sign(message(c))
			require.NoError(p, err)
			signed = append(signed, c)
		}
		require.NoError(p, db.Close())
		p.behind("DELETE FROM audit_checkpoints")
		db, err = storetest.Open(p.Context(), p.db, p.rows)
		require.NoError(p, err)
		for _, c := range signed {
			require.NoError(p, db.Write(p.Context(), func(tx *store.Tx) error { return tx.InsertCheckpoint(p.Context(), c) }))
		}
		require.NoError(p, db.Close())
	}
	for _, tc := range []struct {
		why  string
		do   func(p *place, old seal.Key)
		kind bctrl.AuditProblemKind
	}{
		{"an old event edited, and everything signed anew", func(p *place, old seal.Key) {
			p.behind(`UPDATE audit_events SET body = replace(body, 'key:k', 'key:x') WHERE seq = 7`)
			p.restamp()
			resign(p, old)
		}, bctrl.AuditRewritten},
		{"a new checkpoint signed", func(p *place, old seal.Key) { resign(p, old) }, bctrl.AuditCheckpointForged},
		{"a head outside signed", func(p *place, old seal.Key) {
			db, err := storetest.Open(p.Context(), p.db, p.rows)
			require.NoError(p, err)
			head := db.Head()
			require.NoError(p, db.Close())
			c := store.Checkpoint{Seq: head.Seq, Head: head.Hash, At: store.Now()}
			c.Signature, err = old.Sign(message(c))
			require.NoError(p, err)
			require.NoError(p, keepHead(p.Context(), p.head, old, c))
		}, bctrl.AuditHeadForged},
		{"the takeover removed", func(p *place, _ seal.Key) { p.behind("DELETE FROM seal_keys WHERE n = 2") },
			bctrl.AuditCheckpointForged},
		{"the takeover put off", func(p *place, _ seal.Key) { p.behind("UPDATE seal_keys SET seq = 1000 WHERE n = 2") },
			bctrl.AuditCheckpointForged},
		{"another key put before", func(p *place, _ seal.Key) {
			p.behind("UPDATE seal_keys SET public = zeroblob(32) WHERE n = 1")
		}, bctrl.AuditCheckpointForged},
	} {
		t.Run(tc.why, func(t *testing.T) {
			p := newPlace(t).filled()
			old := p.rotate()
			p.filled()
			p.close()
			require.True(t, p.verify().All().OK)
			tc.do(p, old)
			require.Contains(t, kinds(p.verify().All()), tc.kind)
		})
	}
}

// TestARowOfAKeyIsItsOwn edits what is told of each key, which the key signed.
func TestARowOfAKeyIsItsOwn(t *testing.T) {
	p := newPlace(t).filled()
	p.rotate()
	p.close()
	whole := filepath.Join(t.TempDir(), "whole.db")
	p.copyTo(whole)
	p.raw(p.teachAnother)
	for _, n := range []string{"1", "2"} {
		for _, column := range []string{"id", "public", "source", "derivation", "created_at", "seq", "head", "signature"} {
			p.restore(whole)
			require.True(t, p.verify().All().OK)
			p.behind("UPDATE seal_keys SET " + column + " = " + another(column) + " WHERE n = " + n)
			require.False(t, p.verify().All().OK, "%s of key %s", column, n)
		}
	}
}

// keepHead writes a head outside, signed or not.
func keepHead(ctx context.Context, path string, key seal.Key, c store.Checkpoint) error {
	_, err := writeHead(ctx, HeadFile(path), key, c, "")
	return err
}
