// Package browser says what a browser is to the rest of the server: a process
// for a runtime, a page that an agent acts on, a connection that a client speaks
// the DevTools protocol over, and one field of a login that is filled. It has the
// fake that tests run with.
//
// It knows nobody who implements it and no package of the DevTools protocol, so
// whoever imports it links none. The rooms below it do: protocol is one end of a
// connection, fill keeps what was filled where it belongs, page observes and
// acts, devtools lets clients in from outside, and chromium starts the process
// and puts the others together. Their arrows are in .golangci.yml.
package browser

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// Driver starts browsers.
type Driver interface {
	// Launch starts one browser process and waits until it answers. The
	// context bounds the start alone, not the browser's life.
	Launch(ctx context.Context, spec Spec) (Browser, error)
	// CheckWebDriver returns an error that wraps [ErrNoWebDriver] where the machine has
	// nothing that [Browser.OpenWebDriver] could start.
	CheckWebDriver() error
}

// Checker is a [Driver] that knows, without starting one, whether it could start a browser.
type Checker interface{ Check() error }

// Preparer is a [Driver] that can start a browser before it is known for whom.
type Preparer interface {
	Driver
	// Prepare starts a browser as [Driver] does, with a [Spec] that says nothing.
	// Until it is assigned it reaches no address and keeps no download.
	Prepare(ctx context.Context) (Prepared, error)
}

// Prepared is a running browser that nobody has used.
type Prepared interface {
	Browser
	// Assign makes it the browser of a spec that [Spec.FitsPrepared], before it is used
	// for anything. It is called once.
	Assign(spec Spec)
}

// Spec says what to launch.
type Spec struct {
	// ID names the runtime; it appears in temporary folder names only.
	ID string
	// Profile keeps cookies and site data between runs; nil for an ephemeral browser,
	// whose data is removed.
	Profile *Profile
	// Config says how the browser appears and how much it may use; it is valid.
	// What it says of sites that are reached is in Route, and how long it lives the
	// caller sees to.
	Config bctrl.LaunchConfig
	// Route says how what the browser sends travels.
	Route egress.Route
	// Egress decides which addresses pages may reach.
	Egress egress.Policy
	// Gate decides which hosts the browser may speak to; nil is all.
	Gate egress.Gate
	// OnDownload receives each finished download while it is still on disk;
	// the file is removed when it returns. It is called from a goroutine of
	// the browser, of several at a time perhaps. The context ends at most 10
	// seconds after the browser. It returns where clients find the file, which they
	// are told then; its error is for itself to report, and clients are told that the
	// download was cancelled. Nil drops every download.
	OnDownload func(ctx context.Context, d Download) (kept string, err error)
	// OnEvent is told what happens in the browser's tabs, in order. It must not block;
	// nil is nobody.
	OnEvent func(Event)
}

// FitsPrepared reports whether a browser that was started before anybody asked for it
// is what s describes: whose it is and what it may reach is said later, and all else
// has to be as it is by default.
func (s Spec) FitsPrepared() bool {
	s.ID, s.Egress, s.Gate, s.OnDownload, s.OnEvent = "", egress.Policy{}, nil, nil, nil
	return reflect.ValueOf(s).IsZero() // also of fields that are yet to come
}

// Download is a file that a page has delivered.
type Download struct {
	// Filename is the page's suggestion made safe: one segment of a storage
	// key, without directories and invisible characters.
	Filename string
	// URL is where it came from, without query and fragment.
	URL  string
	Size int64
	// Open returns the bytes.
	Open func() (io.ReadCloser, error)
}

// Browser is one running browser process.
type Browser interface {
	// Page returns the page that the agent works on: see [Tabs]. Where there is no tab
	// but those of clients, one is opened.
	Page(ctx context.Context) (Page, error)
	// Screen returns what a person sees of the browser, and takes over.
	Screen(ctx context.Context) (Screen, error)
	// ServeCDP speaks the DevTools protocol with one client over conn until
	// either side ends, filtered: a client drives the tabs of this browser,
	// which is its runtime, and reaches nothing past them. Messages of a client
	// are at most [MaxCommand] bytes. Where conn is a [ClientFiles] too, the client
	// gives pages files of it; else none. Where it is a [ClientRights], that is asked
	// what the client may, and told what it was refused.
	ServeCDP(ctx context.Context, conn CDPConn) error
	// OpenWebDriver starts a WebDriver for one session, which is held to what clients of
	// ServeCDP are held to, by the rights of its client. Its error wraps [ErrNoWebDriver] or
	// [ErrNoNetwork] where the machine lacks something.
	OpenWebDriver(ctx context.Context, rights ClientRights) (WebDriver, error)
	// SaveProfile makes what the browser has now the newest of its profile, as its end
	// would; the browser goes on. One without a profile gives [ErrNoProfile].
	SaveProfile(ctx context.Context) error
	// Done is closed when the process is gone, for whatever reason.
	Done() <-chan struct{}
	// Err says why it is gone: nil after Stop.
	Err() error
	// Stop ends the process and removes what it left: sockets, temporary
	// folders, child processes. It is safe to call twice.
	Stop(ctx context.Context) error
}

// MaxCommand bounds one message from a DevTools client, in bytes. Whoever
// carries the messages can refuse larger ones before they are in memory.
const MaxCommand = 16 << 20

// WebDriver is a chromedriver that has been started for one session with a browser.
type WebDriver interface {
	http.RoundTripper
	// AddFile keeps a file for the pages of the session, under a name of one segment, and
	// returns the path that the client is to give to an input of files.
	AddFile(name string, content io.Reader) (path string, err error)
	// Browser is the program that a new session is to ask for, and its arguments.
	Browser() (program string, args []string)
	// Done is closed when the process has ended.
	Done() <-chan struct{}
	// Close ends it and removes what it left. It is safe to call twice.
	Close() error
}

// CDPConn carries whole DevTools messages, as a websocket does.
type CDPConn interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, msg []byte) error
}

// ClientFiles are the files that a client may give to pages: where the protocol has a path
// of its machine, it is the name of one of them.
type ClientFiles interface {
	// OpenFile finds a file by what the client calls it.
	OpenFile(ctx context.Context, name string) (File, error)
}

// CodeMachinePath is the code of a file that a client has named by a path of the machine.
const CodeMachinePath = "runtimes.machine_path"

// ClientRights are what a client may by the mounts of whoever let it in, at the moment.
type ClientRights interface {
	// SeesEveryHost reports whether there is no host whose pages, cookies and storage the
	// client may not see. This and the next two are asked often, and do not block.
	SeesEveryHost() bool
	// SeesHost reports whether the client may see what is of a host.
	SeesHost(host string) bool
	// SeesCookiesOf reports whether it may see the cookies of a domain, which has a dot before
	// it where they go to the hosts below too.
	SeesCookiesOf(domain string) bool
	// PrintedText reads what a PDF says that the client has printed: see [Printing].
	PrintedText(ctx context.Context, pdf []byte) (string, error)
	// RecordRefusal records that the client was refused something, and returns what it is
	// told: the refusal, or why that could not be recorded.
	RecordRefusal(ctx context.Context, refusal *bctrl.Error) error
}

// Ref names an element in an [Observation]. It stays the same for as long as
// the element lives in its document.
type Ref string

// Page is the tab in front. Every method honours its context.
type Page interface {
	Hands
	Tabs
	Navigation
	Dialogs
	Uploads
	HTTPLogins
	Printer
	// Observe reads the accessibility tree of the page and its frames.
	Observe(ctx context.Context) (*Observation, error)
	// Settle waits until the page has been quiet for a moment, at most max.
	Settle(ctx context.Context, max time.Duration) error
	// Fill puts a field of a login into an input, so that no reader of the
	// page, and unless it is filled directly not the page either, gets to see
	// it: see [Fill].
	Fill(ctx context.Context, ref Ref, fill Fill) error
	// Screenshot returns a PNG; fields that were filled are masked.
	Screenshot(ctx context.Context, fullPage bool) ([]byte, error)
	// Picture returns a picture of the page for a model that sees.
	Picture(ctx context.Context, options PictureOptions) (*Picture, error)
	// Read reads the whole page as text, also what an observation leaves out.
	Read(ctx context.Context, options ReadOptions) (*Reading, error)
}

// Fill is one field of a login, and where it may go. Semantics: the origin of
// the top frame, of the element's frame and of the form's target must all
// match, as the browser itself reports them.
//
// A placeholder becomes the value in POST, PUT and PATCH requests to where the
// login belongs, for as long as the field's document lives, where a form field,
// a part of a multipart form or a string in JSON is the placeholder and nothing
// else, once, and in the place where the field's own submission has it: the
// field's document sends it, not under the name of another field, and once
// another field has come to hold the placeholder too, under a name of the
// field's own form alone. A code in boxes of one digit is swapped digit by digit,
// together or each in a request of its own, and once more where the page joins
// them. A field that its page draws anew in the place of one that is gone is the
// same field. Any other request with it is stopped, and the
// next observation says so. What is encrypted or hashed by the page, or sent over
// a websocket, needs Direct; the next observation says that a form has left
// without what was filled.
type Fill struct {
	// Key is the vault key that the value is of, for whoever records the fill.
	Key string
	// Field is what is filled: "username", "password" or "totp". A username is
	// typed as it is: the site shows it anyway, an observation only outside
	// its field.
	Field string
	Value bctrl.Secret
	// Fresh returns the value to send in the place of Value: a one-time code
	// that is valid when it leaves. Nil sends Value.
	Fresh func(context.Context) (bctrl.Secret, error)
	// Origins and Patterns are where the login may be filled, in canonical
	// form.
	Origins, Patterns []string
	// StillPermitted is asked before a request takes the value along: an error stops the
	// request. Nil is always yes.
	StillPermitted func(context.Context) error
	// Report is told what became of the value after it was filled:
	// "vault.fill_stopped" of a request that was stopped, and
	// "vault.fill_not_sent" of a form that left without it. Nil is nobody.
	Report func(context.Context, *bctrl.Error)
	// Direct types the value into the page; otherwise a placeholder is typed
	// and swapped for the value in the outgoing request body.
	Direct bool
}
