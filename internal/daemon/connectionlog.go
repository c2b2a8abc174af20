package daemon

import (
	"bytes"
	"log/slog"
)

// connectionLog takes what net/http has to say about connections. Its lines can
// quote what a caller sent, so none is repeated but that the listener fails,
// which the system says.
type connectionLog struct{ log *slog.Logger }

// Write implements [io.Writer].
func (c connectionLog) Write(line []byte) (int, error) {
	switch {
	case bytes.HasPrefix(line, []byte("http: Accept error:")):
		c.log.Error("no connection can be taken", "cause", string(bytes.TrimSpace(line)))
	default:
		c.log.Debug("a connection ended as HTTP does not have it")
	}
	return len(line), nil
}
