package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestTheMinimalServerDoesWhatItIsComparedFor(t *testing.T) {
	dir := t.TempDir()
	m, err := newMinimal(dir, "the key")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(m.handler())
	c := newPlainClient(s.URL)
	c.key = "the key"
	call := func(method string, in, out any, path ...string) error {
		return c.call(t.Context(), method, nil, in, out, append([]string{"vault"}, path...)...)
	}

	var described entry
	for range 2 {
		if err := call(http.MethodPut, sampleLogin(), &described, "a/login"); err != nil {
			t.Fatal(err)
		}
	}
	if described.Key != "a/login" || described.Version != 2 || !described.HasTOTP {
		t.Errorf("a set answers %+v", described)
	}
	var got login
	if err := call(http.MethodGet, nil, &got, "a/login"); err != nil || !reflect.DeepEqual(got, sampleLogin()) {
		t.Errorf("a get answers %+v, %v", got, err)
	}
	var code struct{ Code string }
	if err := call(http.MethodGet, nil, &code, "a/login", "totp"); err != nil || len(code.Code) != 6 {
		t.Errorf("the code is %q, %v", code.Code, err)
	}
	if err := call(http.MethodGet, nil, &got, "no/login"); err == nil {
		t.Error("there is a login that nobody set")
	}
	c.key = "another key"
	if err := call(http.MethodGet, nil, &got, "a/login"); err == nil {
		t.Error("another key reads a login")
	}
	c.http.CloseIdleConnections()
	s.Close()
	close(m.log.waiting)

	lines := logLines(t, filepath.Join(dir, "log"))
	for i, action := range []string{"vault.write", "vault.write", "vault.readRaw", "vault.use"} {
		if i >= len(lines) || !strings.Contains(lines[i], `"action":"`+action+`","object":"a/login"`) {
			t.Fatalf("line %d is not of %s:\n%s", i, action, strings.Join(lines, "\n"))
		}
		if strings.Contains(lines[i], sampleLogin().Password) {
			t.Error("the password is in the log")
		}
		if sealed := strings.Contains(lines[i], `"sealed"`); sealed != (action == "vault.write") {
			t.Errorf("whether the line of %s has the login: %v", action, sealed)
		}
		if n := len(lines[i]); action != "vault.write" && (n < 250 || n > 400) {
			t.Errorf("a line has %d bytes, which is not about what one of ours has", n)
		}
	}
	if len(lines) != 4 {
		t.Errorf("%d lines for 4 calls that went well", len(lines))
	}
}

// logLines are the lines of a log, each of which has the hash of it and the one before.
func logLines(t *testing.T, path string) (lines []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := make([]byte, sha256.Size)
	for line := range bytes.Lines(bytes.TrimRight(text, "\x00")) {
		object, hash, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\"}\n")), []byte(`,"hash":"`))
		sum := sha256.Sum256(fmt.Appendf(nil, "%s%s}", last, object))
		if last = sum[:]; hex.EncodeToString(last) != string(hash) {
			t.Fatalf("the chain breaks at %s", line)
		}
		lines = append(lines, string(line))
	}
	return lines
}
