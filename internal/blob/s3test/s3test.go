// Package s3test runs a real S3 server, for tests and for the example of a cluster:
// versitygw, which checks signatures, over a directory. Its module is tools/s3, and go
// builds and keeps the program: the first time takes a minute or two.
package s3test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Server is one that runs until [Server.Close].
type Server struct {
	// Endpoint is its address, on loopback.
	Endpoint string
	// Dir has a directory for each bucket, and in it a file for each object.
	Dir string
	// KeyID and Secret are its only account's.
	KeyID, Secret string

	program string
	sidecar string // where the server keeps what is known of objects
	log     string // the file for what it says
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

// Open starts a server without buckets that keeps everything below dir.
func Open(ctx context.Context, dir string) (*Server, error) {
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Dir:     filepath.Join(dir, "buckets"),
		KeyID:   "AKIA" + rand.Text()[:16],
		Secret:  rand.Text() + rand.Text(),
		program: program,
		sidecar: filepath.Join(dir, "sidecar"),
		log:     filepath.Join(dir, "log"),
	}
	if err := errors.Join(os.Mkdir(s.Dir, 0o700), os.Mkdir(s.sidecar, 0o700)); err != nil {
		return nil, err
	}
	for range starts {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		if err = s.run(address); err == nil || !errors.Is(err, errNoAnswer) {
			return s, err
		}
	}
	text, err := os.ReadFile(s.log)
	return nil, errors.Join(fmt.Errorf("%w %d times:\n%s", errNoAnswer, starts, text), err)
}

// errNoAnswer is of a server that ended, or did not answer, after its start.
var errNoAnswer = errors.New("the S3 server did not start")

// Kill ends the server as a machine does that loses its power. [Server.Resume] has it
// answer again, at the same address.
func (s *Server) Kill() {
	_ = s.process.Kill()
	<-s.ended
}

// Resume starts a server that was killed.
func (s *Server) Resume() error { return s.run(strings.TrimPrefix(s.Endpoint, "http://")) }

// Close ends the server.
func (s *Server) Close() {
	_ = s.process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		s.Kill()
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// build returns the program, which go keeps in its cache.
func build(ctx context.Context) (string, error) {
	_, source, _, ok := runtime.Caller(0) // the working directory may be anywhere
	if !ok {
		return "", errors.New("the program does not know where its source is")
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "versitygw")
	cmd.Dir = filepath.Join(filepath.Dir(source), "..", "..", "..", "tools", "s3")
	cmd.Stderr = os.Stderr
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("building the S3 server in %s: %w", cmd.Dir, err)
	}
	return strings.TrimSpace(string(path)), nil
}

// run starts the program and waits until it answers.
func (s *Server) run(address string) error {
	s.Endpoint = "http://" + address
	log, err := os.Create(s.log)
	if err != nil {
		return fmt.Errorf("making a log: %w", err)
	}
	args := []string{"--quiet", "--keep-alive", "--health", "/health", "--region", Region, "--port", address, "posix",
		"--sidecar", s.sidecar, s.Dir}
	cmd := exec.Command(s.program, args...) //nolint:noctx // ended by Close
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.KeyID, "ROOT_SECRET_KEY="+s.Secret)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("starting the S3 server: %w", err), log.Close())
	}
	forget, err := guard(cmd.Process)
	if err != nil {
		return errors.Join(fmt.Errorf("guarding the S3 server: %w", err), cmd.Process.Kill(), cmd.Wait(), log.Close())
	}
	ended := make(chan struct{})
	s.process, s.ended = cmd.Process, ended
	go func() {
		_ = cmd.Wait() // says that it was ended
		_ = log.Close()
		forget()
		close(ended)
	}()
	if !s.answers() {
		s.Close()
		return errNoAnswer
	}
	return nil
}

// guardScript waits for a word. Where none comes, since the tests have ended without one, however they
// did, it ends the server.
const guardScript = `trap '' HUP INT TERM; read -r word; [ -n "$word" ] || kill -KILL "$1"`

// guard has the server end with this process, until forget.
func guard(server *os.Process) (forget func(), err error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", strconv.Itoa(server.Pid)) //nolint:noctx // ended by forget
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	word, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_, _ = io.WriteString(word, "end\n") // one that is gone needs none
		_ = word.Close()
		_ = cmd.Wait()
	}, nil
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

// MakeBucket makes a bucket and returns its directory.
func (s *Server) MakeBucket(name string) (dir string, err error) {
	dir = filepath.Join(s.Dir, name) // which is what a bucket is
	return dir, os.Mkdir(dir, 0o700)
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

// URL is the address of a bucket, as `bctrl serve --files` takes it.
func (s *Server) URL(bucket string) string {
	return fmt.Sprintf("s3://%s?endpoint=%s&region=%s", bucket, s.Endpoint, Region)
}
