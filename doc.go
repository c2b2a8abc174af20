// Package bctrl is the Go SDK for BCTRL workspaces: browsers that an agent
// steers, with the logins, models and files that it may use and no others.
//
//	client, err := bctrl.New() // BCTRL_API_KEY, BCTRL_BASE_URL
//	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{
//		Name: "sales-pipeline",
//		Mounts: bctrl.Mounts{
//			AI:      &bctrl.AIMount{Allow: []string{"openai-prod"}},
//			Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
//			Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
//		},
//	})
//	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
//	defer rt.Stop(context.WithoutCancel(ctx))
//	result, err := rt.Stagehand.Act(ctx, "Log in to Salesforce and export Q1 pipeline")
//
// A [Client] is safe for concurrent use. Every method takes its context first
// and request structs by value, which it never writes to. Lists are lazy
// iterators that can be ranged over again; a Page method beside each is for
// callers who page themselves. The last line of a method's comment names the
// right that the server asks of its caller.
//
// # Mounts
//
// A workspace sets the ceiling, a runtime or an execution can lower it, and
// nothing can raise it. [Mounts] are the ceiling's text: which AI credentials,
// vault keys, files and capabilities may be used. A mount that is nil means
// none at a workspace (storage: the workspace's own namespace) and "as above"
// below it; an empty list that is not nil means nothing at all.
//
// [BrowserLauncher.Narrow] lowers a runtime, [Runtime.Narrow] a handle,
// [ActOptions] one call. Mounts that would permit more than the level above
// are refused before any request, and by the server again, with a witness: an
// action that the lower level would permit and the upper does not.
//
//	bctrl: mounts.scope_widening: ... field mounts.vault.allow[0] value "prod/" witness "prod/0"
//
// Through a [Runtime], what the mounts do not permit is [ErrOutsideMount]
// before any request, and the server holds every call to them again: it
// decides by the mounts as they are at that moment.
//
// # Agents
//
// [Stagehand.Act] does what an instruction says, [Stagehand.Observe] finds what can
// be done, [Stagehand.Extract] reads data, and [Stagehand.Agent] works on a task of
// many steps; [BrowserUse.Agent] is the same agent with the options of the library
// browser-use. Package extract has Into, which reads a page into a Go type. The
// `...Async` form of each returns an [Operation].
//
// Each question to a model, each login and each file is decided by the mounts as they
// are then. What an agent did until its budget or an error ended it is in the result.
//
// # Secrets
//
// API keys, passwords and TOTP seeds are [Secret] values. No printer shows
// them: fmt, log/slog, testify, spew and go-cmp, also inside other structs.
// Encoding one as JSON or text fails. [Secret.Expose] is the only way to the
// value. Two secrets are compared with [Secret.Equal]; reflect.DeepEqual on
// them is false.
//
// A vault secret that an agent uses reaches neither the model nor this
// program: the server fills it into the page.
//
// # Text
//
// What is sent arrives to the byte. Strings are UTF-8: any other is refused as
// request.invalid_utf8 before anything is sent, with the field's name, since
// JSON would carry another in its place. Bytes that are no text go as an
// [Invocation]'s RawBody, as a file, or in a form of text such as base64.
//
// # Errors
//
// Every error is an [*Error], or holds one: Status, Code ("area.name"),
// Message, and where they apply Field, Witness, Hint and RequestID. Its text
// is one line and never holds a body, a query or a value. Match classes with
// errors.Is:
//
//	ErrNotFound      404                   ErrRateLimited   429
//	ErrUnauthorized  401                   ErrUnavailable   5xx, or no answer
//	ErrForbidden     403                   ErrTooLarge      413
//	ErrConflict      409, 412              ErrWidening      mounts above their ceiling
//	ErrInvalid       400, 405, 416, 422    ErrOutsideMount  not permitted by the mounts
//	ErrEnded         cancelled, or its runtime stopped, before it was done
//
// A cancelled call matches [context.Canceled], one out of time
// [context.DeadlineExceeded].
//
// # Retries
//
//	what                  every method; an upload only if its source can be read again
//	when                  408, 429, 5xx; no answer or half of one; 409 request.in_progress
//	not when              runtimes.no_browser, runtimes.launch_failed: until the server is mended
//	how often             2 times; WithMaxRetries
//	wait                  at random up to 250 ms, doubling up to 2 s; WithRetryWait
//	Retry-After           honoured, up to 30 s
//	deadline              a wait that would pass it is not begun: the error is the last answer's
//	cancelled context     ends a wait at once
//	second effect         none: a mutation carries one Idempotency-Key through all its attempts
//	redirects             never followed: the key stays with its server
//	untrusted certificate never retried
//
// [WithTimeout] bounds a call with its retries, a minute unless set. Agent calls,
// calls to providers, streams, uploads, downloads and what waits, for operations,
// events or a browser that starts, have no bound but their context and
// [WithCallTimeout].
//
// # Testing
//
// Package bctrltest starts the real server over a temporary store inside a
// test:
//
//	srv := bctrltest.New(t)
//	client := srv.Client()
//
// For a test that needs no server, [WithHTTPClient] takes a client with a
// RoundTripper of your own.
package bctrl
