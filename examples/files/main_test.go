package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/bctrltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFilesArePutOnceListedAndLinkedTo(t *testing.T) {
	srv := bctrltest.New(t)
	files := srv.Client().Storage("examples")
	report := filepath.Join(t.TempDir(), "report.csv")
	require.NoError(t, os.WriteFile(report, []byte("deal,amount\nD-1,500\n"), 0o600))

	var out bytes.Buffer
	require.NoError(t, run(t.Context(), files, []string{report, report}, &out))
	require.Regexp(t, `(?m)^report\.csv +20 bytes +text/csv`, out.String())

	links := regexp.MustCompile(`http://\S+`).FindAllString(out.String(), -1)
	require.Len(t, links, 2)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, links[1], nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "deal,amount\nD-1,500\n", string(text), "without any key")
}
