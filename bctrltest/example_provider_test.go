package bctrltest_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// The code under test calls OpenAI as it always does; in the test a handler
// answers in its place.
func ExampleWithProvider() {
	openai := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer sk-made-up" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"Hello."}}]}`)
	})
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t, bctrltest.WithProvider("api.openai.com", openai))
		client, ctx := srv.Client(), t.Context()
		// A secret with the name that the provider's has is its credential.
		_, err := client.Secrets.Create(ctx, bctrl.SecretCreate{
			Name: "OPENAI_API_KEY", Value: bctrl.NewSecret("sk-made-up"), Scope: bctrl.Global(),
		})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Capabilities.Invoke(ctx, bctrl.Invocation{
			Capability: "openai/chat-completions", Body: map[string]any{"model": "gpt-5.6-terra", "messages": []any{}},
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(answer.Status, string(answer.Body))
	})
	// Output: 200 {"choices":[{"message":{"content":"Hello."}}]}
}
