package bctrltest_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

// canary is a secret that must be nowhere but where it is meant to be.
type canary struct {
	name string
	// forms are byte strings that give the secret away, by how it is written
	// there. They are made from a part of it that every text encoding (URL,
	// JSON, HTML, shell) leaves alone.
	forms map[string][]byte
}

// newCanary watches for a secret by a part of it, letters and digits alone.
// decoded is what the secret stands for, if that gives it away too.
func newCanary(name, part string, decoded ...byte) canary {
	c := canary{name: name, forms: map[string][]byte{
		"as text":       []byte(part),
		"in lower case": []byte(strings.ToLower(part)),
		"in hex":        []byte(hex.EncodeToString([]byte(part))),
		"in upper hex":  []byte(strings.ToUpper(hex.EncodeToString([]byte(part)))),
		"backwards":     reversed(part),
		"in UTF-16":     utf16Bytes(part),
	}}
	// What base64 makes of it depends on what stands before it: its alignment.
	for pad := range 3 {
		if inner := []byte(part)[pad : pad+(len(part)-pad)/3*3]; len(inner) >= 6 {
			c.forms["in base64, shifted by "+strconv.Itoa(pad)] = []byte(base64.StdEncoding.EncodeToString(inner))
			c.forms["in base64url, shifted by "+strconv.Itoa(pad)] = []byte(base64.URLEncoding.EncodeToString(inner))
		}
	}
	if len(decoded) > 0 {
		c.forms["decoded"] = decoded
		c.forms["decoded, in hex"] = []byte(hex.EncodeToString(decoded))
	}
	return c
}

func reversed(s string) []byte {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

func utf16Bytes(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// newSeed makes a TOTP seed and its canary.
func newSeed(name string) (string, canary) {
	var b [20]byte
	_, _ = rand.Read(b[:])
	seed := base32.StdEncoding.EncodeToString(b[:])
	return seed, newCanary(name, seed, b[:]...)
}

// find returns how the canary is written in data, if it is.
func (c canary) find(data []byte) (how string, found bool) {
	for how, form := range c.forms {
		if bytes.Contains(data, form) {
			return how, true
		}
	}
	return "", false
}

// scanner looks for canaries in all that it is shown.
type scanner struct {
	mu       sync.Mutex
	canaries []canary
	sources  []source
}

// source is a place and what was there. meant names the canaries that belong
// there.
type source struct {
	place string
	data  []byte
	meant []string
	// text is set where a one-time code would stand apart from other digits.
	text bool
}

func (s *scanner) add(src source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources = append(s.sources, src)
}

// text shows the scanner a text.
func (s *scanner) text(place string, data []byte, meant ...string) {
	s.add(source{
		place: place,
		data:  data,
		meant: meant,
		text:  true,
	})
}

// files shows the scanner every file below a folder and returns how many there
// are. Files that go while they are read are no loss: nothing is left of them.
func (s *scanner) files(place, dir string) (n int) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it has just gone
		}
		name, _ := filepath.Rel(dir, path)
		s.add(source{place: place + ": name of " + name, data: []byte(name)})
		if d.Type().IsRegular() {
			if data, err := os.ReadFile(path); err == nil {
				s.add(source{place: place + ": " + name, data: data})
				n++
			}
		}
		return nil
	})
	return n
}

// check fails the test for every canary that is where it is not meant to be,
// and for every one-time code of the seed since start.
func (s *scanner) check(t *testing.T, seed string, start time.Time) {
	t.Helper()
	var codes []string
	for at := start.Add(-30 * time.Second); at.Before(time.Now().Add(30 * time.Second)); at = at.Add(30 * time.Second) {
		code, err := totp.GenerateCode(seed, at)
		require.NoError(t, err)
		codes = append(codes, code)
	}
	code := regexp.MustCompile(`(?:^|[^0-9A-Za-z._:+-])(?:` + strings.Join(codes, "|") + `)(?:$|[^0-9A-Za-z._:-])`)
	for _, src := range s.sources {
		meant := map[string]bool{}
		for _, name := range src.meant {
			meant[name] = true
		}
		for _, c := range s.canaries {
			if how, found := c.find(src.data); found && !meant[c.name] {
				t.Errorf("the %s is in %s, %s", c.name, src.place, how)
			}
		}
		if src.text && !meant["code"] && code.Match(src.data) {
			t.Errorf("a one-time code is in %s", src.place)
		}
	}
}

// descendants are the processes that this one has started, and those that they
// have.
func descendants() (pids []int) {
	parents := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		// The name in parentheses may hold anything; what follows it is fixed.
		_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')'):]), " ")
		var state string
		var parent int
		if _, err := fmt.Sscan(rest, &state, &parent); err == nil && state != "Z" {
			parents[pid] = parent
		}
	}
	for pid := range parents {
		for up, ok := pid, true; ok; up, ok = parents[up], parents[up] != 0 {
			if parents[up] == os.Getpid() {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// processes shows the scanner arguments, environment and working folder of
// every process below this one, and returns how many there are.
func (s *scanner) processes() (n int) {
	for _, pid := range descendants() {
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		for _, name := range []string{"cmdline", "environ"} {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil && len(data) > 0 {
				s.text(name+" of a process", data)
				if name == "cmdline" {
					n++
				}
			}
		}
		if root, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil && strings.Contains(root, "bctrl-") {
			s.files("the folder of a running browser", root)
		}
	}
	return n
}

func TestTheScannerFindsASecretHoweverItIsWritten(t *testing.T) {
	const secret = `p<"&\é+/ CANARY7PART26CANARY7PART26 x`
	const part = "CANARY7PART26CANARY7PART26"
	c := newCanary("password", part)
	jsonText, urlText := strconv.Quote(secret), strings.ReplaceAll(secret, " ", "%20")
	for why, text := range map[string]string{
		"plain": secret, "JSON": jsonText, "URL": urlText, "hex": hex.EncodeToString([]byte(secret)),
		"base64":           base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64url":        base64.RawURLEncoding.EncodeToString([]byte("1" + secret)),
		"base64 after two": base64.StdEncoding.EncodeToString([]byte("22" + secret)), "UTF-16": string(utf16Bytes(secret)),
	} {
		_, found := c.find([]byte("x" + text + "x"))
		require.True(t, found, why)
	}
	_, found := c.find([]byte("CANARY7PART"))
	require.False(t, found)
}
