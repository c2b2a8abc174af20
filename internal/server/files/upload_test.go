package files

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// deadlines is a connection that notes until when it may be read.
type deadlines struct {
	http.ResponseWriter
	until time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.until = t
	return nil
}

func TestAnUploadThatStandsStillIsGivenUp(t *testing.T) {
	conn := &deadlines{}
	body := newUpload(t.Context(), conn, strings.NewReader("content"))
	_, err := body.Read(make([]byte, 7))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(maxStandstill), conn.until, 10*time.Second,
		"each read has a minute of its own")
	_, err = body.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.Zero(t, conn.until, "what follows the body has all the time it needs")
	_, err = newUpload(t.Context(), conn, iotest.ErrReader(os.ErrDeadlineExceeded)).Read(make([]byte, 1))
	require.ErrorContains(t, err, "storage.incomplete_upload")
}
