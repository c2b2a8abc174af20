package bctrl_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/bctrl-go/bctrl"
)

func ExampleNew() {
	client, err := bctrl.New(
		bctrl.WithAPIKey(bctrl.NewSecret("key")),   // BCTRL_API_KEY otherwise
		bctrl.WithBaseURL("http://127.0.0.1:8787"), // BCTRL_BASE_URL otherwise
	)
	fmt.Println(client, err)
	// Output: bctrl.Client{http://127.0.0.1:8787} <nil>
}

func ExampleNew_problems() {
	_, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret("two words")), bctrl.WithBaseURL("http://example.com"),
		bctrl.WithMaxRetries(-1))
	fmt.Println(err)
	// Output:
	// bctrl: client.invalid_api_key: the API key holds a space, a control or a non-ASCII character field APIKey
	// bctrl: client.insecure_base_url: the API key would cross the network in clear text field BaseURL (use https, or WithInsecureHTTP)
	// bctrl: client.invalid_retries: want 0 to 20 retries field MaxRetries
}

func ExampleWithAPIKey() {
	client, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret("key")))
	fmt.Println(client != nil, err)
	// Output: true <nil>
}

func ExampleWithBaseURL() {
	client, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret("key")),
		bctrl.WithBaseURL("https://bctrl.example.com/gateway"))
	fmt.Println(client, err)
	// Output: bctrl.Client{https://bctrl.example.com/gateway} <nil>
}

func ExampleWithInsecureHTTP() {
	client, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret("key")), bctrl.WithBaseURL("http://bctrl.internal:8787"),
		bctrl.WithInsecureHTTP())
	fmt.Println(client, err)
	// Output: bctrl.Client{http://bctrl.internal:8787} <nil>
}

func ExampleWithHTTPClient() {
	proxied := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	client, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret("key")), bctrl.WithHTTPClient(proxied))
	fmt.Println(client != nil, err)
	// Output: true <nil>
}

func ExampleWithMaxRetries() {
	once := exampleClient(bctrl.WithMaxRetries(0))
	_, err := once.Vault.TOTP(context.Background(), "prod/crm/salesforce")
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithRetryWait() {
	patient := exampleClient(bctrl.WithMaxRetries(5), bctrl.WithRetryWait(time.Second, time.Minute))
	_, err := patient.Vault.TOTP(context.Background(), "prod/crm/salesforce")
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithTimeout() {
	client := exampleClient(bctrl.WithTimeout(5 * time.Second))
	_, err := client.Vault.TOTP(context.Background(), "prod/crm/salesforce")
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithLogger() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "duration" {
				return slog.Attr{} // differs from run to run
			}
			return a
		},
	}))
	client := exampleClient(bctrl.WithLogger(logger))
	_, err := client.Vault.Get(context.Background(), "prod/crm/salesforce")
	fmt.Println(err)
	// Output:
	// level=DEBUG msg="bctrl: request" method=GET path=/v1/vault/{key} attempt=1 status=200 requestId=req-1
	// <nil>
}

func ExampleWithHook() {
	client := exampleClient(bctrl.WithHook(func(_ context.Context, a bctrl.Attempt) {
		fmt.Println(a.Method, a.PathTemplate, a.Status) // fit for a metric's labels
	}))
	_, err := client.Workspaces.Get(context.Background(), "ws-1")
	fmt.Println(err)
	// Output:
	// GET /v1/workspaces/{workspace} 200
	// <nil>
}

func ExampleWithApplication() {
	client := exampleClient(bctrl.WithApplication("crm-export", "1.4"))
	_, err := client.Profiles.Get(context.Background(), "sf-bot")
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithIdempotencyKey() {
	// A job that may run twice makes its profile once.
	profile, err := exampleClient().Profiles.Create(context.Background(), bctrl.BrowserProfileCreate{ID: "sf-bot"},
		bctrl.WithIdempotencyKey("job-2026-01-02"))
	fmt.Println(profile.ID, err)
	// Output: sf-bot <nil>
}

func ExampleWithCallTimeout() {
	code, err := exampleClient().Vault.TOTP(context.Background(), "prod/crm/salesforce",
		bctrl.WithCallTimeout(2*time.Second))
	fmt.Println(code, err)
	// Output: 287082 <nil>
}

func ExampleCaptureResponse() {
	var info bctrl.ResponseInfo
	_, err := exampleClient().Vault.Get(context.Background(), "prod/crm/salesforce", bctrl.CaptureResponse(&info))
	fmt.Println(info.Status, info.RequestID, info.Attempts, err)
	// Output: 200 req-1 1 <nil>
}

func ExampleClient_Storage() {
	fmt.Println(exampleClient().Storage("sales-exports").Namespace())
	// Output: sales-exports
}

func ExampleClient_CloseIdleConnections() {
	client := exampleClient()
	defer client.CloseIdleConnections()
	fmt.Println(client)
	// Output: bctrl.Client{https://api.bctrl.ai}
}

func ExampleClient_Do() {
	var out struct{ Username string }
	err := exampleClient().Do(context.Background(), http.MethodGet, []string{"v1", "vault", "prod/crm/salesforce"}, nil,
		&out)
	fmt.Println(out.Username, err)
	// Output: bot@company.com <nil>
}

func ExampleWithQuery() {
	var out struct{ Keys []string }
	err := exampleClient().Do(context.Background(), http.MethodGet, []string{"v1", "vault"}, nil, &out,
		bctrl.WithQuery(url.Values{"prefix": {"prod/"}}))
	fmt.Println(out.Keys, err)
	// Output: [prod/crm/salesforce] <nil>
}

// What to do about an error, by its class.
func ExampleError_classes() {
	advice := func(err error) string {
		switch {
		case errors.Is(err, bctrl.ErrRateLimited), errors.Is(err, bctrl.ErrUnavailable):
			return "try again later"
		case errors.Is(err, bctrl.ErrUnauthorized), errors.Is(err, bctrl.ErrForbidden):
			return "ask with another key"
		case errors.Is(err, bctrl.ErrTooLarge):
			return "ask for less"
		case errors.Is(err, bctrl.ErrEnded):
			return "somebody wanted it so"
		}
		return "mend the call"
	}
	for _, err := range []error{
		&bctrl.Error{Status: 429, Code: "calls.too_many"},
		&bctrl.Error{Status: 401, Code: "auth.unknown_key"},
		&bctrl.Error{Status: 413, Code: "storage.too_large"},
		&bctrl.Error{Status: 400, Code: "executions.cancelled"},
		&bctrl.Error{Status: 422, Code: "request.idempotency_mismatch"},
	} {
		fmt.Println(advice(err))
	}
	// Output:
	// try again later
	// ask with another key
	// ask for less
	// somebody wanted it so
	// mend the call
}

func ExampleError() {
	_, err := exampleClient().Vault.Get(context.Background(), "prod/crm/unknown")
	fmt.Println(errors.Is(err, bctrl.ErrNotFound))
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		fmt.Println(e.Status, e.Code, e.Method, e.PathTemplate, e.RequestID, e.Retryable)
	}
	fmt.Println(err)
	// Output:
	// true
	// 404 example.not_found GET /v1/vault/{key} req-1 false
	// bctrl: GET /v1/vault/{key}: example.not_found: there is no such thing [request req-1]
}

func ExampleNewSecret() {
	password := bctrl.NewSecret("correct horse")
	fmt.Printf("%v %+v %#v\n", password, password, password)
	fmt.Println(bctrl.NewSecret("").IsZero())
	// Output:
	// [secret] [secret] bctrl.Secret{[secret]}
	// true
}

func ExampleSecret_Expose() {
	password := bctrl.NewSecret("correct horse")
	fmt.Println(len(password.Expose()))
	// Output: 13
}

func ExampleSecret_Equal() {
	a, b := bctrl.NewSecret("correct horse"), bctrl.NewSecret("correct horse")
	fmt.Println(a.Equal(b))
	// Output: true
}

func ExampleSecret_IsZero() {
	fmt.Println(bctrl.Secret{}.IsZero(), bctrl.NewSecret("x").IsZero())
	// Output: true false
}

func ExampleCursor() {
	ctx, client := context.Background(), exampleClient()
	for cursor := bctrl.Cursor(""); ; {
		page, err := client.Profiles.Page(ctx, bctrl.PageOptions{Limit: 100, Cursor: cursor})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, p := range page.Items {
			fmt.Println(p.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			return
		}
	}
	// Output: sf-bot
}
