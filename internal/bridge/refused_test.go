package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// played is an end that a test plays without a connection.
type played struct {
	says  chan string
	hears func(msg []byte) // may wait
}

func (p *played) Read(ctx context.Context) (websocket.MessageType, []byte, error) {
	select {
	case msg, ok := <-p.says:
		if !ok {
			return 0, nil, io.EOF
		}
		return websocket.MessageText, []byte(msg), nil
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
}

func (p *played) Write(_ context.Context, _ websocket.MessageType, msg []byte) error {
	p.hears(msg)
	return nil
}

func (p *played) Close(websocket.StatusCode, string) error { return nil }
func (p *played) CloseNow() error                          { return nil }

// A browser whose connection takes a command only once what it says has been read is read,
// also while it is asked for the events of downloads.
func TestTheBrowserIsReadWhileItIsAsked(t *testing.T) {
	read := make(chan struct{})
	client := &played{says: make(chan string, 1), hears: func([]byte) { close(read) }}
	browser := &played{says: make(chan string)}
	browser.hears = func(msg []byte) {
		if bytes.Contains(msg, []byte(setDownloads)) {
			browser.says <- begin("Page", "g", "F", "report.csv")
			<-read
		}
	}
	client.says <- `{"id":1,"sessionId":"S","method":"Page.setDownloadBehavior","params":` +
		`{"behavior":"allow","downloadPath":"/nowhere"}}`
	ctx, cancel := context.WithCancel(t.Context())
	var passing sync.WaitGroup
	passing.Go(func() { newLink(&Bridge{}, client, browser).run(ctx) })
	<-read
	cancel()
	passing.Wait()
}

// Where the browser refuses to tell of downloads, what waits for that is told as canceled,
// whoever runs the bridge hears of it, and the browser is asked again with the next folder.
func TestNothingWaitsForWhatTheBrowserRefusesToTell(t *testing.T) {
	x := bridgeTo(t, runtimeOf(t, bctrl.Mounts{}), Config{})
	folder := t.TempDir()
	for _, tc := range []struct{ method, why string }{
		{setDownloads, "the client's own command"},
		{setDownloadsOfAPage, "the bridge's own command"},
	} {
		client, browser := x.connect()
		allow := fmt.Sprintf(`{"id":1,"method":%q,"params":{"behavior":"allow","downloadPath":%q}}`, tc.method, folder)
		own := tc.method == setDownloadsOfAPage
		client.say(allow)
		asked := browser.hearCommand()
		require.True(t, asked.Params.EventsEnabled, tc.why)
		require.Equal(t, own, asked.ID == ownCommand, tc.why)
		if own {
			require.Equal(t, tc.method, browser.hearCommand().Method)
		}
		browser.say(begin("Page", "g", "F", "report.csv"))
		client.hear()
		browser.say(over("Page", "g", "completed", ""))
		refusal := fmt.Sprintf(`{"id":%d,"error":{"code":-32000,"message":"no"}}`, asked.ID)
		browser.say(refusal)
		heard := []string{client.hear()}
		if !own { // the client hears what is said to itself, before or after
			heard = append(heard, client.hear())
			require.Contains(t, heard, refusal, tc.why)
		}
		require.True(t, slices.ContainsFunc(heard, func(msg string) bool {
			return strings.Contains(msg, `"canceled"`)
		}), tc.why)
		if own { // the folder stands, and nothing begun later waits
			browser.say(begin("Page", "later", "F", "report.csv"))
			client.hear()
			browser.say(over("Page", "later", "completed", ""))
			require.Equal(t, "canceled", client.hearEvent().Params.State)
		}
		client.say(allow)
		require.True(t, browser.hearCommand().Params.EventsEnabled, tc.why)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	require.Len(t, x.reports, 1)
}

// What a client has set for the browser outlives however many contexts it makes, and what
// is refused or forgotten keeps nothing waiting.
func TestFoldersAndDownloadsAreBounded(t *testing.T) {
	var d downloads
	d.init()
	first := folder{path: "/first"}
	d.setFolder("", first)
	for i := range 3 * maxContexts {
		d.setFolder(fmt.Sprint(i), folder{path: "/other"})
	}
	require.Equal(t, first, d.folders[""])
	require.LessOrEqual(t, len(d.folders), maxContexts)
	answered := d.setFolder("refused", folder{path: "/refused"})
	answered(true)
	require.NotContains(t, d.folders, "refused")
	require.Equal(t, "/other", d.last.path)

	oldest := &download{done: make(chan struct{})}
	d.remember("oldest", oldest)
	for i := range maxKnown {
		d.remember(fmt.Sprint(i), &download{done: make(chan struct{})})
	}
	<-oldest.done
	require.Len(t, d.known, maxKnown)

	for i := range 2 * maxContexts {
		d.await(commandKey{id: int64(i)}, func(bool) {})
	}
	require.Len(t, d.onAnswer, maxContexts)
}

// A pipe takes a command as large as the server does and ends with a larger one, and
// neither a client that does not read nor the system keeps it from ending.
func TestAPipeIsBounded(t *testing.T) {
	most := strings.Repeat("x", maxCommand)
	_, out := io.Pipe()
	p := NewPipe(io.MultiReader(strings.NewReader(most+"\x00"), strings.NewReader(most+"x"), endless{}), out)
	_, msg, err := p.Read(t.Context())
	require.NoError(t, err)
	require.Len(t, msg, maxCommand)
	_, _, err = p.Read(t.Context())
	require.ErrorIs(t, err, errCommandTooLarge)
	ctx, cancel := context.WithCancel(t.Context())
	begun, written := make(chan struct{}), make(chan error, 2)
	go func() { close(begun); written <- p.Write(ctx, websocket.MessageText, []byte("nobody reads")) }()
	go func() { written <- p.Write(ctx, websocket.MessageText, []byte("nor this")) }()
	<-begun
	cancel()
	require.ErrorIs(t, <-written, context.Canceled)
	require.ErrorIs(t, <-written, context.Canceled)
	require.NoError(t, p.CloseNow())
}

// endless has no zero byte.
type endless struct{}

func (endless) Read(to []byte) (int, error) {
	for i := range to {
		to[i] = 'x'
	}
	return len(to), nil
}

// Whatever a client says, and whatever is answered, the bridge goes on: what it does not
// change passes as it is, and what it does is the same command.
func FuzzClientMessages(f *testing.F) {
	const set = `{"id":1,"method":"Browser.setDownloadBehavior","params":`
	for _, seed := range [][2]string{
		{set + `null}`, `{"id":1,"result":{}}`},
		{set + `{"behavior":"allow","downloadPath":"/nowhere"}}`, `{"id":1,"error":{}}`},
		{set + `{"behavior":"allowAndName","downloadPath":"/nowhere","browserContextId":"c"}}`, `null`},
		{set + `[]}`, `[]`},
		{`{"id":1,"METHOD":"Browser.setDownloadBehavior","PARAMS":{"behavior":"allow","downloadPath":"/n"}}`, `{"id":0}`},
		{`{"method":"Browser.setDownloadBehavior"}`, `{"id":1e3}`},
		{`{"id":1,"sessionId":"S","method":"Page.setDownloadBehavior","params":{"behavior":"allow","downloadPath":"/n"}}`,
			fmt.Sprintf(`{"id":%d,"error":{"code":1}}`, ownCommand)},
		{`{"id":1,"method":"DOM.setFileInputFiles","params":null}`, begin("Page", "g", "F", "a")},
		{`{"id":1,"method":"DOM.setFileInputFiles","params":{"files":["/nowhere/a"]}}`,
			over("Browser", "g", "completed", "/x")},
		{`{"id":1,"id":2,"method":"Browser.close","x":"\ud800"}`, `{"method":"Target.attachedToTarget","params":null}`},
		{`null`, `{"method":"Page.downloadWillBegin","params":null}`},
	} {
		f.Add(seed[0], seed[1])
	}
	rt := runtimeOf(f, bctrl.Mounts{})
	f.Fuzz(func(t *testing.T, said, answer string) {
		require := require.New(t)
		commands, messages := make(chan string, 3), make(chan string, 4)
		for _, msg := range []string{set + `{"behavior":"allow","downloadPath":"/nowhere"}}`, said, said} {
			commands <- msg
		}
		for _, msg := range []string{begin("Page", "g", "F", "a"), answer, over("Page", "g", "completed", ""), answer} {
			messages <- msg
		}
		close(commands)
		close(messages)
		var mu sync.Mutex
		var passed [][]byte
		browser := &played{says: messages, hears: func(msg []byte) {
			mu.Lock()
			defer mu.Unlock()
			passed = append(passed, msg)
		}}
		client := &played{says: commands, hears: func([]byte) {}}
		l := newLink(&Bridge{Config: Config{Runtime: rt, Report: func(string) {}}}, client, browser)
		ctx, cancel := context.WithCancel(t.Context())
		defer l.work.Wait()
		defer cancel()
		_, err := l.passCommands(ctx)
		require.ErrorIs(err, io.EOF)
		require.ErrorIs(l.passMessages(ctx), io.EOF)
		cancel()
		l.work.Wait()
		for _, msg := range passed[1:] {
			if string(msg) == said || bytes.Contains(msg, fmt.Append(nil, ownCommand)) {
				continue
			}
			var was, is map[string]any
			require.NoError(json.Unmarshal([]byte(said), &was))
			require.NoError(json.Unmarshal(msg, &is))
			for _, m := range []map[string]any{was, is} {
				if params, ok := m["params"].(map[string]any); ok {
					delete(params, "eventsEnabled")
					m["params"] = params
				}
				if params, ok := m["params"].(map[string]any); m["params"] == nil || ok && len(params) == 0 {
					delete(m, "params")
				}
			}
			require.Equal(was, is)
		}
	})
}
