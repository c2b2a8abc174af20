package command

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob/s3test"
)

func TestServeKeepsFilesInABucket(t *testing.T) {
	s3 := s3test.Start(t)
	s3.Setenv(t)
	dir := s3.Bucket(t, "files")
	p := newPlace(t)
	p.args = []string{"--files", s3.URL("files")}
	srv := p.start(t)
	_, err := srv.client(srv.firstKey).Storage("s").Upload(t.Context(), "report.txt", strings.NewReader("quarter"))
	require.NoError(t, err)
	key := srv.firstKey
	srv.terminate()
	require.NoDirExists(t, filepath.Join(p.data, "blobs"))
	stored, err := os.ReadDir(filepath.Join(dir, "blobs"))
	require.NoError(t, err)
	require.Len(t, stored, 1)

	srv = p.start(t)
	text, err := srv.client(key).Storage("s").Get(t.Context(), "report.txt")
	require.NoError(t, err)
	require.Equal(t, "quarter", string(text))
	srv.terminate()

	p.args = append(p.args, "--direct-links")
	srv = p.start(t)
	link, err := srv.client(key).Storage("s").DownloadURL(t.Context(), "report.txt", 0)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(link)
	require.NoError(t, err)
	text, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, s3.Endpoint, "http://"+resp.Request.URL.Host, "the bucket gave it")
	require.Equal(t, "quarter", string(text))
	require.Equal(t, `attachment; filename="report.txt"`, resp.Header.Get("Content-Disposition"))
	require.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Equal(t, "private, no-store", resp.Header.Get("Cache-Control"))
	require.Equal(t, "60", resp.Request.URL.Query().Get("X-Amz-Expires"))
	other := *resp.Request.URL
	query := other.Query()
	query.Set("response-content-disposition", "inline")
	other.RawQuery = query.Encode()
	resp, err = client.Get(other.String())
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode, "nobody has it shown in a browser")
	srv.terminate()
	for _, secret := range []string{s3.KeyID, s3.Secret} {
		require.False(t, strings.Contains(srv.stderr.String(), secret), "the log has a credential")
	}

	for _, c := range []struct {
		why   string
		files string
		env   []string
		says  string
		made  bool // whether the data directory is
	}{
		{why: "the bucket of others", files: s3.URL("files"), says: "another installation", made: true},
		{why: "no such bucket", files: s3.URL("nobodys"), says: "make it first"},
		{why: "another secret", files: s3.URL("files"), env: []string{"AWS_SECRET_ACCESS_KEY=hunter2"}, says: "403"},
		{why: "nobody there", files: "s3://files?region=x&endpoint=http://127.0.0.1:1", says: "refused"},
	} {
		p := newPlace(t)
		said := p.refused(t, []string{"--files", c.files}, c.env...)
		require.True(t, strings.Contains(said, c.says), c.why)
		require.Equal(t, 1, strings.Count(said, "\n"), "one line: %s", c.why)
		for _, secret := range []string{s3.KeyID, s3.Secret, "hunter2"} {
			require.False(t, strings.Contains(said, secret), c.why)
		}
		if !c.made {
			require.NoDirExists(t, p.data, c.why)
		}
	}
	for _, mistake := range []string{
		"BCTRL_FILES=s3://key:hunter2@files", "BCTRL_DIRECT_LINKS=hunter2", "BCTRL_DIRECT_LINKS=true",
	} {
		cmd := newPlace(t).command(t, mistake)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 2, cmd.ProcessState.ExitCode())
		require.False(t, strings.Contains(string(out), "hunter2"))
	}
}
