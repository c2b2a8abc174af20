package s3test

import "testing"

// Start starts a server without buckets, which runs until the end of the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := Open(tb.Context(), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Restart starts a server that was killed.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if err := s.Resume(); err != nil {
		tb.Fatal(err)
	}
}

// Bucket makes a bucket and returns its directory.
func (s *Server) Bucket(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := s.MakeBucket(name)
	if err != nil {
		tb.Fatalf("making a bucket: %v", err)
	}
	return dir
}

// Setenv puts [Server.Environment] into the process.
func (s *Server) Setenv(t *testing.T) {
	t.Helper()
	for name, value := range s.Environment() {
		t.Setenv(name, value)
	}
}
