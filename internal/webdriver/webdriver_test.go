package webdriver

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestASessionIsWithTheBrowserThatIsGiven looks at what a driver is asked for.
func TestASessionIsWithTheBrowserThatIsGiven(t *testing.T) {
	given := Browser{Binary: "/b", Args: []string{"--remote-debugging-pipe"}}
	const own = `"args":["--remote-debugging-pipe"],"binary":"/b"`
	for _, row := range []struct{ asked, sent, why string }{
		{`{"capabilities": {}}`, `[{"goog:chromeOptions":{` + own + `}}]`, "nothing"},
		{`{"desiredCapabilities": {"proxy": 1}, "capabilities": {"firstMatch": []}}`,
			`[{"goog:chromeOptions":{` + own + `}}]`,
			"what older clients write beside it"},
		{`{"capabilities": {"alwaysMatch": {"browserName": "chrome", "timeouts": {"script": 1}},
			"firstMatch": [{"pageLoadStrategy": "eager"}, {}]}}`,
			`[{"goog:chromeOptions":{` + own + `},"pageLoadStrategy":"eager","timeouts":{"script": 1}},` +
				`{"goog:chromeOptions":{` + own + `},"timeouts":{"script": 1}}]`, "in each of several"},
		{`{"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"mobileEmulation": {"deviceName": "Pixel 7"},
			"args": ["no-sandbox"]}}}}`,
			`[{"goog:chromeOptions":{` + own + `,"mobileEmulation":{"deviceName": "Pixel 7"}}}]`,
			"an option that stays in the page"},
	} {
		sent, err := NewSession([]byte(row.asked), given)
		require.NoError(t, err, row.why)
		require.JSONEq(t, `{"capabilities": {"alwaysMatch": {}, "firstMatch": `+row.sent+`}}`, string(sent), row.why)
	}
}

func TestAClientIsToldNothingOfTheMachine(t *testing.T) {
	made, err := ReadCreated([]byte(`{"value": {"sessionId": "s", "capabilities": {"browserName": "chrome-headless-shell",
		"goog:processID": 7, "goog:chromeOptions": {"debuggerAddress": "127.0.0.1:1"},
		"chrome": {"chromedriverVersion": "1", "userDataDir": "/tmp/x"}}}}`))
	require.NoError(t, err)
	require.Equal(t, "s", made.ID)
	require.JSONEq(t, `{"value": {"sessionId": "s", "capabilities": {"browserName": "chrome",
		"chrome": {"chromedriverVersion": "1"}}}}`, string(made.Answer))
	for _, answer := range []string{
		``, `null`, `{"value": null}`, `{"value": {"error": "x"}}`, `{"value": {"sessionId": "s"}}`,
	} {
		_, err := ReadCreated([]byte(answer))
		require.Error(t, err, answer)
	}
}

func TestAFileIsTheOneInItsArchiveByItsNameAlone(t *testing.T) {
	sent := func(names ...string) []byte {
		var b bytes.Buffer
		archive := zip.NewWriter(&b)
		for _, name := range names {
			w, err := archive.Create(name)
			require.NoError(t, err)
			if !strings.HasSuffix(name, "/") {
				_, err = io.WriteString(w, "content")
				require.NoError(t, err)
			}
		}
		require.NoError(t, archive.Close())
		body, err := json.Marshal(map[string][]byte{"file": b.Bytes()})
		require.NoError(t, err)
		return body
	}
	for _, name := range []string{"note.txt", "../../note.txt", "/etc/note.txt", "a/b/note.txt"} {
		file, err := ReadFile(sent(name))
		require.NoError(t, err, name)
		require.Equal(t, "note.txt", file.Name)
		content, err := io.ReadAll(file.Content)
		require.NoError(t, err)
		require.Equal(t, "content", string(content))
		require.NoError(t, file.Content.Close())
	}
	for why, body := range map[string][]byte{
		"none": sent(), "two": sent("a", "b"), "a folder": sent("a/"), "no name": sent(".."),
		"long":       sent(strings.Repeat("a", 256)),
		"no archive": []byte(`{"file": "YQ=="}`), "no text": []byte(`{"file": 1}`), "no body": nil,
	} {
		_, err := ReadFile(body)
		require.Equal(t, errNoFile, err, why)
	}
}

func TestAFileWhoseArchiveLiesIsRefused(t *testing.T) {
	for why, header := range map[string]zip.FileHeader{
		"another checksum": {Name: "note.txt", CRC32: 1, CompressedSize64: 7, UncompressedSize64: 7},
		"another size":     {Name: "note.txt", CRC32: 1, CompressedSize64: 7, UncompressedSize64: 8},
	} {
		var b bytes.Buffer
		archive := zip.NewWriter(&b)
		w, err := archive.CreateRaw(&header)
		require.NoError(t, err)
		_, err = io.WriteString(w, "content")
		require.NoError(t, err)
		require.NoError(t, archive.Close())
		body, err := json.Marshal(map[string][]byte{"file": b.Bytes()})
		require.NoError(t, err)
		file, err := ReadFile(body)
		require.NoError(t, err, why)
		_, err = io.ReadAll(file.Content)
		require.Equal(t, errNoFile, err, why)
		require.NoError(t, file.Content.Close())
	}
}

func TestOnlyCommandsThatAreKnownArePassedOn(t *testing.T) {
	for _, row := range []struct {
		method, command string
		known           bool
		why             string
	}{
		{"POST", "url", true, "of WebDriver"},
		{"GET", "element/e/css/color", true, "of an element"},
		{"POST", "goog/cdp/execute", true, "of DevTools: the filter decides"},
		{"DELETE", "url", false, "another method"},
		{"GET", "element/e", false, "a part of one"},
		{"GET", "element/e/css/color/x", false, "more than one"},
		{"GET", "element//text", false, "no element"},
		{"POST", "element/../click", false, "what would become another"},
		{"GET", "chromium/heap_snapshot", false, "chromedriver's, which nobody uses"},
		{"POST", "chromium/send_command_from_websocket", false, "as above"},
		{"GET", "se/files", false, "a grid's"},
		{"GET", "goog/cast/get_sinks", false, "another machine's screen"},
		{"PUT", "url", false, "no method of WebDriver"},
	} {
		require.Equal(t, row.known, Known(row.method, strings.Split(row.command, "/")), row.why)
	}
	require.True(t, Known("DELETE", nil), "to quit")
	require.False(t, Known("GET", nil), "capabilities name folders of the machine")
}

func TestAWindowIsTheLastWhereNoneIsLeft(t *testing.T) {
	for answer, last := range map[string]bool{
		`{"value": []}`: true, `{"value": ["a"]}`: false, `{"value": null}`: false, `{"value": {"error": "x"}}`: false,
		``: false,
	} {
		require.Equal(t, last, ClosedLast([]byte(answer)), answer)
	}
}

// TestAnErrorIsOneOfWebDriver has the code of ours where clients show it, and where
// programs find it.
func TestAnErrorIsOneOfWebDriver(t *testing.T) {
	e := &bctrl.Error{Code: "a.b", Message: "no", Field: "f", Hint: "do"}
	for name, want := range statuses {
		status, body := Refusal(name, e, "r")
		require.Equal(t, want, status)
		require.JSONEq(t, `{"value": {"error": "`+name+`", "message": "a.b: no (f); do", "stacktrace": "",
			"data": {"code": "a.b", "field": "f", "hint": "do", "requestId": "r"}}}`, string(body))
	}
}

func FuzzNewSession(f *testing.F) {
	f.Add(`{"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": ["x"]}}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		sent, err := NewSession([]byte(body), Browser{Binary: "/mine", Args: []string{"--mine"}})
		if err != nil {
			return
		}
		var asked struct {
			Capabilities struct {
				AlwaysMatch map[string]any
				FirstMatch  []map[string]struct {
					Binary string
					Args   []string
				}
			}
		}
		_ = json.Unmarshal(sent, &asked) // others than the options have other forms
		require.Empty(t, asked.Capabilities.AlwaysMatch)
		for _, match := range asked.Capabilities.FirstMatch {
			if options, ok := match[optionsName]; ok {
				require.Equal(t, "/mine", options.Binary)
				require.Equal(t, []string{"--mine"}, options.Args)
			}
		}
	})
}
