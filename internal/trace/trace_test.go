package trace

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// told is a tracer that remembers the codes with which its spans ended.
type told struct{ codes *[]string }

func (t told) Start(ctx context.Context, _ string, _ Kind, _ string) (context.Context, Recording) {
	return ctx, t
}

func (told) Text(Key, string)    {}
func (told) Number(Key, int)     {}
func (t told) End(code string)   { *t.codes = append(*t.codes, code) }
func (told) Traceparent() string { return "00-1-2-01" }

func TestOfAnErrorTheCodeAloneIsTold(t *testing.T) {
	for _, tc := range []struct {
		why, want string
		err       error
	}{
		{"it went well", "", nil},
		{"a refusal", "vault.not_found", fmt.Errorf("canary: %w", &bctrl.Error{Code: "vault.not_found", Message: "canary"})},
		{"the caller left", "canceled", fmt.Errorf("canary: %w", context.Canceled)},
		{"no time is left", "deadline_exceeded", fmt.Errorf("canary: %w", context.DeadlineExceeded)},
		{"anything else may quote a value", "error", errors.New("canary")},
		{"an answer that is no error of ours", "error", &bctrl.Error{Message: "canary"}},
	} {
		var codes []string
		_, span := Begin(t.Context(), told{&codes}, "GET /", Server, "")
		span.End(tc.err)
		require.Equal(t, []string{tc.want}, codes, tc.why)
	}
}

func TestASpanIsFoundByWhatBelongsToIt(t *testing.T) {
	var codes []string
	ctx, above := Begin(t.Context(), told{&codes}, "GET /", Server, "")
	require.Same(t, above, Of(ctx))
	below, span := Start(ctx, Write, Internal)
	require.Same(t, span, Of(below))
	require.NotSame(t, above, span)
	require.Same(t, above, Of(ctx), "what belongs to the one above")
	span.EndWith("ours")
	require.Equal(t, []string{"ours"}, codes)
	require.Equal(t, "00-1-2-01", span.Traceparent())
}

// TestWithoutATracerNothingIsMade: every request goes through here.
func TestWithoutATracerNothingIsMade(t *testing.T) {
	ctx, span := Begin(t.Context(), nil, "GET /", Server, "")
	require.Nil(t, span)
	require.Zero(t, testing.AllocsPerRun(100, func() { untraced(ctx) }))
}

// untraced is what a part of a request does for its span.
func untraced(ctx context.Context) {
	ctx, span := Start(ctx, Call, Client)
	span.Text(Provider, "openai")
	span.Number(Status, 200)
	_ = Of(ctx).Traceparent()
	span.End(nil)
}

// BenchmarkUntraced is what a part of a request costs in a server without a tracer, at the depth that contexts
// have there.
func BenchmarkUntraced(b *testing.B) {
	type key int
	ctx := b.Context()
	for i := range 12 {
		ctx = context.WithValue(ctx, key(i), i)
	}
	b.ReportAllocs()
	for b.Loop() {
		untraced(ctx)
	}
}
