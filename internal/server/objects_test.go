package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// post uploads a form. fields come as names and values; the one named file is
// the file.
func (h *harness) post(fields []string, headers ...string) answer {
	h.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "file" {
			part, err := w.CreatePart(textproto.MIMEHeader{
				"Content-Disposition": {`form-data; name="file"; filename="../../etc/passwd"`}, "Content-Type": {"text/csv"},
			})
			require.NoError(h, err)
			_, err = part.Write([]byte(fields[i+1]))
			require.NoError(h, err)
			continue
		}
		require.NoError(h, w.WriteField(fields[i], fields[i+1]))
	}
	require.NoError(h, w.Close())
	return h.send("POST", target([]string{"storage", "objects"}, nil), &body,
		append([]string{"Authorization", "Bearer " + h.key, "Content-Type", w.FormDataContentType()}, headers...)...)
}

func TestAFormStoresAFileWithWhereItCameFrom(t *testing.T) {
	h := newHarness(t)
	runtime := web.NewID()
	o := h.storedObject(h.post([]string{
		"workspace", "sales", "path", "exports/q1.csv", "source", "download", "runtimeId", runtime, "driver", "stagehand",
		"target", "https://crm.example/export", "filename", "Q1 report.csv", "file", "a,b\n",
	}))
	require.Equal(t, bctrl.StorageObject{
		ID:          o.ID,
		Workspace:   "sales",
		LogicalPath: "exports/q1.csv",
		ObjectKey:   "sales/exports/q1.csv",
		Filename:    "Q1 report.csv",
		SizeBytes:   4,
		ContentType: "text/csv",
		SHA256:      o.SHA256,
		Source:      bctrl.SourceDownload,
		RuntimeID:   runtime,
		Driver:      bctrl.DriverStagehand,
		Target:      "https://crm.example/export",
		ETag:        o.ETag,
		CreatedAt:   o.CreatedAt,
	}, o)
	got := h.do("GET", []string{"storage", "objects", o.ID}, nil, nil)
	require.Equal(t, o, h.storedObject(got))
	require.Equal(t, "a,b\n", string(h.do("GET", file("sales", "exports/q1.csv"), nil, nil).Body))
	require.Equal(t, 200, h.do("DELETE", []string{"storage", "objects", o.ID}, nil, nil).Status)
	require.Equal(t, 404, h.do("DELETE", []string{"storage", "objects", o.ID}, nil, nil).Status)
	require.Zero(t, h.kept())
}

func TestAFormIsSentOnceWhateverItsBoundary(t *testing.T) {
	h := newHarness(t)
	fields := []string{"workspace", "s", "path", "f", "file", "x"}
	first := h.post(fields, "Idempotency-Key", "k")
	again := h.post(fields, "Idempotency-Key", "k") // multipart.NewWriter draws another boundary
	require.Equal(t, h.storedObject(first), h.storedObject(again))
}

func TestAFormThatIsNoneStoresNothing(t *testing.T) {
	h := newHarness(t)
	for _, tc := range []struct {
		why    string
		fields []string
		code   string
	}{
		{"no file", []string{"workspace", "s", "path", "f"}, "storage.file_missing"},
		{"no path", []string{"workspace", "s", "file", "x"}, "storage.field_missing"},
		{"no workspace", []string{"path", "f", "file", "x"}, "storage.field_missing"},
		{"the path comes too late", []string{"workspace", "s", "file", "x", "path", "f"}, "storage.field_missing"},
		{"a field after the file", []string{"workspace", "s", "path", "f", "file", "x", "target", "t"},
			"storage.field_after_file"},
		{"two files", []string{"workspace", "s", "path", "f", "file", "x", "file", "y"}, "storage.field_after_file"},
		{"a field twice", []string{"workspace", "s", "workspace", "t", "path", "f", "file", "x"}, "storage.repeated_field"},
		{"an unknown field", []string{"workspace", "s", "path", "f", "expires", "1", "file", "x"}, "storage.unknown_field"},
		{"a long field", []string{"workspace", "s", "path", strings.Repeat("f", 5000), "file", "x"}, "storage.long_field"},
		{"a path that is none", []string{"workspace", "s", "path", "../f", "file", "x"}, "storage.invalid_path"},
		{"a name with a folder", []string{"workspace", "s", "path", "f", "filename", "a/b", "file", "x"},
			"storage.invalid_filename"},
		{"a name that breaks headers", []string{"workspace", "s", "path", "f", "filename", "a\r\nb", "file", "x"},
			"storage.invalid_filename"},
		{"an unknown source", []string{"workspace", "s", "path", "f", "source", "elsewhere", "file", "x"},
			"storage.invalid_source"},
		{"a runtime that is none", []string{"workspace", "s", "path", "f", "runtimeId", "me", "file", "x"},
			"storage.invalid_runtime"},
	} {
		got := h.post(tc.fields)
		require.Equal(t, 400, got.Status, tc.why)
		require.Equal(t, tc.code, got.code(), tc.why)
	}
	require.Equal(t, 400, h.do("POST", []string{"storage", "objects"}, nil, object{"path": "f"}).Status)

	whole := "--b\r\nContent-Disposition: form-data; name=\"workspace\"\r\n\r\ns\r\n--b\r\nContent-Disposition: " +
		"form-data; name=\"path\"\r\n\r\nf\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\ncontent\r\n--b--\r\n"
	post := func(body string) int {
		return h.send("POST", "/v1/storage/objects", strings.NewReader(body), "Authorization", "Bearer "+h.key,
			"Content-Type", "multipart/form-data; boundary=b").Status
	}
	for cut := 0; cut < len(whole)-len("--\r\n"); cut += 7 {
		require.GreaterOrEqual(t, post(whole[:cut]), 400, "cut short at %d", cut)
	}
	require.Zero(t, h.kept())
	require.Equal(t, 200, post(whole))
}

func TestARuntimePostsAsItselfAlone(t *testing.T) {
	h := newHarness(t)
	rt := h.launch(h.workspace("sales", sales()), "crm", nil)
	o := h.storedObject(h.post([]string{"path", "f", "file", "x"}, as(rt)...))
	require.Equal(t, "sales-exports", o.Workspace, "its own namespace, unnamed")
	require.Equal(t, rt.ID, o.RuntimeID)
	require.Equal(t, 403, h.post([]string{"workspace", "hr", "path", "f", "file", "x"}, as(rt)...).Status)
	other := h.post([]string{"path", "f", "runtimeId", web.NewID(), "file", "x"}, as(rt)...)
	require.Equal(t, 403, other.Status)
	require.Equal(t, "storage.context_mismatch", other.code())
}

// catalog lists all pages of the catalog.
func (h *harness) catalog(q url.Values, headers ...string) (keys []string) {
	h.Helper()
	for {
		got := h.do("GET", []string{"storage", "objects"}, q, nil, headers...)
		require.Equal(h, http.StatusOK, got.Status, "%s", got.Body)
		var page struct {
			Objects    []bctrl.StorageObject
			NextCursor *string
		}
		require.NoError(h, json.Unmarshal(got.Body, &page))
		for _, o := range page.Objects {
			keys = append(keys, o.ObjectKey)
		}
		if page.NextCursor == nil {
			return keys
		}
		q.Set("cursor", *page.NextCursor)
		q.Del("offset")
	}
}

func TestTheCatalogIsFilteredByWhatIsKnown(t *testing.T) {
	h := newHarness(t)
	rt := web.NewID()
	for _, f := range [][]string{
		{"workspace", "a", "path", "x/1"},
		{"workspace", "a", "path", "x/2", "source", "download", "runtimeId", rt, "driver", "stagehand", "target", "t"},
		{"workspace", "a", "path", "x0", "source", "screenshot", "runtimeId", rt, "driver", "puppeteer"},
		{"workspace", "b", "path", "x/1", "runtimeId", rt},
		{"workspace", "b", "path", "y"},
	} {
		h.storedObject(h.post(append(f, "file", "x")))
	}
	for _, tc := range []struct {
		q    string
		want []string
	}{
		{"", []string{"a/x/1", "a/x/2", "a/x0", "b/x/1", "b/y"}},
		{"workspace=a", []string{"a/x/1", "a/x/2", "a/x0"}},
		{"workspace=c", nil},
		{"runtimeId=" + rt, []string{"a/x/2", "a/x0", "b/x/1"}},
		{"workspace=a&runtimeId=" + rt, []string{"a/x/2", "a/x0"}},
		{"source=download", []string{"a/x/2"}},
		{"driver=puppeteer", []string{"a/x0"}},
		{"target=t", []string{"a/x/2"}},
		{"pathPrefix=x/", []string{"a/x/1", "a/x/2", "b/x/1"}},
		{"pathPrefix=x&workspace=a", []string{"a/x/1", "a/x/2", "a/x0"}},
		{"offset=3", []string{"b/x/1", "b/y"}},
		{"offset=1&workspace=a&pathPrefix=x/", []string{"a/x/2"}},
		{"offset=9", nil},
	} {
		for _, limit := range []string{"1", "2", "50"} {
			q, err := url.ParseQuery(tc.q)
			require.NoError(t, err)
			q.Set("limit", limit)
			require.Equal(t, tc.want, h.catalog(q), "%s by %s", tc.q, limit)
		}
	}
	for _, q := range []string{"workspace=", "runtimeId=", "offset=-1", "pathPrefix=//", "workspace=a/b", "path=x"} {
		values, err := url.ParseQuery(q)
		require.NoError(t, err)
		require.Equal(t, 400, h.do("GET", []string{"storage", "objects"}, values, nil).Status, q)
	}
	caller := h.launch(h.workspace("w", bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "b"}}), "r", nil)
	require.Equal(t, []string{"b/x/1", "b/y"}, h.catalog(url.Values{}, as(caller)...), "its own namespace")
	require.Equal(t, 403, h.do("GET", []string{"storage", "objects"}, url.Values{"workspace": {"a"}}, nil,
		as(caller)...).Status)
}

func TestWhatTheServerKeepsNeverOverwrites(t *testing.T) {
	h := newHarness(t)
	keep := func(path string) string {
		t.Helper()
		o, err := h.server.files.Put(t.Context(), h.org(), files.Incoming{
			Namespace: "s",
			Path:      path,
			Filename:  "report.csv",
			Source:    bctrl.SourceDownload,
			Unique:    true,
		}, strings.NewReader("x"), audit.Event{Org: h.org(), Caller: "server", Action: string(bctrl.PutStorage)})
		require.NoError(t, err)
		require.Equal(t, "report.csv", o.Filename)
		return o.LogicalPath
	}
	require.Equal(t, "d/report.csv", keep("d/report.csv"))
	for n := 2; n < 12; n++ {
		require.Equal(t, fmt.Sprintf("d/report (%d).csv", n), keep("d/report.csv"))
	}
	require.Equal(t, "d/.profile", keep("d/.profile"))
	require.Equal(t, "d/.profile (2)", keep("d/.profile"))
	require.Equal(t, 13, h.kept())
	_, err := h.server.files.Put(t.Context(), h.org(), files.Incoming{Namespace: "s", Path: "../x",
		Source: bctrl.SourceDownload}, strings.NewReader("x"), audit.Event{})
	require.Error(t, err)
}
