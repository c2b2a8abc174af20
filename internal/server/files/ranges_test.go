package files

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/store"
)

// countedFile counts what is read of a file.
type countedFile struct {
	*bytes.Reader
	read int64
}

func (f *countedFile) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	f.read += int64(n)
	return n, err
}

// ranged asks for ranges of a file. Of a refusal the status is zero.
func ranged(t require.TestingT, content []byte, headers ...string) (answer *httptest.ResponseRecorder, read int64) {
	o := store.Object{ID: "o", SizeBytes: int64(len(content)), ContentType: "text/plain"}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	f, w := &countedFile{Reader: bytes.NewReader(content)}, httptest.NewRecorder()
	w.Code = 0
	if err := (&Service{}).serveContent(w, r, o, f); err != nil {
		require.ErrorContains(t, err, "storage.invalid_range")
		require.Equal(t, fmt.Sprintf("bytes */%d", len(content)), w.Header().Get("Content-Range"))
	}
	return w, f.read
}

// TestRangesAreThoseOfTheRFC compares with what RFC 9110 §14.1.2 says of one range after the other.
func TestRangesAreThoseOfTheRFC(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		content := []byte("0123456789"[:rapid.IntRange(0, 10).Draw(rt, "size")])
		var specs []string
		var want []string // each with its bytes
		malformed, allOfNone := false, false
		number := rapid.OneOf(rapid.Uint64Range(0, 11), rapid.Uint64Range(0, math.MaxInt64))
		end := rapid.OneOf(number, rapid.Uint64())
		for range rapid.IntRange(1, 4).Draw(rt, "ranges") {
			first, last, size := number.Draw(rt, "first"), end.Draw(rt, "last"), uint64(len(content))
			spec := ""
			switch rapid.SampledFrom([]string{"from to", "from", "last", "nothing", "none"}).Draw(rt, "kind") {
			case "from to":
				spec, malformed = fmt.Sprintf("%d-%d", first, last), malformed || last < first
			case "from":
				spec, last = fmt.Sprintf("%d-", first), size
			case "last":
				spec = fmt.Sprintf("-%d", last)
				first, last = size-min(last, size), size
				if spec == "-0" {
					first = size + 1
				}
			case "nothing":
				specs = append(specs, rapid.SampledFrom([]string{"", " "}).Draw(rt, "empty"))
				continue
			case "none":
				specs, malformed = append(specs, rapid.SampledFrom([]string{
					"a", "-", "+1-2", "1", "1-2-3", "--1", "0x1-2", "1 - 2",
				}).Draw(rt, "malformed")), true
				continue
			}
			specs = append(specs, rapid.SampledFrom([]string{"", " ", "\t"}).Draw(rt, "before")+spec)
			switch {
			case malformed:
			case first < size:
				last = min(last, size-1)
				want = append(want, fmt.Sprintf("bytes %d-%d/%d %s", first, last, size, content[first:last+1]))
			case size == 0 && first == 0:
				allOfNone = true
			}
		}
		sum := 0
		for _, part := range want {
			sum += len(strings.Fields(part)[2])
		}
		unit := rapid.SampledFrom([]string{"bytes=", "Bytes="}).Draw(rt, "unit")
		header := []string{"Range", unit + strings.Join(specs, ",")}
		if rapid.Bool().Draw(rt, "of this version") {
			header = append(header, "If-Range", `"o"`)
		}
		w, read := ranged(rt, content, header...)
		switch {
		case malformed, len(want) == 0 && !allOfNone:
			require.Zero(rt, w.Code)
			require.Zero(rt, read, "of a file that is not given")
		case len(want) == 0, sum > len(content): // more than all of it
			require.Equal(rt, http.StatusOK, w.Code)
			require.Equal(rt, string(content), w.Body.String())
		default:
			require.Equal(rt, http.StatusPartialContent, w.Code)
			require.Equal(rt, want, partsOf(rt, w))
			require.EqualValues(rt, sum, read)
		}
	})
}

// partsOf are the ranges of an answer, each with its bytes.
func partsOf(t require.TestingT, w *httptest.ResponseRecorder) (parts []string) {
	mediaType, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	require.NoError(t, err)
	if mediaType != "multipart/byteranges" {
		return []string{w.Header().Get("Content-Range") + " " + w.Body.String()}
	}
	r := multipart.NewReader(w.Body, params["boundary"])
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			return parts
		}
		require.NoError(t, err)
		content, err := io.ReadAll(part)
		require.NoError(t, err)
		parts = append(parts, part.Header.Get("Content-Range")+" "+string(content))
	}
}

func TestARangeThatIsNotServedIsIgnored(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 200)
	many := func(n int) string { return "bytes=" + strings.Repeat("0-0,", n-1) + "0-0" }
	for why, tc := range map[string]struct {
		headers []string
		code    int
	}{
		"another unit":           {[]string{"Range", "lines=1-2"}, 200},
		"no unit":                {[]string{"Range", "bytes"}, 200},
		"none":                   {[]string{"Range", ""}, 200},
		"another version":        {[]string{"Range", "bytes=-0", "If-Range", `"other"`}, 200},
		"a version that is weak": {[]string{"Range", "bytes=0-1", "If-Range", `W/"o"`}, 200},
		"no version":             {[]string{"Range", "bytes=0-1", "If-Range", ""}, 200},
		"a date":                 {[]string{"Range", "bytes=0-1", "If-Range", "Tue, 15 Nov 1994 12:45:26 GMT"}, 200},
		"as many as are served":  {[]string{"Range", many(maxServed)}, 206},
		"more than are served":   {[]string{"Range", many(maxServed + 1)}, 200},
	} {
		w, _ := ranged(t, content, tc.headers...)
		assert.Equal(t, tc.code, w.Code, why)
	}
}

// maxServed is how many ranges are served at once: the bucket has a request for each.
const maxServed = 100
