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
	program := build(tb)
	s := &Server{Dir: tb.TempDir(), KeyID: "AKIA" + rand.Text()[:16], Secret: rand.Text() + rand.Text()}
	for try := 1; ; try++ {
		if s.run(tb, program) {
			return s
		}
		if try == starts {
			tb.Fatalf("the S3 server did not start %d times", starts)
		}
	}
}

// build returns the program, which go keeps in its cache.
func build(tb testing.TB) string {
	tb.Helper()
	gomod, err := exec.CommandContext(tb.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		tb.Fatalf("looking for the module: %v", err)
	}
	cmd := exec.CommandContext(tb.Context(), "go", "tool", "-n", "versitygw")
	cmd.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(gomod))), "tools", "s3")
	cmd.Stderr = os.Stderr
	path, err := cmd.Output()
	if err != nil {
		tb.Fatalf("building the S3 server in %s: %v", cmd.Dir, err)
	}
	return strings.TrimSpace(string(path))
}

// run starts the program and reports whether it answers.
func (s *Server) run(tb testing.TB, program string) bool {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("looking for a port: %v", err)
	}
	address := l.Addr().String()
	l.Close()
	s.Endpoint = "http://" + address

	log, err := os.CreateTemp(tb.TempDir(), "versitygw")
	if err != nil {
		tb.Fatalf("making a log: %v", err)
	}
	args := []string{"--quiet", "--keep-alive", "--health", "/health", "--region", Region, "--port", address, "posix",
		"--sidecar", tb.TempDir(), s.Dir}
	cmd := exec.Command(program, args...) //nolint:noctx // ended by the test's cleanup
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.KeyID, "ROOT_SECRET_KEY="+s.Secret)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		tb.Fatalf("starting the S3 server: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // says that it was ended
		close(ended)
	}()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = log.Close()
	}
	if !s.answers(ended) {
		stop()
		text, _ := os.ReadFile(log.Name())
		tb.Logf("the S3 server did not start: %s", text)
		return false
	}
	tb.Cleanup(stop)
	return true
}

// answers waits until the server does or has ended.
func (s *Server) answers(ended <-chan struct{}) bool {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		select {
		case <-ended:
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
