package agent

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// Limits of one view, so that no page can fill a prompt.
const (
	maxOutlineBytes = 48 << 10
	maxLineBytes    = 512
	maxLogins       = 50
	maxDownloads    = 50
	maxTabs         = 30
)

// The fixed lines of a view.
const (
	labelURL       = "URL: "
	labelTitle     = "Title: "
	labelTabs      = "Tabs:"
	labelLogins    = "Logins you may fill:"
	labelDownloads = "Downloads:"
	labelPage      = "Page:"
	none           = "none"
	cutNote        = "(the page goes on: scroll, or narrow what it shows)"
)

// View is what the model is shown of the world at one moment.
type View struct {
	URL, Title string
	// Tabs are listed where there are several.
	Tabs []browser.Tab
	// Logins are the vault entries that may be filled.
	Logins []LoginInfo
	// Downloads are the files that landed since the task began.
	Downloads []Download
	// Outline is the page as indented text, an element a line.
	Outline string
	// Truncated reports that the page holds more than Outline.
	Truncated bool
}

// LoginInfo describes a vault entry to the model, without anything secret.
type LoginInfo struct {
	// Key is the vault key by which the model names the entry.
	Key string
	// What the entry can fill.
	HasUsername, HasPassword, HasTOTP bool
	// Origins are the origins and origin patterns where it may be filled.
	Origins []string
}

// Download is a file that landed in storage.
type Download struct {
	// Filename is the name that the page gave the file.
	Filename string
	// Path is where it lies in the mounted namespace.
	Path string
	Size int64
}

// String writes v in the format that the package comment shows, under a new
// random id.
func (v View) String() string { return v.write(func(text string) string { return text }) }

// write is String with a function that takes secrets out of every text. It is called
// before anything is cut: half a secret would not be found.
func (v View) write(hide func(string) string) string {
	line := func(text string) string { return clipLine(hide(clean(text))) }
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand never fails
	tag := `view id="` + hex.EncodeToString(nonce[:]) + `"`

	var b strings.Builder
	b.WriteString("<" + tag + ">\n")
	b.WriteString(labelURL + line(v.URL) + "\n")
	b.WriteString(labelTitle + line(v.Title) + "\n")
	if len(v.Tabs) > 1 {
		b.WriteString(labelTabs + "\n")
		writeList(&b, v.Tabs, maxTabs, func(t browser.Tab) string { return line(tabText(t)) })
	}
	b.WriteString(labelLogins + "\n")
	writeList(&b, v.Logins, maxLogins, func(l LoginInfo) string { return line(l.text()) })
	b.WriteString(labelDownloads + "\n")
	writeList(&b, v.Downloads, maxDownloads, func(d Download) string { return line(d.text()) })
	// Secrets are taken out of the whole first: one may span lines.
	outline, cut := outline(hide(v.Outline), line)
	b.WriteString(labelPage + "\n" + outline)
	if cut || v.Truncated {
		b.WriteString(cutNote + "\n")
	}
	b.WriteString("</" + tag + ">")
	return b.String()
}

func (l LoginInfo) text() string {
	var holds []string
	if l.HasUsername {
		holds = append(holds, "username")
	}
	if l.HasPassword {
		holds = append(holds, "password")
	}
	if l.HasTOTP {
		holds = append(holds, "totp")
	}
	return l.Key + " (" + strings.Join(holds, ", ") + ") for " + strings.Join(l.Origins, " ")
}

func tabText(t browser.Tab) string {
	mark := ""
	if t.Active {
		mark = " (in front)"
	}
	return string(t.ID) + mark + " " + cmp.Or(t.URL, "about:blank") + " " + t.Title
}

func (d Download) text() string {
	return fmt.Sprintf("%s (%d bytes) at %s", d.Filename, d.Size, d.Path)
}

func writeList[T any](b *strings.Builder, items []T, limit int, format func(T) string) {
	if len(items) == 0 {
		b.WriteString(none + "\n")
	}
	for i, item := range items {
		if i == limit {
			b.WriteString("(" + strconv.Itoa(len(items)-limit) + " more)\n")
			return
		}
		b.WriteString("- " + format(item) + "\n")
	}
}

// outline cleans the page's own text line by line and cuts it at a line.
func outline(text string, line func(string) string) (kept string, cut bool) {
	var b strings.Builder
	for l := range strings.Lines(text) {
		trimmed := strings.TrimLeft(l, " \t")
		indent := min(len(l)-len(trimmed), 40)
		l = line(trimmed)
		if l == "" {
			continue
		}
		if b.Len()+indent+len(l)+1 > maxOutlineBytes {
			return b.String(), true
		}
		b.WriteString(strings.Repeat(" ", indent) + l + "\n")
	}
	return b.String(), false
}

// clipLine makes text at most maxLineBytes long.
func clipLine(s string) string { return clip(strings.TrimSpace(s), maxLineBytes) }

// clean makes one line of text and removes what a reader cannot see: control
// and formatting characters, among them the tags and zero-width characters that
// hide instructions.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// viewPatterns are what [ParseView] looks for. Only scripted models do, so they
// are not compiled before.
type viewPatterns struct{ start, page, tab, login, download *regexp.Regexp }

var compiledPatterns = sync.OnceValue(func() viewPatterns {
	return viewPatterns{
		start:    regexp.MustCompile(`<view id="([0-9a-f]{16})">\n`),
		page:     regexp.MustCompile(`<page id="([0-9a-f]{16})">\n`),
		tab:      regexp.MustCompile(`^- (t\d+)( \(in front\))? (\S+) ?(.*)$`),
		login:    regexp.MustCompile(`^- (\S+) \(([a-z, ]*)\) for(.*)$`),
		download: regexp.MustCompile(`^- (.*) \((\d+) bytes\) at (.*)$`),
	}
})

// ParseView reads the last view in a message, as a scripted model does. It
// reports false when there is none.
func ParseView(message string) (View, bool) {
	body, found := lastBetween(message, compiledPatterns().start, "view")
	if !found {
		return View{}, false
	}
	return parseBody(body), true
}

// ParsePage reads the last text of a page that data is to be read from, as a scripted
// model does. It reports false when there is none.
func ParsePage(message string) (text string, found bool) {
	return lastBetween(message, compiledPatterns().page, "page")
}

// lastBetween returns what stands between the last pair of tags with one id.
func lastBetween(message string, start *regexp.Regexp, tag string) (body string, found bool) {
	for _, at := range slices.Backward(start.FindAllStringSubmatchIndex(message, -1)) {
		id := message[at[2]:at[3]]
		if body, _, found = strings.Cut(message[at[1]:], "</"+tag+` id="`+id+`">`); found {
			return body, true
		}
	}
	return "", false
}

func parseBody(body string) View {
	var v View
	patterns := compiledPatterns()
	head, outline, _ := strings.Cut(body, "\n"+labelPage+"\n")
	v.Outline, v.Truncated = strings.CutSuffix(outline, cutNote+"\n")
	inTabs := false
	for l := range strings.SplitSeq(head, "\n") {
		if l == labelTabs || l == labelLogins {
			inTabs = l == labelTabs
		}
		if url, ok := strings.CutPrefix(l, labelURL); ok {
			v.URL = url
		} else if title, ok := strings.CutPrefix(l, labelTitle); ok {
			v.Title = title
		} else if m := patterns.tab.FindStringSubmatch(l); m != nil && inTabs {
			v.Tabs = append(v.Tabs, browser.Tab{ID: browser.TabID(m[1]), URL: m[3], Title: m[4], Active: m[2] != ""})
		} else if m := patterns.login.FindStringSubmatch(l); m != nil {
			v.Logins = append(v.Logins, LoginInfo{
				Key:         m[1],
				HasUsername: strings.Contains(m[2], "username"),
				HasPassword: strings.Contains(m[2], "password"),
				HasTOTP:     strings.Contains(m[2], "totp"),
				Origins:     strings.Fields(m[3]),
			})
		} else if m := patterns.download.FindStringSubmatch(l); m != nil {
			size, _ := strconv.ParseInt(m[2], 10, 64) // digits by the pattern; past int64 a script has no use for it
			v.Downloads = append(v.Downloads, Download{Filename: m[1], Size: size, Path: m[3]})
		}
	}
	return v
}
