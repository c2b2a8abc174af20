package bctrltest

import (
	"log/slog"
	"path/filepath"
)

// WithLog gives the server a log to write to.
func WithLog(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// DataDir is where the server keeps everything but its key.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }
