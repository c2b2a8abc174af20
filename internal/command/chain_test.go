package command

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to look at the log without the server's own code
)

// checkAudit recomputes the hash chain from the database of a server that is
// dead, and requires an event for every acknowledged call. It returns how many
// events there are.
func checkAudit(t *testing.T, p place, callers []*caller) int {
	t.Helper()
	driver, at := "sqlite", filepath.Join(p.data, "bctrl.db")
	if p.database != "" {
		driver, at = "pgx", p.database
	}
	db, err := sql.Open(driver, at)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	rows, err := db.QueryContext(t.Context(), "SELECT seq, at, org_id, body, hash FROM audit_events ORDER BY seq")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()

	recorded := map[string]bool{}
	head := make([]byte, sha256.Size)
	count := 0
	for rows.Next() {
		var seq int
		var at int64
		var org string
		var body, hash []byte
		require.NoError(t, rows.Scan(&seq, &at, &org, &body, &hash))
		count++
		require.Equal(t, count, seq, "the log has a gap")
		head = chained(head, uint64(seq), uint64(at), org, body)
		require.True(t, bytes.Equal(head, hash), "the chain breaks at event %d", seq)

		var event struct{ RequestID, Outcome string }
		require.NoError(t, json.Unmarshal(body, &event))
		if event.Outcome == "ok" {
			recorded[event.RequestID] = true
		}
	}
	require.NoError(t, rows.Err())
	for _, c := range callers {
		for _, ids := range c.recorded {
			found := false
			for _, id := range ids {
				found = found || recorded[id]
			}
			require.True(t, found, "an acknowledged call is not in the log: %v", ids)
		}
	}
	return count
}

// chained is the hash of an event as the format has it: SHA-256 over the hash
// before it, number and time in eight bytes each, and organization and body,
// each after its length in eight bytes.
func chained(before []byte, seq, at uint64, org string, body []byte) []byte {
	b := binary.BigEndian.AppendUint64(bytes.Clone(before), seq)
	b = binary.BigEndian.AppendUint64(b, at)
	for _, part := range [][]byte{[]byte(org), body} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
