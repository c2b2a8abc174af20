// Package s3test runs a real S3 server for tests: versitygw, which checks signatures,
// over a directory. Its module is tools/s3, and go builds and keeps the program: the first time
// takes a minute or two.
package s3test

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is one that runs until the end of its test.
type Server struct {
	// Endpoint is its address, on loopback.
	Endpoint string
	// Dir has a directory for each bucket, and in it a file for each object.
	Dir string
	// KeyID and Secret are its only account's.
	KeyID, Secret string

	program string
	sidecar string // where the server keeps what is known of objects
	process *os.Process
	ended   chan struct{}
}

// Region is the one of all buckets.
const Region = "eu-test-1"

// startTime is how long a server may take to answer first, and starts is how often
// one is started, should another program take its port meanwhile.
const (
	startTime = 30 * time.Second
	starts    = 3
)

// Start starts a server without buckets.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{
		Dir:     tb.TempDir(),
		KeyID:   "AKIA" + rand.Text()[:16],
		Secret:  rand.Text() + rand.Text(),
		program: build(tb),
		sidecar: tb.TempDir(),
	}
	tb.Cleanup(s.stop)
	for range starts {
		if s.run(tb, freeAddress(tb)) {
			return s
		}
	}
	tb.Fatalf("the S3 server did not start %d times", starts)
	return nil
}

// Kill ends the server as a machine does that loses its power. [Server.Restart] has it
// answer again, at the same address.
func (s *Server) Kill() {
	_ = s.process.Kill()
	<-s.ended
}

// Restart starts a server that was killed.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if !s.run(tb, strings.TrimPrefix(s.Endpoint, "http://")) {
		tb.Fatal("the S3 server did not start again")
	}
}

func (s *Server) stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		s.Kill()
	}
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("looking for a port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// build returns the program, which go keeps in its cache.
func build(tb testing.TB) string {
	tb.Helper()
	_, source, _, ok := runtime.Caller(0) // the working directory may be anywhere
	if !ok {
		tb.Fatal("the test does not know where its source is")
	}
	cmd := exec.CommandContext(tb.Context(), "go", "tool", "-n", "versitygw")
	cmd.Dir = filepath.Join(filepath.Dir(source), "..", "..", "..", "tools", "s3")
	cmd.Stderr = os.Stderr
	path, err := cmd.Output()
	if err != nil {
		tb.Fatalf("building the S3 server in %s: %v", cmd.Dir, err)
	}
	return strings.TrimSpace(string(path))
}

// run starts the program and reports whether it answers.
func (s *Server) run(tb testing.TB, address string) bool {
	tb.Helper()
	s.Endpoint = "http://" + address
	log, err := os.CreateTemp(tb.TempDir(), "versitygw")
	if err != nil {
		tb.Fatalf("making a log: %v", err)
	}
	args := []string{"--quiet", "--keep-alive", "--health", "/health", "--region", Region, "--port", address, "posix",
		"--sidecar", s.sidecar, s.Dir}
	cmd := exec.Command(s.program, args...) //nolint:noctx // ended by the test's cleanup
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.KeyID, "ROOT_SECRET_KEY="+s.Secret)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		tb.Fatalf("starting the S3 server: %v", err)
	}
	ended := make(chan struct{})
	s.process, s.ended = cmd.Process, ended
	go func() {
		_ = cmd.Wait() // says that it was ended
		_ = log.Close()
		close(ended)
	}()
	if s.answers() {
		return true
	}
	s.stop()
	text, _ := os.ReadFile(log.Name())
	tb.Logf("the S3 server did not start: %s", text)
	return false
}

// answers waits until the server does or has ended.
func (s *Server) answers() bool {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		select {
		case <-s.ended:
			return false
		case <-tick.C:
		}
		resp, err := client.Get(s.Endpoint + "/health") //nolint:noctx // has a time limit
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}

// Bucket makes a bucket and returns its directory.
func (s *Server) Bucket(tb testing.TB, name string) string {
	tb.Helper()
	dir := filepath.Join(s.Dir, name) // which is what a bucket is
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatalf("making a bucket: %v", err)
	}
	return dir
}

// Environment is what programs need to use the server: its account, and nothing of
// whoever runs the tests.
func (s *Server) Environment() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID":           s.KeyID,
		"AWS_SECRET_ACCESS_KEY":       s.Secret,
		"AWS_SESSION_TOKEN":           "",
		"AWS_PROFILE":                 "",
		"AWS_REGION":                  "",
		"AWS_DEFAULT_REGION":          "",
		"AWS_ENDPOINT_URL":            "",
		"AWS_ENDPOINT_URL_S3":         "",
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED":   "true",
	}
}

// Setenv puts [Server.Environment] into the process.
func (s *Server) Setenv(t *testing.T) {
	t.Helper()
	for name, value := range s.Environment() {
		t.Setenv(name, value)
	}
}

// URL is the address of a bucket, as `bctrl serve --files` takes it.
func (s *Server) URL(bucket string) string {
	return fmt.Sprintf("s3://%s?endpoint=%s&region=%s", bucket, s.Endpoint, Region)
}
