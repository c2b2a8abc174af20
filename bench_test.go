package bctrl

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a small call may cost against a fake transport.
const (
	maxAllocs = 45
	maxBytes  = 4 << 10
)

const smallAnswer = `{"id":"openai-prod","provider":"openai","label":"Production","enabled":true,` +
	`"createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z"}`

// instant answers from memory with as few allocations as an answer can have.
type instant struct{ body string }

func (i instant) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body) // a request that is not read cannot fail here
		r.Body.Close()
	}
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{},
		Request:       r,
		ContentLength: int64(len(i.body)),
		Body:          io.NopCloser(bytes.NewReader([]byte(i.body))),
	}, nil
}

// smallCalls are a read and a mutation.
func smallCalls(t testing.TB) map[string]func() error {
	t.Helper()
	c := clientOn(t, instant{smallAnswer})
	return map[string]func() error{
		"read": func() error {
			_, err := c.AICredentials.Get(t.Context(), "openai-prod")
			return err
		},
		"mutation": func() error {
			_, err := c.Profiles.Create(t.Context(), BrowserProfileCreate{ID: "sf-bot"})
			return err
		},
	}
}

// TestASmallCallStaysSmall holds the SDK to its budget.
func TestASmallCallStaysSmall(t *testing.T) {
	for name, call := range smallCalls(t) {
		const runs = 500
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		allocs := testing.AllocsPerRun(runs, func() {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		})
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, allocs, float64(maxAllocs), name)
		require.LessOrEqual(t, (after.TotalAlloc-before.TotalAlloc)/runs, uint64(maxBytes), name)
	}
}

func BenchmarkSmallCall(b *testing.B) {
	for name, call := range smallCalls(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSmallCallNetHTTP is the same call by hand, for comparison.
func BenchmarkSmallCallNetHTTP(b *testing.B) {
	hc := &http.Client{Transport: instant{smallAnswer}}
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet,
			"https://api.example.test/v1/ai-credentials/openai-prod", nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testKey)
		req.Header.Set("User-Agent", "bench")
		resp, err := hc.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		var out AICredential
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		cancel()
	}
}
