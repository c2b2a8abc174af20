package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store"
)

func (h *harness) uploadOf(path string, headers ...string) []string {
	lines := append([]string{"PUT " + target(file("s", path), nil) + " HTTP/1.1", "Host: x",
		"Authorization: Bearer " + h.key}, headers...)
	return append(lines, "", "")
}

func TestAnUploadThatBreaksOffLeavesNothingAndCanBeRepeated(t *testing.T) {
	for name, headers := range map[string][]string{
		"shorter than declared":   {"Content-Length: 1000"},
		"a chunk that never ends": {"Transfer-Encoding: chunked"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			srv := h.live()
			h.stored("s", "f", "old")
			conn, _ := h.dial(srv, h.uploadOf("f", append(headers, "Idempotency-Key: k")...)...)
			_, err := io.WriteString(conn, "5\r\nhello\r\n")
			require.NoError(t, err)
			h.settled(func() bool { return h.kept() == 1+h.begun() }, "the upload has begun")
			require.NoError(t, conn.Close())
			h.settled(func() bool { return h.kept() == 1 }, "its bytes are gone")
			require.Equal(t, "old", string(h.do("GET", file("s", "f"), nil, nil).Body))

			h.settled(func() bool { // the first attempt may still be being refused
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, srv.URL+target(file("s", "f"), nil), nil)
				require.NoError(t, err)
				req.Header = http.Header{"Authorization": {"Bearer " + h.key}, "Idempotency-Key": {"k"}}
				body := "hello"
				req.Body = io.NopCloser(strings.NewReader(body))
				if req.ContentLength = -1; strings.HasPrefix(headers[0], "Content-Length") {
					body = strings.Repeat("h", 1000)
					req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), 1000
				}
				resp, err := srv.Client().Do(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				require.Contains(t, []int{200, 409}, resp.StatusCode)
				return resp.StatusCode == http.StatusOK
			}, "the same upload again is not answered with the failure of the first")
		})
	}
}

func TestARefusalComesBeforeTheBody(t *testing.T) {
	h := newHarness(t)
	srv := h.live()
	h.stored("s", "f", "old")
	expect := []string{"Expect: 100-continue", "Content-Length: 5"}
	for why, tc := range map[string]struct {
		status int
		lines  []string
	}{
		"no key": {401, []string{"PUT " + target(file("s", "g"), nil) + " HTTP/1.1", "Host: x", expect[0], expect[1], "",
			""}},
		"no path":   {400, h.uploadOf("a//b", expect...)},
		"stale":     {412, h.uploadOf("f", append(expect, `If-Match: "x"`)...)},
		"exists":    {412, h.uploadOf("f", append(expect, "If-None-Match: *")...)},
		"too large": {413, h.uploadOf("g", "Expect: 100-continue", fmt.Sprint("Content-Length: ", int64(5<<30)+1))},
		"JSON too": {413, []string{
			"PUT /v1/vault/k HTTP/1.1", "Host: x", "Authorization: Bearer " +
				h.key, "Content-Type: application/json", expect[0], "Content-Length: 1048577", "", "",
		}},
		"no such type": {400, h.uploadOf("g", append(expect, "Content-Type: html")...)},
		"welcome":      {100, h.uploadOf("g", expect...)},
	} {
		conn, r := h.dial(srv, tc.lines...)
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(tc.status), strings.Fields(line)[1], why)
		if tc.status != 100 {
			continue
		}
		_, err = r.ReadString('\n')
		require.NoError(t, err)
		_, err = io.WriteString(conn, "hello")
		require.NoError(t, err)
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	}
}

func TestConcurrentWritersLoseAndLeakNothing(t *testing.T) {
	h := newHarness(t)
	srv := h.live()
	do := func(method, path, content string, headers ...string) (int, []byte, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+target(file("s", path), nil),
			strings.NewReader(content))
		if err != nil {
			t.Error(err)
			return 0, nil, nil
		}
		req.Header.Set("Authorization", "Bearer "+h.key)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Error(err)
			return 0, nil, nil
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		return resp.StatusCode, body, resp.Header
	}
	var work sync.WaitGroup
	for w := range 6 {
		work.Go(func() {
			for i := range 10 {
				path := fmt.Sprint("d/", i%2)
				switch w {
				case 0:
					status, _, _ := do("DELETE", path, "")
					assert.Contains(t, []int{200, 404}, status)
				case 1, 2: // a reader sees one version, whole
					status, body, header := do("GET", path, "")
					if status == 404 {
						continue
					}
					assert.Equal(t, 200, status, "%s", body)
					sum := sha256.Sum256(body)
					assert.Equal(t, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":", header.Get("Repr-Digest"))
				default:
					status, body, _ := do("PUT", path, strings.Repeat(fmt.Sprint(w), 1000*w+i))
					assert.Equal(t, 200, status, "%s", body)
				}
			}
		})
	}
	var made [8]int
	for i := range made {
		work.Go(func() { made[i], _, _ = do("PUT", "once", "x", "If-None-Match", "*") })
	}
	work.Wait()
	wins := 0
	for _, status := range made {
		require.Contains(t, []int{200, 412}, status)
		if status == 200 {
			wins++
		}
	}
	require.Equal(t, 1, wins, "one of those that all wanted to be the first")

	org := h.org()
	files, err := h.db.Read().Files(t.Context(), org, "s", store.PathRange{Limit: 100})
	require.NoError(t, err)
	require.Equal(t, len(files), h.kept(), "as many bytes on the disk as files")
	usage, err := h.db.Read().StorageUsage(t.Context(), org, "s")
	require.NoError(t, err)
	require.EqualValues(t, len(files), usage.FileCount)
	for _, f := range files {
		usage.TotalBytes -= f.SizeBytes
	}
	require.Zero(t, usage.TotalBytes)
}

func TestASweepRemovesOrphansThatAreOldAndNothingElse(t *testing.T) {
	h := newHarness(t)
	h.stored("s", "f", "kept")
	orphan, err := h.blobs.Put(t.Context(), strings.NewReader("orphan"), 0)
	require.NoError(t, err)
	require.NoError(t, h.server.Sweep(t.Context()))
	require.Equal(t, 2, h.kept(), "one that was stored just now may be about to have its row")
	long := time.Now().Add(-2 * time.Hour)
	for _, name := range h.bytesKept() {
		require.NoError(t, os.Chtimes(name, long, long))
	}
	require.NoError(t, h.server.Sweep(t.Context()))
	require.Equal(t, 1, h.kept())
	_, _, err = h.blobs.Open(t.Context(), orphan)
	require.Error(t, err)
	require.Equal(t, "kept", string(h.do("GET", file("s", "f"), nil, nil).Body))
}

func TestLostBytesAreSaidToBeLost(t *testing.T) {
	h := newHarness(t)
	h.stored("s", "f", "x")
	require.NoError(t, os.RemoveAll(h.bytesDir()))
	got := h.do("GET", file("s", "f"), nil, nil)
	require.Equal(t, 500, got.Status)
	require.Equal(t, "storage.lost", got.code())
}

// TestAPartOfAFileIsNotGivenForTheWhole is of a disk that kept a part, as after a repair. Of a bucket the store
// itself compares.
func TestAPartOfAFileIsNotGivenForTheWhole(t *testing.T) {
	if os.Getenv(filesInBucket) != "" {
		return
	}
	h := newHarness(t)
	h.stored("s", "f", "content")
	link := h.linkTo("s", "f", "60000")
	for _, size := range []int64{0, 3, 8} {
		require.NoError(t, os.Truncate(h.bytesKept()[0], size))
		for _, got := range []answer{
			h.do("GET", file("s", "f"), nil, nil), h.do("GET", file("s", "f"), nil, nil, "Range", "bytes=1-2"),
			h.do("HEAD", file("s", "f"), nil, nil), h.visit(link),
		} {
			require.Equal(t, 500, got.Status, "%d bytes: %s", size, got.Body)
		}
		require.Equal(t, "storage.lost", h.do("GET", file("s", "f"), nil, nil).code())
	}
}

func TestAnUploadThatCannotBeRecordedIsDropped(t *testing.T) {
	h := newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(strings.NewReader("content"), readFunc(func([]byte) (int, error) {
		cancel() // once all was read, and before it is recorded
		return 0, io.EOF
	}))
	req := httptest.NewRequestWithContext(ctx, "PUT", target(file("s", "f"), nil), body)
	req.Header.Set("Authorization", "Bearer "+h.key)
	rec := httptest.NewRecorder()
	h.server.ServeHTTP(rec, req)
	require.NotEqual(t, 200, rec.Code)
	require.Zero(t, h.kept())
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// sendfile is a response writer that, as net/http's does, is handed files whole.
type sendfile struct {
	*httptest.ResponseRecorder
	file bool
}

func (k *sendfile) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if ok {
		_, k.file = limited.R.(*os.File)
	}
	return io.Copy(k.Body, r)
}

func TestAFileIsHandedToTheKernelWhole(t *testing.T) {
	h := newHarness(t)
	content := bytes.Repeat([]byte("x"), 1<<20)
	h.stored("s", "f", string(content))
	req := httptest.NewRequestWithContext(t.Context(), "GET", target(file("s", "f"), nil), nil)
	req.Header.Set("Authorization", "Bearer "+h.key)
	k := &sendfile{ResponseRecorder: httptest.NewRecorder()}
	h.server.ServeHTTP(k, req)
	require.True(t, k.file, "sendfile(2) needs the file itself")
	require.Equal(t, content, k.Body.Bytes())
}
